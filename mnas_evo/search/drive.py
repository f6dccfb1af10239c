"""Drives a searcher through a problem into an archive, from nothing or from where a killed run stopped."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import Evaluate, evaluating, network_seed
from mnas_evo.errors import RunChanged
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
    with evaluating(problem.dear, workers) as evaluate:
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
        evaluate: Evaluate,
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
