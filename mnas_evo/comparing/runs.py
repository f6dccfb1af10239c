"""Algorithms × seeds on one problem: which runs there are, and running those that have not come to their end."""

import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

from threadpoolctl import threadpool_limits

from mnas_evo.accuracy.evaluating import Workers, start_worker
from mnas_evo.errors import Infeasible, MnasEvoError, RequestError
from mnas_evo.files import Form, fingerprint, read_form, write_form
from mnas_evo.search.algorithms import Algorithm, parse_algorithm
from mnas_evo.search.drive import Progress
from mnas_evo.search.run import Prepared, SearchRequest, begin, prepare, search

ENDED = "ended.json"
_LONGEST_LABEL = 80  # characters of a folder's name

Report = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and what is being done."""


@dataclass(frozen=True)
class CompareRequest:
    """A comparison as it is asked for.

    `algorithms`: texts such as nsga2:population=50. `search`: what all runs have in common; its settings go to those
    algorithms that have them, its workers evaluate, or run searches side by side where accuracy is predicted.
    """

    algorithms: tuple[str, ...]
    seeds: int
    search: SearchRequest


class EndedForm(Form):
    """ended.json of a run: how it ended, as in `Ending` or `infeasible`, and with which budget it was asked for."""

    reason: str
    evaluations: int
    message: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One search: the algorithm's name in this comparison, and its request with a folder of its own."""

    name: str
    folder: Path
    request: SearchRequest

    @property
    def ended(self) -> EndedForm | None:
        """How it ended, if it has come to the end that is asked for."""
        path = self.folder / ENDED
        found = read_form(path, EndedForm) if path.is_file() else None
        if found is None:
            return None
        if found.reason == "budget":
            return found if found.evaluations >= self.request.evaluations else None
        return found if found.evaluations == self.request.evaluations else None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: one that never began, for its limits left nothing, may have others by now."""
        return self.ended is not None and (self.folder / "run.json").is_file()


@dataclass(frozen=True)
class Plan:
    """The runs of a comparison, by algorithm and seed, on one prepared problem."""

    prepared: Prepared
    algorithms: Mapping[str, Algorithm]
    runs: tuple[PlannedRun, ...]


def make_plan(folder: Path, request: CompareRequest) -> Plan:
    """The runs that a comparison in a folder consists of; all that can be refused is, before the first begins.

    Raises:
        RequestError: an algorithm is unknown, named twice or not for this problem, or the problem cannot be made.
    """
    if request.seeds < 1:
        raise RequestError(f"a comparison needs at least 1 seed, not {request.seeds}")
    if request.search.evaluations < 1:
        raise RequestError(f"a search needs at least 1 evaluation, not {request.search.evaluations}")
    if isinstance(request.search.workers, int) and request.search.workers < 1:
        raise RequestError(f"workers is at least 1, not {request.search.workers}")
    if request.search.device is not None:
        raise RequestError("searches are compared on tables, for a device never measures twice the same; give --table")
    algorithms = _algorithms(request)
    prepared = prepare(request.search)
    for algorithm in algorithms.values():
        algorithm.searcher(prepared.problem, seed=0)
    runs = [
        PlannedRun(name, folder / "runs" / f"{folder_label(algorithm.text)}-{seed}", _of(request, algorithm, seed))
        for name, algorithm in algorithms.items()
        for seed in range(request.seeds)
    ]
    return Plan(prepared, algorithms, tuple(runs))


def _algorithms(request: CompareRequest) -> dict[str, Algorithm]:
    found: dict[str, Algorithm] = {}
    for text in (text.strip() for text in request.algorithms):
        algorithm = parse_algorithm(text, given=request.search.settings, strict=False)
        twice = next((name for name, other in found.items() if other == algorithm), None)
        if twice is not None:
            raise RequestError(
                f"algorithms {twice!r} and {text!r} are one and the same, {algorithm.text}; name it once"
            )
        found[text] = algorithm
    unused = set(request.search.settings).difference(*(one.settings.model_dump() for one in found.values()))
    if unused:
        raise RequestError(f"none of the algorithms {', '.join(found)} has a setting {', '.join(sorted(unused))}")
    return found


def _of(request: CompareRequest, algorithm: Algorithm, seed: int) -> SearchRequest:
    settings = algorithm.settings.model_dump()
    return replace(request.search, algorithm=algorithm.name, settings=settings, seed=seed)


def folder_label(text: str) -> str:
    """An algorithm's text as a name that any file system takes, different for different texts."""
    label = re.sub(r"[^A-Za-z0-9.+=-]", "_", text)
    if re.fullmatch(r"[A-Za-z0-9._:+=-]+", text) and len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[:_LONGEST_LABEL]}-{fingerprint(text)[:8]}"


