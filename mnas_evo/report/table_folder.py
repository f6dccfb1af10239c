"""A table's folder as the report sees it: the table with its predictor, and a campaign that has not come to its end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import FEWEST_PASSES, KINDS, MOST_PASSES, REFERENCE, CampaignForm
from mnas_evo.files import read_form
from mnas_evo.latency.combine import combine, reference_series
from mnas_evo.latency.form import PREDICTOR, HeldOut, PredictorForm, held_out, read_predictor_form
from mnas_evo.latency.runs import Run, RunLog
from mnas_evo.latency.table import Table, read_table
from mnas_evo.report.words import several

WIDE_PERCENT = 2.0  # half an interval's width, as a campaign wants it at most
_FEWEST_FOR_WIDTHS = 3  # passes
_MOST_WITH_WIDTHS = 300  # items of a kind that intervals are worked out of, so that a report stays quick
_MODEL = re.compile(r"\d+\.(onnx|json)")

Series = tuple[tuple[int, int, float], ...]
"""(pass, slot, ms) of the visits to the reference network, in order."""


@dataclass(frozen=True)
class TablePart:
    """A latency table, its predictor where one was fitted, and the reference's visits in its newest campaign."""

    folder: Path
    table: Table
    fit: PredictorForm | None
    held_out: tuple[HeldOut, ...]
    reference: Series

    @property
    def landmarks(self) -> dict[str, float]:
        """ms of the published networks, by their string."""
        return {entry.network: entry.time.ms for entry in self.table.networks if entry.role == "landmark"}

    @property
    def bare(self) -> bool:
        """Whether it prices networks by the bare sum of rows: it has no sampled network to fit on."""
        sampled = any(entry.role == "sampled" for entry in self.table.networks)
        return self.fit is None and bool(self.table.rows) and not sampled

    @property
    def measured_since(self) -> bool:
        """Whether it was measured anew after its predictor was fitted."""
        return any(one.network is None for one in self.held_out)


@dataclass(frozen=True, slots=True)
class Widths:
    """Half the widths of the 95 % intervals of some items of one kind so far, percent, and the noise of their times."""

    kind: str
    items: int
    median_percent: float
    wide_share_percent: float
    noise_percent: float | None


@dataclass(frozen=True)
class CampaignPart:
    """A campaign that has not come to its end: it is running, was broken off, or was gone on with.

    `planned` items are visited in each of the fewest passes, where that is known; `visited` says how many were, by
    pass. `seconds` were spent on the device, `pass_seconds` in each pass; `written` is when the last visit was, in
    seconds since 1970. A `scout` is the first look at every row, of one pass, which those `of_space` begin with.
    """

    folder: Path
    form: CampaignForm
    scout: bool
    of_space: bool
    planned: int | None
    visited: tuple[int, ...]
    pass_seconds: tuple[float, ...]
    items_seen: Mapping[str, int]
    refused: Mapping[str, str]
    reference: Series
    widths: tuple[Widths, ...]
    written: float

    @property
    def seconds(self) -> float:
        """Time on the device so far."""
        return sum(self.pass_seconds)

    @property
    def fewest_passes(self) -> int:
        """Passes that it makes in any case."""
        return 1 if self.scout else FEWEST_PASSES

    @property
    def in_words(self) -> str:
        """How far it is, without a full stop."""
        if not self.visited:
            return (
                f"None of {several(self.planned, 'item')} was visited yet"
                if self.planned
                else "No item was visited yet"
            )
        number = len(self.visited)
        of = f" of {self.planned:,}" if self.planned and number <= self.fewest_passes else ""
        many = f"pass {number}, of {FEWEST_PASSES} at least and {MOST_PASSES} at most,"
        return f"In {'its only pass' if self.scout else many} it has visited {self.visited[-1]:,}{of} items"

    @property
    def table_folder(self) -> Path:
        """The table that it measures into."""
        return self.folder.parent.parent


def read_table_part(folder: Path) -> TablePart:
    table = read_table(folder)
    fit = read_predictor_form(folder) if (folder / PREDICTOR).is_file() else None
    reference: Series = ()
    if table.campaigns:
        path = folder / "raw" / table.campaigns[-1].id / "runs.jsonl"
        reference = _reference_visits(path, _state(path))
    return TablePart(folder, table, fit, held_out(table, fit) if fit else (), reference)


