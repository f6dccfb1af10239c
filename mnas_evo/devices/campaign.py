"""A campaign: what is measured when. Shuffled passes, a reference between, until noise or budget says stop.

All state is in the campaign's folder (campaign.json and runs.jsonl), written as it comes, so that a killed campaign
goes on with the visit it was at.
"""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas_evo.errors import DeviceError, RequestError
from mnas_evo.files import Form, fingerprint, only_process, read_form, write_form
from mnas_evo.latency.combine import Combined, combine, reference_level, reference_series
from mnas_evo.latency.runs import Device, DeviceFacts, Plan, Run, RunLog, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.graph import Graph

REFERENCE_EVERY = 8
FEWEST_PASSES = 4
MOST_PASSES = 40
VISIT_NS = {"row": 2_000_000, "network": 6_000_000}
KINDS = tuple(VISIT_NS)
UNSTABLE_PERCENT = 3.0
REFERENCE = "reference"

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and what is being done."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to measure: a table row or a whole network, under its key."""

    key: str
    kind: str  # "row" or "network"
    graph: Graph


class CampaignForm(Form):
    """campaign.json: what this campaign measures, so that going on is going on with the same."""

    device: DeviceFacts
    reference: str
    seed: int
    items: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a campaign found: rows and networks, the reference's level, passes and the time spent on the device.

    `unstable` are the items whose interval stayed wide; `inside_seconds` were spent inside the runtime's call.
    """

    rows: Combined
    networks: Combined
    reference_ms: float
    passes: int
    device_seconds: float
    refused: tuple[str, ...]
    unstable: tuple[str, ...]
    inside_seconds: float
    date: str


class Campaign:
    """Measures items on a device into a folder, resuming what the folder already holds."""

    def __init__(
        self,
        folder: Path,
        device: Device,
        items: Sequence[Item],
        *,
        reference: tuple[str, Graph],
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        self._folder = folder
        self._device = device
        self._items = list(items)
        self._reference_name, reference_graph = reference
        self._reference = Item(REFERENCE, "network", reference_graph)
        self._batch = batch
        self._seed = seed
        self._log = RunLog(folder / "runs.jsonl")

    def measure(
        self,
        *,
        minutes: float,
        wanted_noise_percent: float = 0.5,
        wanted_interval_percent: float = 2.0,
        fewest_passes: int = FEWEST_PASSES,
        progress: Progress,
    ) -> Outcome:
        """Visits every item at least `fewest_passes` times, then on until all is as wanted or the time is spent.

        While a kind's noise is above `wanted_noise_percent`, all its items are visited again; then only those whose
        interval is wider than `wanted_interval_percent`, either way. `minutes` counts time on the device, what earlier
        runs of this campaign spent included.

        Raises:
            DeviceError: the device failed; everything measured is kept.
            RequestError: the folder holds a campaign of other items or of another device.
            InUse: another process is measuring into the folder.
        """
        with only_process(self._folder, doing="measuring into"):
            self._check_same()
            runs = self._log.read()
            visited, judged = list(range(len(self._items))), 0
            for number in range(MOST_PASSES):
                order = self._order(number, visited)
                runs = self._finish_pass(number, order, runs, minutes=minutes, fewest=fewest_passes, progress=progress)
                # Judged on what an uninterrupted campaign would have by now, so that a resumed one ends where it would.
                so_far = [(p, run) for p, run in runs if p <= number]
                if number + 1 < fewest_passes:
                    continue
                if _seconds(so_far) >= 60 * minutes:
                    break
                if number + 1 >= judged:
                    visited = self._unsettled(so_far, wanted_noise_percent, wanted_interval_percent)
                    judged = number + 1 + max(1, (number + 1) // 5)  # judging takes longer than a pass over a few items
                    if not visited:
                        break
            outcome = self._outcome(runs)
        progress(1.0, f"{outcome.passes} passes")
        return outcome

    def _check_same(self) -> None:
        asked = CampaignForm(
            device=self._device.facts().model_copy(update={"batch": self._batch}),
            reference=self._reference_name,
            seed=self._seed,
            items=fingerprint(*(item.key for item in self._items)),
        )
        path = self._folder / "campaign.json"
        if not path.exists():
            write_form(path, asked)
            return
        found = read_form(path, CampaignForm)
        differences = found.device.differences(asked.device)
        if differences:
            raise RequestError(f"{self._folder} was begun on another device: {'; '.join(differences)}")
        if (found.reference, found.items) != (asked.reference, asked.items):
            raise RequestError(f"{self._folder} was begun with other items; give another folder")
        if found.seed != asked.seed:
            raise RequestError(f"{self._folder} was begun with seed {found.seed}, not {asked.seed}; give another")

    def _finish_pass(
        self,
        number: int,
        order: list[int],
        runs: list[tuple[int, Run]],
        *,
        minutes: float,
        fewest: int,
        progress: Progress,
    ) -> list[tuple[int, Run]]:
        """Makes the visits of one pass that the log does not hold yet."""
        done = {(p, run.slot) for p, run in runs}
        refused = {run.item for _, run in runs if run.refusal is not None}
        left = [(slot, i) for slot, i in enumerate(order) if (number, slot) not in done]
        left = [(slot, i) for slot, i in left if self._item(i).key not in refused]
        if not left:
            return runs
        models = self._folder / "models"
        self._write_models(models)
        # Rows and networks are visited for different times: each stretch of one kind, in the shuffled order, is a plan.
        spent = _seconds(runs)
        for kind, stretch in _stretches([(slot, i, self._item(i).kind) for slot, i in left]):
            visits = tuple(
                Visit(slot, self._item(i).key, self._model(i), (self._batch, *self._item(i).graph.in_shape))
                for slot, i in stretch
            )
            for run in self._device.run(Plan(models, visits, VISIT_NS[kind])):
                if run.item == REFERENCE and run.refusal is not None:
                    raise DeviceError(f"the device refuses the reference network: {run.refusal}")
                self._log.append(number, run)
                runs.append((number, run))
                spent += run.wall_ns / 1e9
            done_share = (number + (stretch[-1][0] + 1) / len(order)) / fewest
            share = min(done_share, spent / (60 * minutes) if minutes > 0 else 1.0)
            progress(min(share, 0.999), f"pass {number + 1}, {len(order) - order.count(-1)} items")
        return runs

    def _order(self, number: int, visited: list[int]) -> list[int]:
        """Item numbers of one pass in a fresh random order, with the reference (-1) before, between and after."""
        rng = np.random.default_rng([self._seed, number])
        order = [int(i) for i in rng.permutation(visited)]
        with_reference = [-1]
        for start in range(0, len(order), REFERENCE_EVERY):
            with_reference += [*order[start : start + REFERENCE_EVERY], -1]
        return with_reference

    def _item(self, number: int) -> Item:
        return self._reference if number < 0 else self._items[number]

    def _model(self, number: int) -> str:
        return f"{number + 1}.{'onnx' if self._device.facts().reads == 'onnx' else 'json'}"

    def _write_models(self, folder: Path) -> None:
        """Model 0 is the reference's, model i + 1 item i's; the same files whenever they are written."""
        if (folder / ".complete").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        graphs = {self._model(number): self._item(number).graph for number in range(-1, len(self._items))}
        if self._device.facts().reads == "graph":
            for name, graph in graphs.items():
                (folder / name).write_text(json.dumps(graph.to_json()), encoding="utf-8")
        else:
            weights = SharedWeights(list(graphs.values()))
            weights.write(folder, rng=np.random.default_rng(self._seed))
            for name, graph in graphs.items():
                model = onnx_model(graph, weights=weights, batch=self._batch)
                (folder / name).write_bytes(model.SerializeToString())
        (folder / ".complete").touch()

    def _unsettled(self, runs: list[tuple[int, Run]], noise_percent: float, interval_percent: float) -> list[int]:
        """Numbers of the items that another pass should visit."""
        wide: set[str] = set()
        for kind in KINDS:
            found = self._combined(kind, runs)
            noisy = np.isfinite(found.noise_percent) and found.noise_percent > noise_percent
            wide |= {
                item
                for item, width, visits in zip(found.items, found.interval_percent, found.visits, strict=True)
                if visits and (noisy or width > interval_percent)
            }
        return [number for number, item in enumerate(self._items) if item.key in wide]

    def _combined(self, kind: str, runs: list[tuple[int, Run]]) -> Combined:
        keys = [item.key for item in self._items if item.kind == kind]
        return combine(runs, keys, reference=REFERENCE, seed=self._seed)

    def _outcome(self, runs: list[tuple[int, Run]]) -> Outcome:
        rows, networks = (self._combined(kind, runs) for kind in KINDS)
        unstable = [
            (width, item)
            for found in (rows, networks)
            for item, width in zip(found.items, found.interval_percent, strict=True)
            if UNSTABLE_PERCENT < width < np.inf
        ]
        return Outcome(
            rows,
            networks,
            reference_level(reference_series(runs, reference=REFERENCE)),
            len({number for number, _ in runs}),
            _seconds(runs),
            tuple(sorted({run.item for _, run in runs if run.refusal is not None})),
            tuple(item for _, item in sorted(unstable, reverse=True)),
            sum(sum(run.times_ns) for _, run in runs) / 1e9,
            datetime.datetime.now(datetime.UTC).date().isoformat(),
        )


def _seconds(runs: Sequence[tuple[int, Run]]) -> float:
    return sum(run.wall_ns for _, run in runs) / 1e9


def _stretches(visits: list[tuple[int, int, str]]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Runs of visits of one kind, in order."""
    found: list[tuple[str, list[tuple[int, int]]]] = []
    for slot, item, kind in visits:
        if not found or found[-1][0] != kind:
            found.append((kind, []))
        found[-1][1].append((slot, item))
    return found