def run_all(plan: Plan, *, workers: Workers, report: Report) -> None:
    """Brings every run to its end: those that have one are only checked, those that were begun go on.

    Raises:
        RunChanged: a run was made with other inputs than are asked for now.
        Infeasible: no run of any algorithm found anything.
    """
    left = [run for run in plan.runs if not run.is_done]
    for run in plan.runs:
        if run not in left:
            begin(run.folder, run.request, plan.prepared)
    done, of = len(plan.runs) - len(left), len(plan.runs)
    beside = min(workers, len(left)) if isinstance(workers, int) and plan.prepared.problem.dear is None else 1
    if beside > 1:
        _side_by_side(left, beside, lambda ended, note: report((done + ended) / of, note))
    else:
        for number, run in enumerate(left, start=done):
            _bring_to_end(run, plan.prepared, _told_to(report, run, number, of))
    report(1.0, several_runs(of))
    endings = [run.ended for run in plan.runs]
    if all(ended is not None and ended.reason == "infeasible" for ended in endings):
        raise Infeasible(f"no run found anything; the first: {endings[0].message if endings[0] else ''}")


def several_runs(number: int) -> str:
    """A number of runs in words."""
    return f"{number} run{'s' if number != 1 else ''}"


def _told_to(report: Report, run: PlannedRun, before: int, of: int) -> Progress:
    def progress(paid: int, note: str) -> None:
        share = min(1.0, paid / run.request.evaluations)
        report((before + share) / of, f"{run.name}, seed {run.request.seed}: {paid} {note}")

    return progress


def _bring_to_end(run: PlannedRun, prepared: Prepared, progress: Progress) -> None:
    """One search; that nothing was found is an end too, for others may find something."""
    try:
        ending = search(run.folder, run.request, progress=progress, prepared=prepared, landmarks=False)
        ended = EndedForm(reason=ending.reason, evaluations=run.request.evaluations)
    except Infeasible as error:
        ended = EndedForm(reason="infeasible", evaluations=run.request.evaluations, message=str(error))
    write_form(run.folder / ENDED, ended)


# Several at a time


@dataclass
class _Worker:
    """What a worker process keeps between runs: the problem, which is dear to prepare, and the word to stop."""

    prepared: Prepared
    stop: Event


_workers: list[_Worker] = []  # of this process, at most one


def _start(begun: "Synchronized[int]", stop: Event, request: SearchRequest) -> None:
    start_worker(begun)
    threadpool_limits(1)  # the workers share the cores among them
    _workers.append(_Worker(prepare(request), stop))


class _Stopped(BaseException):
    """The run is to stop where it is; what it was told is in its archive."""


def _in_worker(run: PlannedRun) -> None:
    (worker,) = _workers

    def progress(paid: int, note: str) -> None:
        if worker.stop.is_set():
            raise _Stopped

    with suppress(_Stopped):
        _bring_to_end(run, worker.prepared, progress)


def _side_by_side(runs: Sequence[PlannedRun], workers: int, report: Report) -> None:
    """Runs in so many processes; when one fails the others stop after the batch they are at, and nothing is lost."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    given = (context.Value("i", 0), stop, runs[0].request)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=given)
    try:
        futures = {executor.submit(_in_worker, run): run for run in runs}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            run = futures[future]
            report(done, f"{run.name}, seed {run.request.seed} has ended")
    except BrokenProcessPool as error:
        raise MnasEvoError(
            "a worker process died (out of memory?); all that was evaluated is kept, run the command again with fewer "
            "--workers"
        ) from error
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)
