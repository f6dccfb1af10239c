"""Drives a searcher through a problem into an archive, from nothing or from where a killed run stopped."""

import hashlib
import math
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import _exit

from mnas_evo.accuracy.contract import Evaluation, Evaluator
from mnas_evo.errors import MnasEvoError, RequestError, RunChanged, TrainingFailed
from mnas_evo.search.archive import Archive, Tell, Value
from mnas_evo.search.contract import Outcome, Searcher
from mnas_evo.search.objectives import Problem
from mnas_evo.space.architecture import Network
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import Genes

DRAWS_PER_EVALUATION = 20

Progress = Callable[[int, str], None]
"""Called with the number of distinct evaluations so far and what is being done."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a search ended: `budget` spent, space `exhausted` or searcher collapsed, or `draws` capped."""

    reason: str
    evaluations: int
    draws: int


def drive(
    searcher: Searcher,
    problem: Problem,
    archive: Archive,
    *,
    evaluations: int,
    seed: int,
    workers: int = 1,
    progress: Progress,
) -> Ending:
    """Replays what the archive holds through the searcher, then goes on until `evaluations` distinct ones are paid for.

    An architecture outside a limit on a cheap quantity is told as such, costs nothing and counts nothing; draws are
    capped at 20 times the evaluations.

    Raises:
        RunChanged: the replay asks for other architectures than the archive records.
    """
    recorded: dict[int, dict[int, Tell]] = {}
    for tell in archive.tells():
        recorded.setdefault(tell.batch, {})[tell.slot] = tell
    draws = 0
    with _evaluations(problem.dear, workers) as evaluate:
        filler = _Filler(problem, archive, evaluate, seed=seed, budget=evaluations, progress=progress)
        for batch in range(evaluations * DRAWS_PER_EVALUATION + 1):
            genes = searcher.ask()
            if len(genes) == 0:
                return Ending("exhausted", filler.paid, draws)
            told = filler.fill(batch, genes, recorded.get(batch, {}))
            draws += len(told)
            if len(told) == len(genes):
                searcher.tell(genes, [_outcome(told[slot], problem) for slot in range(len(genes))])
            if filler.paid >= evaluations:
                return Ending("budget", filler.paid, draws)
            if draws >= evaluations * DRAWS_PER_EVALUATION:
                break
    return Ending("draws", filler.paid, draws)


def network_seed(seed: int, network: str) -> int:
    """The seed an architecture is evaluated with: its own in every run of one seed, whatever the order."""
    return int.from_bytes(hashlib.sha256(f"{seed} {network}".encode()).digest()[:4], "big") >> 1


def evaluate_all(
    evaluator: Evaluator, networks: Sequence[Network], *, seed: int, workers: int
) -> Iterator[tuple[Network, Evaluation | str]]:
    """Evaluates networks outside any search, in the order they end; a failure comes as its message."""
    tasks = [(network, network_seed(seed, format_network(network))) for network in networks]
    with _evaluations(evaluator, workers) as evaluate:
        for number, result in evaluate(tasks):
            yield networks[number], result


def _check_replay(told: dict[int, Tell], networks: list[Network], batch: int) -> None:
    for slot, tell in told.items():
        asked = format_network(networks[slot]) if slot < len(networks) else None
        if asked != tell.network:
            raise RunChanged(
                f"batch {batch}, slot {slot}: the archive holds {tell.network}, the search now asks for {asked}; "
                "another version or setting wrote this run, give another --run"
            )


