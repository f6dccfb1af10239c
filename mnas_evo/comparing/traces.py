"""The runs of a comparison as it looks at them: arrays cut at the budget, judged anew where another judge is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnas_evo.accuracy.table import AccuracyTable, accuracy_lines
from mnas_evo.comparing.runs import EndedForm, PlannedRun
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import fingerprint, read_text
from mnas_evo.search.archive import Archive, Tell
from mnas_evo.search.drive import DRAWS_PER_EVALUATION
from mnas_evo.search.objectives import MAXIMISED, Problem
from mnas_evo.search.run import archive_path
from mnas_evo.space.space import SearchSpace

_ENUMERATED = 1_000_000  # genomes: of a larger space the true front is not looked for
_AT_ONCE = 100_000
_SHOWN = 3

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """Top-1, percent, by which all that was evaluated is judged in place of what the searches were told."""

    path: Path
    top1: Mapping[str, float]

    @property
    def fingerprint(self) -> str:
        """The file's content."""
        return fingerprint("judge", read_text(self.path))


@dataclass(frozen=True, slots=True)
class Trace:
    """One run, cut at the budget.

    `values`: minimised objectives (n, m) of each evaluation in order, NaN where it gave none or missed a limit;
    `sampled`: those of every draw that has them, repeats too; `drawn`: draws made at the end of each batch; `facts`:
    what the searcher said of itself, by name and batch.
    """

    seed: int
    folder: Path
    ended: EndedForm
    values: Matrix
    sampled: Matrix
    failed: int
    draws: int
    drawn: Mapping[int, int]
    facts: Mapping[str, Mapping[int, float]]


def read_judge(path: Path, space: SearchSpace) -> Judge:
    """Reads a CSV of architecture and top1; lines of one architecture, of several trainings, are averaged.

    Raises:
        DamagedFile: a line cannot be read.
    """
    found: dict[str, list[float]] = {}
    for line in accuracy_lines(path, task=space.frame):
        found.setdefault(line.string, []).append(line.top1)
    return Judge(path, {string: float(np.mean(top1)) for string, top1 in found.items()})


def read_trace(run: PlannedRun, problem: Problem, judge: Judge | None) -> Trace:
    """A run that has come to its end.

    Raises:
        RequestError: the judge knows nothing of networks that it evaluated.
    """
    ended, path = run.ended, archive_path(run.folder)
    if ended is None:
        raise DamagedFile(f"{run.folder} has not come to its end; run the comparison again")
    tells: list[Tell] = []
    facts: Mapping[str, Mapping[int, float]] = {}
    if path.is_file():
        with Archive(path) as archive:
            tells = within_budget(archive.tells(), run.request.evaluations)
            facts = archive.facts()
    if judge is not None:
        _check_known(tells, judge)
    paid = [tell for tell in tells if _is_paid(tell)]
    found = np.array([_row(tell, problem, judge) for tell in tells]).reshape(-1, len(problem.objectives))
    drawn = {tell.batch: number for number, tell in enumerate(tells, start=1)}
    return Trace(
        seed=run.request.seed,
        folder=run.folder,
        ended=ended,
        values=found[[_is_paid(tell) for tell in tells]] if tells else found,
        sampled=found[~np.isnan(found).any(axis=1)],
        failed=sum(tell.kind == "failure" for tell in paid),
        draws=len(tells),
        drawn=drawn,
        facts={name: {b: v for b, v in by_batch.items() if b in drawn} for name, by_batch in facts.items()},
    )


def within_budget(tells: Sequence[Tell], evaluations: int) -> list[Tell]:
    """The tells that a search of so many evaluations has, of one that may have had more."""
    kept: list[Tell] = []
    paid = 0
    for tell in tells:
        if len(kept) >= evaluations * DRAWS_PER_EVALUATION and tell.batch != kept[-1].batch:
            break
        kept.append(tell)
        paid += _is_paid(tell)
        if paid == evaluations:
            break
    return kept


def _is_paid(tell: Tell) -> bool:
    return not tell.repeat and tell.kind != "violation"


def _row(tell: Tell, problem: Problem, judge: Judge | None) -> list[float]:
    if tell.kind != "values" or tell.violation > 0:
        return [np.nan] * len(problem.objectives)
    values = {name: value.value for name, value in tell.values.items()}
    if judge is not None:
        values["top1"] = judge.top1[tell.network]
    return problem.minimised(values)


def _check_known(tells: Sequence[Tell], judge: Judge) -> None:
    unknown = {tell.network for tell in tells if tell.kind == "values" and tell.network not in judge.top1}
    if unknown:
        some = ", ".join(sorted(unknown)[:_SHOWN])
        raise RequestError(f"--judge {judge.path} has no line for {len(unknown)} evaluated networks, such as {some}")


def known_values(problem: Problem, judge: Judge | None) -> Matrix | None:
    """Minimised objectives (n, m) of every architecture within the limits; None where they are not all known.

    They are where top-1 of the whole space is listed, by the judge or by a table, and all else is predicted.
    """
    table = problem.cheap["top1"].predictor if "top1" in problem.cheap else None
    top1 = judge.top1 if judge else table.entries if isinstance(table, AccuracyTable) else {}
    if problem.space.genomes > _ENUMERATED or len(top1) < problem.space.architectures:
        return None
    if not {*problem.objectives, *problem.limits} <= {*problem.cheap, "top1"}:
        return None
    try:
        genes = problem.space.all_genes()
        found = [_known(genes[start : start + _AT_ONCE], problem, judge) for start in range(0, len(genes), _AT_ONCE)]
    except (KeyError, RequestError):  # as many lines, but not of this space alone
        return None
    known = np.concatenate(found)
    return known if len(known) else None


def _known(genes: NDArray[np.int64], problem: Problem, judge: Judge | None) -> Matrix:
    values = problem.cheap_arrays(genes)
    within = problem.violations(values) == 0  # by what the searches were told, as their own networks are
    if judge is not None:
        values["top1"] = np.array([judge.top1[string] for string in problem.space.strings(genes)])
    columns = [-values[name] if name in MAXIMISED else values[name] for name in problem.objectives]
    return np.asarray(np.stack(columns, axis=1)[within])
