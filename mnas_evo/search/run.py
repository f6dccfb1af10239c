"""A run folder: what was asked (run.json), its archive, and the search that fills it, begun or gone on with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnas_evo.accuracy.contract import Evaluator, Surrogate
from mnas_evo.accuracy.evaluating import evaluate_all
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.accuracy.surrogate import Evaluated, fit_surrogate
from mnas_evo.bundled import is_bundled
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
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space


class RunForm(Form):
    """run.json: what was asked, and hashes of everything the result depends on."""

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


@dataclass(frozen=True)
class SearchRequest:
    """A search as it is asked for: names and texts as on the command line.

    `settings`: the algorithm's, beside those in its text.
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
    workers: int = 1


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


def search(folder: Path, request: SearchRequest, *, progress: Progress) -> Ending:
    """Searches into a run folder; a run that exists goes on, if all that it depends on is as it was.

    Raises:
        RunChanged: the folder holds a run of other settings or inputs; the first that differs is named.
        Infeasible: the limits leave nothing.
        InUse: another process works on the folder.
    """
    algorithm = parse_algorithm(request.algorithm, given=request.settings)
    if request.evaluations < 1:
        raise RequestError(f"a search needs at least 1 evaluation, not {request.evaluations}")
    problem, pins = _problem(request)
    searcher = algorithm.searcher(problem, seed=request.seed)
    problem.check_feasible(seed=request.seed)
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
        pins=pins,
        versions=versions(),
    )
    with only_process(folder, doing="searching into"):
        _begin(folder, form)
        with Archive(archive_path(folder), create=True) as archive:
            ending = drive(
                searcher,
                problem,
                archive,
                evaluations=request.evaluations,
                seed=request.seed,
                workers=request.workers,
                progress=progress,
            )
            check_found(archive, problem)
            _evaluate_landmarks(archive, problem, request, progress=progress, done=ending.evaluations)
    return ending


def _begin(folder: Path, form: RunForm) -> None:
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


def _problem(request: SearchRequest) -> tuple[Problem, dict[str, str]]:
    space = load_space(request.space)
    tables = [find_table(table) for table in request.tables]
    devices = [folder.name for folder in tables]
    if len(set(devices)) < len(devices):
        raise RequestError(f"two of the tables {', '.join(devices)} have one name; rename a folder")
    limits = parse_limits(request.limits, devices=devices)
    objectives = parse_objectives(request.objectives, devices=devices)
    needed = {*objectives, *limits}
    pins = {"space": space.fingerprint}
    cheap: dict[str, Source] = {}
    for folder, quantity in zip(tables, latency_quantities(devices).values(), strict=True):
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
    return Problem(space, objectives, limits, cheap, dear), pins


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
        progress(done, "published networks")
    for network, result in evaluate_all(problem.dear, left, seed=request.seed, workers=request.workers):
        if not isinstance(result, str):
            details = {"role": "landmark", "seconds": result.seconds}
            measurement = Measurement(format_network(network), "top1", result.top1, result.source, details=details)
            archive.add_measurements([measurement])
