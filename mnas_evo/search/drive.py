"""Drives a searcher through a problem into an archive, from nothing or from where a killed run stopped."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mnas_evo.accuracy.contract import Evaluate, Evaluation
from mnas_evo.accuracy.evaluating import Workers, evaluating, network_seed
from mnas_evo.errors import RunChanged
from mnas_evo.search.archive import Archive, Tell, Value
from mnas_evo.search.contract import Outcome, Searcher, Telling
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
    workers: Workers = 1,
    progress: Progress,
) -> Ending:
    """Replays what the archive holds through the searcher, then goes on until `evaluations` distinct ones are paid for.

    An architecture outside a limit on a cheap quantity is told as such, costs nothing and counts nothing; draws are
    capped at 20 times the evaluations.

    Raises:
        RunChanged: the replay asks for other architectures than the archive records.
    """
    draws = 0
    with evaluating(problem.dear, workers) as evaluate:
        filler = _Filler(problem, archive, evaluate, seed=seed, budget=evaluations, progress=progress)
        for batch in range(evaluations * DRAWS_PER_EVALUATION + 1):
            genes = searcher.ask()
            if len(genes) == 0:
                return Ending("exhausted", filler.paid, draws)
            told = filler.fill(batch, genes)
            draws += len(told)
            if len(told) == len(genes):
                searcher.tell(genes, [_outcome(told[slot], problem) for slot in range(len(genes))])
                if isinstance(searcher, Telling):
                    archive.add_facts(batch, searcher.facts())
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
        self.paid = 0

    def fill(self, batch: int, genes: Genes) -> dict[int, Tell]:
        """Tells of a batch by slot; fewer than were asked only when the budget ends within it."""
        networks = self._problem.space.networks(genes)
        filled: dict[int, Tell] = {}
        self._count({tell.slot: tell for tell in self._archive.batch(batch)}, filled)
        _check_replay(filled, networks, batch)
        note = f"generation {batch + 1}"
        self._progress(self.paid, note)
        if len(filled) == len(networks):
            return filled
        names = [format_network(network) for network in networks]
        known = self._archive.first_tells([name for slot, name in enumerate(names) if slot not in filled])
        new = _first_slots(names, {*filled, *(slot for slot, name in enumerate(names) if name in known)})
        priced = self._price(batch, {slot: networks[slot] for slot in new}, genes, names)
        ready, pending = self._within_budget(priced)
        self._keep([*ready, *_repeats(batch, names, known, filled)], filled)
        for number, result in self._evaluate([(networks[tell.slot], tell.seed) for tell in pending]):
            self._keep([_evaluated(pending[number], result, self._problem)], filled)
            self._progress(self.paid, note)
        told = {tell.network: tell for tell in filled.values() if not tell.repeat}
        self._keep(_repeats(batch, names, told, filled), filled)
        return filled

    def _price(self, batch: int, asked: dict[int, Network], genes: Genes, names: Sequence[str]) -> list[Tell]:
        """What new architectures, by slot, come to before accuracy is paid for: by all that is cheap, then measured."""
        slots = list(asked)
        found = [
            self._judged(
                Tell(
                    batch,
                    slot,
                    names[slot],
                    tuple(int(g) for g in genes[slot]),
                    "values",
                    values=values,
                    seed=network_seed(self._seed, names[slot]),
                )
            )
            for slot, values in zip(slots, self._problem.cheap_values(genes[slots]), strict=True)
        ]
        device = self._problem.on_device
        left = [i for i, tell in enumerate(found) if tell.kind == "values"]
        if device is None or not left:
            return found
        measured = device.measure([asked[slots[i]] for i in left], batch=batch)
        for i, latency in zip(left, measured, strict=True):
            if isinstance(latency, str):
                found[i] = replace(found[i], kind="failure", message=latency)
            else:
                found[i] = self._judged(replace(found[i], values={**found[i].values, "latency_ms": latency}))
        return found

    def _judged(self, tell: Tell) -> Tell:
        """The tell as a failure where a value is no number, as a violation where one misses a limit."""
        wrong = {name: value for name, value in tell.values.items() if not math.isfinite(value.value)}
        if wrong:
            said = ", ".join(f"{name} is {value.value}" for name, value in wrong.items())
            known = {name: value for name, value in tell.values.items() if name not in wrong}
            return replace(tell, kind="failure", values=known, message=said)
        violation = self._problem.violation(tell.values)
        return replace(tell, kind="violation", violation=violation) if violation > 0 else tell

    def _within_budget(self, priced: list[Tell]) -> tuple[list[Tell], list[Tell]]:
        """What is told at once, and what accuracy is to be paid for, up to the slot that no budget is left for."""
        ready: list[Tell] = []
        pending: list[Tell] = []
        left = self._budget - self.paid
        for tell in priced:
            if self._costs(tell):
                if left == 0:
                    break
                left -= 1
            (pending if tell.kind == "values" and self._problem.dear is not None else ready).append(tell)
        return ready, pending

    def _keep(self, tells: list[Tell], filled: dict[int, Tell]) -> None:
        self._archive.add_tells(tells)
        self._count({tell.slot: tell for tell in tells}, filled)

    def _count(self, tells: dict[int, Tell], filled: dict[int, Tell]) -> None:
        filled |= tells
        self.paid += sum(not tell.repeat and self._costs(tell) for tell in tells.values())

    def _costs(self, tell: Tell) -> bool:
        """Whether it counts as an evaluation: what a device measured does, also where it missed a limit."""
        return tell.kind != "violation" or (self._problem.on_device is not None and "latency_ms" in tell.values)


def _first_slots(names: Sequence[str], without: set[int]) -> list[int]:
    """The slots, but for some, at which each network stands for the first time."""
    first: dict[str, int] = {}
    for slot, name in enumerate(names):
        if slot not in without:
            first.setdefault(name, slot)
    return list(first.values())


def _repeats(batch: int, names: Sequence[str], told: Mapping[str, Tell], filled: Mapping[int, Tell]) -> list[Tell]:
    """Slots not filled yet whose network was told before, told again: at no cost."""
    return [
        replace(told[name], batch=batch, slot=slot, repeat=True, seconds=0.0)
        for slot, name in enumerate(names)
        if slot not in filled and name in told
    ]


def _evaluated(tell: Tell, result: Evaluation | str, problem: Problem) -> Tell:
    if isinstance(result, str):
        return replace(tell, kind="failure", message=result)
    if not math.isfinite(result.top1):
        return replace(tell, kind="failure", message=f"top-1 is {result.top1}", seconds=result.seconds)
    values = {**tell.values, "top1": Value(result.top1, result.source)}
    # A limit on top-1 is known to be missed only when it is paid for: the tell keeps its values and says by how much.
    return replace(tell, values=values, violation=problem.violation(values), seconds=result.seconds)


def _outcome(tell: Tell, problem: Problem) -> Outcome:
    return Outcome("failure") if tell.kind == "failure" else problem.outcome(tell.values)