class _Filler:
    """Fills batches with tells: those recorded, then what is missing, as far as the budget goes, in slot order."""

    def __init__(
        self,
        problem: Problem,
        archive: Archive,
        evaluate: "_Evaluate",
        *,
        seed: int,
        budget: int,
        progress: Progress,
    ) -> None:
        self._problem = problem
        self._archive = archive
        self._evaluate = evaluate
        self._seed = seed
        self._budget = budget
        self._progress = progress
        self._known: dict[str, Tell] = {}
        self.paid = 0

    def fill(self, batch: int, genes: Genes, recorded: dict[int, Tell]) -> dict[int, Tell]:
        """Tells of a batch by slot; fewer than were asked only when the budget ends within it."""
        networks = self._problem.space.networks(genes)
        _check_replay(recorded, networks, batch)
        filled: dict[int, Tell] = {}
        for tell in recorded.values():
            self._count(tell, filled)
        self._progress(self.paid, f"generation {batch + 1}")
        cheap = self._problem.cheap_values(genes)
        pending: list[Tell] = []
        tasks: list[tuple[Network, int]] = []
        repeats: list[tuple[int, str]] = []
        for slot, network in enumerate(networks):
            if slot in recorded:
                continue
            name = format_network(network)
            if name in self._known or any(name == tell.network for tell in pending):
                repeats.append((slot, name))
                continue
            own_seed = network_seed(self._seed, name)
            own_genes = tuple(int(g) for g in genes[slot])
            tell = Tell(batch, slot, name, own_genes, "values", values=cheap[slot], seed=own_seed)
            violation = self._problem.violation(cheap[slot])
            if violation > 0:
                self._keep(replace(tell, kind="violation", violation=violation), filled)
            elif self.paid + len(pending) >= self._budget:
                break
            elif self._problem.dear is None:
                self._keep(tell, filled)
            else:
                pending.append(tell)
                tasks.append((network, own_seed))
        for number, result in self._evaluate(tasks):
            self._keep(_evaluated(pending[number], result, self._problem), filled)
            self._progress(self.paid, f"generation {batch + 1}")
        for slot, name in repeats:
            if name in self._known:
                self._keep(replace(self._known[name], batch=batch, slot=slot, repeat=True, seconds=0.0), filled)
        return filled

    def _keep(self, tell: Tell, filled: dict[int, Tell]) -> None:
        self._archive.add_tell(tell)
        self._count(tell, filled)

    def _count(self, tell: Tell, filled: dict[int, Tell]) -> None:
        filled[tell.slot] = tell
        if not tell.repeat:
            self._known[tell.network] = tell
            self.paid += tell.kind != "violation"


def _evaluated(tell: Tell, result: Evaluation | str, problem: Problem) -> Tell:
    if isinstance(result, str):
        return replace(tell, kind="failure", message=result)
    if not math.isfinite(result.top1):
        return replace(tell, kind="failure", message=f"top-1 is {result.top1}", seconds=result.seconds)
    values = {**tell.values, "top1": Value(result.top1, result.source)}
    # A limit on top-1 is known to be missed only when it is paid for: the tell keeps its values and says by how much.
    return replace(tell, values=values, violation=problem.violation(values), seconds=result.seconds)


def _outcome(tell: Tell, problem: Problem) -> Outcome:
    if tell.kind == "values":
        return problem.outcome(tell.values)
    return Outcome(tell.kind, violation=tell.violation)


def _evaluate(evaluator: Evaluator | None, network: Network, seed: int) -> Evaluation | str:
    """One evaluation, in whatever process; why it gave no result, where it did not."""
    assert evaluator is not None
    try:
        return evaluator.evaluate(network, seed=seed)
    except TrainingFailed as error:
        return str(error)[:500]
    except (
        RuntimeError
    ) as error:  # torch's word for no memory and the like: not the network's fault, so no result of it
        raise MnasEvoError(f"an evaluation broke off ({error}); what was evaluated is kept") from error


_Evaluate = Callable[[Sequence[tuple[Network, int]]], Iterator[tuple[int, Evaluation | str]]]
"""Evaluates (network, seed) tasks and gives (task number, result) as each ends."""


@contextmanager
def _evaluations(dear: Evaluator | None, workers: int) -> Iterator[_Evaluate]:
    """Where evaluations run: in this process one by one, or in `workers` others."""
    if workers < 1:
        raise RequestError(f"workers is at least 1, not {workers}")
    if dear is None or workers == 1:
        yield lambda tasks: ((number, _evaluate(dear, *task)) for number, task in enumerate(tasks))
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)

    def evaluate(tasks: Sequence[tuple[Network, int]]) -> Iterator[tuple[int, Evaluation | str]]:
        futures = {executor.submit(_evaluate, dear, *task): number for number, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise MnasEvoError(
                "a worker process died (out of memory?); what was evaluated is kept, run the command again with fewer "
                "--workers"
            ) from error

    try:
        yield evaluate
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """No worker outlives the search, even one that was killed, or speaks up when it is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        _exit(1)

    threading.Thread(target=follow, daemon=True).start()