@lru_cache(maxsize=4)
def _reference_visits(path: Path, state: tuple[int, int]) -> Series:
    """The reference's visits; none where the raw runs are not here. A log in the same state is not read again."""
    return tuple(reference_series(RunLog(path).read(), reference=REFERENCE))


def _state(path: Path) -> tuple[int, int]:
    """When a file was last written, in ns, and its size; nothing of one that is not there."""
    try:
        found = path.stat()
    except OSError:  # it is not there yet, or no more
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def read_campaign(folder: Path, table: TablePart | None) -> CampaignPart | None:
    """The newest campaign into a table, where it has not come to its end; nothing in its folder is held or changed."""
    places = (table.folder,) if table else (folder, folder / "table")
    for place in places:
        if (newest := _unfinished(place, table)) is not None:
            return _campaign_so_far(newest, _state(newest / "runs.jsonl"))
    return None


def _unfinished(folder: Path, table: TablePart | None) -> Path | None:
    """Folder of the newest campaign into a table, where it goes on; a first look that is done counts alone only."""
    found = [path.parent for path in folder.glob("raw/*/campaign.json")]
    found.sort(key=lambda one: max(_state(one / "runs.jsonl"), _state(one / "campaign.json")))
    begun = [one for one in found if not _is_scout(one) or (one / "models").is_dir()]
    if not begun:
        return found[-1] if found and table is None else None
    ended = {campaign.id for campaign in table.table.campaigns} if table else set()
    # Models are written before the first visit and removed once the table is written.
    return begun[-1] if begun[-1].name not in ended or (begun[-1] / "models").is_dir() else None


def _is_scout(folder: Path) -> bool:
    return folder.name.endswith("-scout")


@lru_cache(maxsize=4)
def _campaign_so_far(folder: Path, state: tuple[int, int]) -> CampaignPart:
    """What a campaign's folder holds by now; one in the same state is not read again."""
    form = read_form(folder / "campaign.json", CampaignForm)
    runs = RunLog(folder / "runs.jsonl").read()
    passes = range(max((number for number, _ in runs), default=-1) + 1)
    visited: list[set[str]] = [set() for _ in passes]
    seconds = [0.0 for _ in passes]
    for number, run in runs:
        seconds[number] += run.wall_ns / 1e9
        if run.item != REFERENCE:
            visited[number].add(run.item)
    seen = sorted(set().union(*visited))
    planned = _planned(folder / "models")
    if planned is None and len(passes) > 1:
        planned = len(visited[0])
    items = {kind: [item for item in seen if _kind(item) == kind] for kind in KINDS}
    return CampaignPart(
        folder=folder,
        form=form,
        scout=_is_scout(folder),
        of_space=any(map(_is_scout, folder.parent.iterdir())),
        planned=planned,
        visited=tuple(map(len, visited)),
        pass_seconds=tuple(seconds),
        items_seen={kind: len(found) for kind, found in items.items()},
        refused={run.item: run.refusal for _, run in runs if run.refusal is not None},
        reference=tuple(reference_series(runs, reference=REFERENCE)),
        widths=_widths(runs, items, seed=form.seed) if len(passes) >= _FEWEST_FOR_WIDTHS else (),
        written=(state[0] or (folder / "campaign.json").stat().st_mtime_ns) / 1e9,
    )


def _kind(item: str) -> str:
    return "network" if "/" in item else "row"


def _planned(models: Path) -> int | None:
    """Items that models were written of, the reference's apart; None where they are not all there."""
    try:
        names = [path.name for path in models.iterdir()]
    except OSError:  # none are written yet, or they are removed just now
        return None
    return sum(bool(_MODEL.fullmatch(name)) for name in names) - 1 if ".complete" in names else None


def _widths(runs: Sequence[tuple[int, Run]], items: Mapping[str, Sequence[str]], *, seed: int) -> tuple[Widths, ...]:
    """Interval widths of items spread over all of each kind."""
    found = []
    for kind, all_of_kind in items.items():
        some = all_of_kind[:: -(-len(all_of_kind) // _MOST_WITH_WIDTHS) or 1]
        combined = combine(runs, some, reference=REFERENCE, seed=seed)
        known = combined.interval_percent[np.isfinite(combined.interval_percent)]
        if len(known):
            noise = float(combined.noise_percent) if np.isfinite(combined.noise_percent) else None
            wide = 100 * float(np.mean(known > WIDE_PERCENT))
            found.append(Widths(kind, len(known), float(np.median(known)), wide, noise))
    return tuple(found)
