"""A run folder: what was asked (run.json), its archive, and the search that fills it, begun or gone on with."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mnas_evo.accuracy.contract import Evaluator, Surrogate
from mnas_evo.accuracy.evaluating import Workers, evaluate_all
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.accuracy.surrogate import Evaluated, fit_surrogate
from mnas_evo.bundled import is_bundled
from mnas_evo.devices.target import opened, parse_target, shown_on
from mnas_evo.errors import Infeasible, RequestError, RunChanged
from mnas_evo.files import Form, only_process, read_form, versions, write_form
from mnas_evo.latency.predictor import load_predictor, predictor_fingerprint
from mnas_evo.latency.table import find_table
from mnas_evo.search.algorithms import DEFAULT, parse_algorithm
from mnas_evo.search.archive import Archive, Measurement
from mnas_evo.search.drive import Ending, Progress, drive
from mnas_evo.search.front import candidates
from mnas_evo.search.objectives import (
    Counted,
    Problem,
    Source,
    latency_quantities,
    parse_limits,
    parse_objectives,
)
from mnas_evo.search.on_device import MeasuredOnDevice, device_pins
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

_IN_LOOP = "device"  # the one device in the loop, whose latency is latency_ms


class RunForm(Form):
    """run.json: what was asked, and hashes of everything the result depends on.

    `device`: what latency is measured on as the search goes, its address left out; None where tables tell it.
    """

    space: str
    tables: tuple[str, ...]
    accuracy: str
    algorithm: str
    settings: dict[str, Any]
    evaluations: int
    seed: int
    objectives: tuple[str, ...]
    limits: dict[str, float]
    pins: dict[str, str]
    versions: dict[str, str]
    device: str | None = None


@dataclass(frozen=True)
class SearchRequest:
    """A search as it is asked for: names and texts as on the command line.

    `settings`: the algorithm's, beside those in its text. `device`: a target to measure latency on, instead of tables.
    """

    space: str
    tables: tuple[str, ...]
    accuracy: str
    algorithm: str = DEFAULT
    settings: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 200
    seed: int = 0
    objectives: str = "top1,latency"
    limits: tuple[str, ...] = ()
    workers: Workers = 1
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a request comes to before any searcher: its problem, and hashes of all that this depends on."""

    problem: Problem
    pins: Mapping[str, str]


def archive_path(folder: Path) -> Path:
    """The archive of a run folder."""
    return folder / "archive.sqlite"


def open_run(folder: Path) -> tuple[RunForm, Archive]:
    """What a run was asked, and its archive.

    Raises:
        RequestError: the folder holds no run.
    """
    if not (folder / "run.json").is_file():
        raise RequestError(f"{folder} holds no search; start one: mnas-evo search --run {folder}")
    return read_form(folder / "run.json", RunForm), Archive(archive_path(folder))


def accuracy_source(text: str, space: SearchSpace | None) -> Evaluator | Surrogate:
    """The accuracy source a specification names; `surrogate:RUN` is fitted on what that search has paid for so far.

    Raises:
        RequestError: it cannot be read, or does not fit the space.
    """
    kind, _, rest = text.partition(":")
    if kind == "surrogate" and space is not None and Path(rest).is_dir():
        return fit_surrogate(_paid_for(Path(rest)), space)
    return parse_accuracy(text, space)


def _paid_for(folder: Path) -> Evaluated:
    form, archive = open_run(folder)
    with archive:
        tells = archive.tells()
    # A repeat cost no time, nor did what a surrogate or a table said, to be learnt from as if it had been seen.
    paid = (tell for tell in tells if tell.kind == "values" and tell.seconds > 0)
    top1 = {tell.network: tell.values["top1"].value for tell in paid}
    if not top1:
        raise RequestError(f"{folder} holds no evaluated network: its top-1 is from {form.accuracy}; name another run")
    return Evaluated(folder, top1)


