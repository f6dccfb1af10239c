"""What a report is made of: a folder's table, run and training, read without changing or waiting for any."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from mnas_evo.errors import DamagedFile, Infeasible, NotationError, RequestError
from mnas_evo.files import read_form
from mnas_evo.finalists.choose import choose, knee
from mnas_evo.finalists.final_training import TrainingForm
from mnas_evo.finalists.verdicts import REMEASURED, RemeasuredForm
from mnas_evo.latency.predictor import LatencyPredictor, load_predictor, predictor_fingerprint
from mnas_evo.latency.table import find_table
from mnas_evo.report.table_folder import CampaignPart, TablePart, read_campaign, read_table_part
from mnas_evo.report.words import said_as
from mnas_evo.search.archive import Archive, Measurement, Tell
from mnas_evo.search.front import Candidate, candidates, front
from mnas_evo.search.run import RunForm, archive_path
from mnas_evo.shipping.evaluation import EvaluationForm
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network, parse_network

MARKS = {"table": "device.json", "run": "run.json", "training": "training.json"}


@dataclass(frozen=True)
class RunPart:
    """A search as far as it has come: what it was told, evaluated to an end and found, and top-1 found beside it."""

    folder: Path
    form: RunForm
    tells: tuple[Tell, ...]
    evaluated: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    top1_beside: Mapping[str, Measurement]

    def said_as(self, name: str) -> str:
        """The name under which a quantity of this search is said."""
        return said_as(name, self.form.accuracy)

    @property
    def limit_ms(self) -> float | None:
        """The latency that its networks were measured again for, ms."""
        path = self.folder / REMEASURED
        return read_form(path, RemeasuredForm).limit_ms if path.is_file() else None

    @property
    def paid(self) -> tuple[Tell, ...]:
        """The evaluations, failed ones too, each architecture once."""
        return tuple(tell for tell in self.tells if not tell.repeat and tell.kind != "violation")

    @property
    def landmark_names(self) -> dict[str, str]:
        """Names of the published networks by their string, at the input and classes of this search."""
        if not self.evaluated:
            return {}
        try:
            task = parse_network(self.evaluated[0].network).frame
        except NotationError:
            return {}
        return {format_network(named_network(name, task=task)): name for name in LANDMARKS}


@dataclass(frozen=True)
class TrainingPart:
    """A final training, and where there are some its test figures."""

    folder: Path
    form: TrainingForm
    evaluation: EvaluationForm | None


@dataclass(frozen=True)
class Chosen:
    """The network that goes on, with what the search knows of it, and the limit in ms that it was chosen within."""

    network: str
    trained: bool
    candidate: Candidate | None
    limit_ms: float | None = None


@dataclass(frozen=True)
class Job:
    """What a folder holds. `table_changed`: the table is no longer what the run was started with.

    `campaign` is one of the table's that has not come to its end; before its first has, there is no table.
    """

    folder: Path
    table: TablePart | None
    run: RunPart | None
    training: TrainingPart | None
    table_changed: bool
    campaign: CampaignPart | None = None

    @property
    def table_of_search(self) -> TablePart | None:
        """The table, where it is of the one device that the search was for; any table where there is no search."""
        one = self.run is None or (self.run.form.device is None and len(self.run.form.tables) == 1)
        return self.table if one else None

    @cached_property
    def predictor(self) -> LatencyPredictor | None:
        """The table's predictor; None where there is none, or not the one that the search was told by."""
        if self.table_of_search is None or self.table_changed:
            return None
        try:
            return load_predictor(self.table_of_search.folder)
        except RequestError:
            return None

    @property
    def chosen(self) -> Chosen | None:
        """The network that was trained, else what `remeasure` proposed last, else the front's knee, else none."""
        found = self.run.front if self.run else ()
        if self.training:
            network = self.training.form.network
            evaluated = self.run.evaluated if self.run else ()
            return Chosen(network, True, next((c for c in evaluated if c.network == network), None))
        if not found or any(c.top1 is None or c.latency_ms is None for c in found):
            return None
        limit_ms = self.run.limit_ms if self.run else None
        try:
            candidate = choose(found, target_ms=limit_ms)
        except Infeasible:
            limit_ms, candidate = None, knee(found)
        return Chosen(candidate.network, False, candidate, limit_ms)


def read_job(folder: Path) -> Job:
    """Reads a job folder, or one that is a table, a run or a training itself.

    Raises:
        RequestError: it holds none of these.
        DamagedFile, OtherFormat: a file in it cannot be read.
    """
    places = {kind: _place(folder, kind) for kind in MARKS}
    table = read_table_part(places["table"]) if places["table"] else None
    campaign = read_campaign(folder, table)
    if campaign is None and not any(places.values()):
        raise RequestError(
            f"{folder} holds nothing to report on: no device.json (a latency table), run.json (a search) or "
            "training.json (a training) in it or in its folders table, run and training, and no compare.json, "
            "scaling.json, trainings.json (several trainings) or supernet.json"
        )
    run = _read_run(places["run"]) if places["run"] else None
    if table is None and run is not None and (named := _table_of(run)) is not None:
        table = read_table_part(named)
    return Job(
        folder,
        table,
        run,
        read_training(places["training"]) if places["training"] else None,
        bool(run and table and _differs(run, table.folder)),
        campaign,
    )


def _place(folder: Path, kind: str) -> Path | None:
    return next((place for place in (folder, folder / kind) if (place / MARKS[kind]).is_file()), None)


def _table_of(run: RunPart) -> Path | None:
    """The one table that a run names, where it can still be found."""
    try:
        return find_table(run.form.tables[0]) if len(run.form.tables) == 1 else None
    except RequestError:
        return None


def _differs(run: RunPart, table: Path) -> bool:
    return run.form.pins.get("table") not in (None, predictor_fingerprint(table))


def _read_run(folder: Path) -> RunPart:
    form = read_form(folder / "run.json", RunForm)
    path = archive_path(folder)
    if not path.is_file():
        return RunPart(folder, form, (), (), (), {})
    with _snapshot(path) as archive:
        evaluated = candidates(archive)
        return RunPart(
            folder,
            form,
            tuple(archive.tells()),
            tuple(evaluated),
            tuple(front(evaluated, form.objectives)),
            archive.measurements("top1"),
        )


@contextmanager
def _snapshot(path: Path) -> Iterator[Archive]:
    """A copy of an archive as it stands now, so that a search that is running is neither held up nor written to."""
    with TemporaryDirectory() as temporary:
        copy = Path(temporary) / path.name
        # Without a -wal file nobody has it open; opened as immutable, it gets none from the reading either.
        mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
        try:
            with (
                closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=30)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.DatabaseError as error:
            raise DamagedFile(f"{path} cannot be read: {error}; restore it from a copy") from error
        with Archive(copy, create=True) as archive:
            yield archive


def read_training(folder: Path) -> TrainingPart:
    """A training, and its test where that is of the same network.

    Raises:
        DamagedFile, OtherFormat: a file of it cannot be read.
    """
    path = folder / "evaluation.json"
    form = read_form(folder / "training.json", TrainingForm)
    tested = read_form(path, EvaluationForm) if path.is_file() else None
    return TrainingPart(folder, form, tested if tested and tested.network == form.network else None)