def search(
    folder: Path,
    request: SearchRequest,
    *,
    progress: Progress,
    prepared: Prepared | None = None,
    landmarks: bool = True,
    listen: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Ending:
    """Searches into a run folder; a run that exists goes on, if all that it depends on is as it was.

    `prepared`: what `prepare` gave for a request that differs in algorithm, settings, budget and seed alone.
    `landmarks`: the published networks are evaluated too, for the picture. `listen` opens a browser's server to the
    local network; `say` is told what a user must do for the device.

    Raises:
        RunChanged: the folder holds a run of other settings or inputs; the first that differs is named.
        Infeasible: the limits leave nothing.
        InUse: another process works on the folder.
        DeviceError: the device in the loop failed; everything told and measured is kept.
    """
    algorithm = parse_algorithm(request.algorithm, given=request.settings)
    if request.evaluations < 1:
        raise RequestError(f"a search needs at least 1 evaluation, not {request.evaluations}")
    prepared = prepared or prepare(request)
    problem = prepared.problem
    searcher = algorithm.searcher(problem, seed=request.seed)
    problem.check_feasible(seed=request.seed)
    told = _Told(progress)
    with (
        only_process(folder, doing="searching into"),
        _with_device(folder, request, prepared, progress=told, listen=listen, say=say) as prepared,
    ):
        problem = prepared.problem
        begin(folder, request, prepared)
        with Archive(archive_path(folder), create=True) as archive:
            ending = drive(
                searcher,
                problem,
                archive,
                evaluations=request.evaluations,
                seed=request.seed,
                workers=request.workers,
                progress=told,
            )
            check_found(archive, problem)
            if landmarks:
                _evaluate_landmarks(archive, problem, request, progress=told, done=ending.evaluations)
    return ending


class _Told:
    """A search's progress, which knows how far it is when the device speaks up in between."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, done: int, note: str) -> None:
        self._done = done
        self._progress(done, note)

    def beside(self, share: float, note: str) -> None:
        """Called by a campaign with the share of it that is done."""
        self._progress(self._done, f"measuring {100 * share:.0f} %, {note}")


@contextmanager
def _with_device(
    folder: Path,
    request: SearchRequest,
    prepared: Prepared,
    *,
    progress: "_Told",
    listen: bool,
    say: Callable[[str], None],
) -> Iterator[Prepared]:
    """The same, with the device in the loop where one is asked for and latency plays a part."""
    problem = prepared.problem
    if request.device is None or "latency_ms" not in {*problem.objectives, *problem.limits}:
        yield prepared
        return
    with opened(parse_target(request.device), listen=listen, say=say) as device:
        facts = device.facts()
        measured = MeasuredOnDevice(
            folder / "device",
            device,
            problem.space.frame,
            seed=request.seed,
            progress=shown_on(device, progress.beside),
        )
        yield Prepared(replace(problem, on_device=measured), {**prepared.pins, **device_pins(facts)})


def begin(folder: Path, request: SearchRequest, prepared: Prepared) -> None:
    """Writes run.json of a new run; of one that exists, checks that all it depends on is as it was.

    Raises:
        RunChanged: it is not.
    """
    algorithm, problem = parse_algorithm(request.algorithm, given=request.settings), prepared.problem
    form = RunForm(
        space=request.space,
        tables=tuple(_table_name(table) for table in request.tables),
        accuracy=request.accuracy,
        algorithm=algorithm.name,
        settings=algorithm.settings.model_dump(mode="json"),
        evaluations=request.evaluations,
        seed=request.seed,
        objectives=problem.objectives,
        limits=dict(problem.limits),
        pins=dict(prepared.pins),
        versions=versions(),
        device=None if request.device is None else parse_target(request.device).without_address(),
    )
    path = folder / "run.json"
    if not path.exists():
        write_form(path, form)
        return
    found = read_form(path, RunForm)
    for name in ("space", "accuracy", "algorithm", "settings", "seed", "objectives", "limits"):
        was, now = getattr(found, name), getattr(form, name)
        if was != now:
            raise RunChanged(f"{folder} is a run with {name} {was!r}, not {now!r}; give another --run")
    for name, pin in form.pins.items():
        if found.pins.get(name) != pin:
            raise RunChanged(f"the {name} that {folder} was started with has changed since; give another --run")
    for name in ("torch", "lightning", "numpy", "scikit-learn", "lightgbm", "pymoo"):
        if found.versions.get(name) != form.versions[name]:
            raise RunChanged(
                f"{folder} was started with {name} {found.versions.get(name)}, now it is {form.versions[name]}; "
                "a search gone on with would not be the same. Install that version or give another --run"
            )
    # The same tables may lie elsewhere now, and the budget may have grown.
    budget = max(found.evaluations, form.evaluations)
    write_form(path, found.model_copy(update={"tables": form.tables, "evaluations": budget}))


def _table_name(table: str) -> str:
    """How run.json names a table: a shipped one by its name, any other by its whole path."""
    folder = find_table(table)
    return folder.name if is_bundled(folder) else str(folder.resolve())


def check_found(archive: Archive, problem: Problem) -> None:
    """Whether anything was found.

    Raises:
        Infeasible: every architecture failed or missed a limit; the message says which and how near one came.
    """
    if candidates(archive):
        return
    tells = archive.tells()
    missed_limits = [tell for tell in tells if tell.kind != "failure"]
    nearest = min(missed_limits, key=lambda tell: tell.violation, default=None)
    if nearest is None:
        message = next(tell.message for tell in tells if tell.kind == "failure")
        raise Infeasible(f"every evaluation failed, the first with: {message}")
    missed = [
        f"{name} {nearest.values[name].value:.4g} (limit {limit:g})"
        for name, limit in problem.limits.items()
        if name in nearest.values
    ]
    raise Infeasible(f"none of {len(tells)} architectures meets the limits; the nearest has {', '.join(missed)}")


def prepare(request: SearchRequest) -> Prepared:
    """The problem of a request, with its sources loaded: seconds where one of them is fitted.

    Raises:
        RequestError: space, tables, accuracy, objectives or limits cannot be read or do not fit together.
    """
    if request.device is not None and request.tables:
        raise RequestError("latency comes from tables or from a device: give --table or --latency, not both")
    if request.device is not None:
        parse_target(request.device)
    space = load_space(request.space)
    tables = [find_table(table) for table in request.tables]
    names = [folder.name for folder in tables]
    if len(set(names)) < len(names):
        raise RequestError(f"two of the tables {', '.join(names)} have one name; rename a folder")
    devices = names if request.device is None else [_IN_LOOP]
    limits = parse_limits(request.limits, devices=devices)
    objectives = parse_objectives(request.objectives, devices=devices)
    needed = {*objectives, *limits}
    pins = {"space": space.fingerprint}
    cheap: dict[str, Source] = {}
    for folder, quantity in zip(tables, latency_quantities(names).values(), strict=True):
        if quantity in needed:
            cheap[quantity] = Source(load_predictor(folder).for_space(space), f"predicted:{folder.name}")
            pins["table" if len(tables) == 1 else f"table {folder.name}"] = predictor_fingerprint(folder)
    for quantity in ("params", "macs"):
        cheap[quantity] = Source(Counted(space, quantity), "counted")
    dear: Evaluator | None = None
    if "top1" in needed:
        accuracy = accuracy_source(request.accuracy, space)
        pins["accuracy"] = accuracy.fingerprint
        if isinstance(accuracy, Evaluator):
            dear = accuracy
        else:
            cheap["top1"] = Source(accuracy, accuracy.source)
    return Prepared(Problem(space, objectives, limits, cheap, dear), pins)


def _evaluate_landmarks(
    archive: Archive, problem: Problem, request: SearchRequest, *, progress: Progress, done: int
) -> None:
    """The published networks' top-1 by the same source, for the picture; measurements, of which no searcher hears."""
    if problem.dear is None:
        return
    known = archive.measurements("top1")
    networks = [named_network(name, task=problem.space.frame) for name in LANDMARKS]
    left = [network for network in networks if format_network(network) not in known]
    if left:
        progress(done, "evaluated; now the published networks beside them")
    for network, result in evaluate_all(problem.dear, left, seed=request.seed, workers=request.workers):
        if not isinstance(result, str) and math.isfinite(result.top1):
            details = {"role": "landmark", "seconds": result.seconds}
            measurement = Measurement(format_network(network), "top1", result.top1, result.source, details=details)
            archive.add_measurements([measurement])
