"""What searching costs beside what it evaluates, and how much of a front it finds, against what else there is.

    python benchmarks/search.py                              overhead an evaluation, and memory of a long search
    python benchmarks/search.py --data PATH --out DIR        quality on published problems, in comparisons that resume

PATH is a folder with nas-bench-macro.csv (all 6,561 networks, three trainings: the searchers see the first and are
judged by the mean of all) and accel-nasbench-half.csv (a surrogate of its top-1, an additive model of its ZCU102).
The second writes DIR/macro and DIR/accel, each with compare.json and report.html, and says what Optuna's NSGA-II and
pymoo's, set up as their guides do, find for the same evaluations.
"""

import argparse
import resource
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import accel_nasbench
import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from mnas_evo.comparing.compare import Asked, compare
from mnas_evo.comparing.forms import Comparison
from mnas_evo.comparing.runs import CompareRequest
from mnas_evo.files import read_csv, write_csv
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.foreign import import_table
from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.archive import Archive
from mnas_evo.search.drive import drive
from mnas_evo.search.front import hypervolume
from mnas_evo.search.objectives import MAXIMISED, Counted, Problem, Source
from mnas_evo.search.run import SearchRequest, prepare
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space

OVERHEAD = {"nsga2": 2_000, "evolution": 2_000, "random": 2_000, "rl": 1_000, "surrogate-nsga2": 300}
LONG = (20_000, 100_000)
DRAWS = 20  # a distinct network, as a search of ours may have
WORKERS = 2


class LogParams:
    """A top-1 that grows with the logarithm of the parameters."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def predict(self, genes: Genes) -> Prediction:
        """Top-1, percent, of genomes (n, g)."""
        top1 = 10 * np.log10(self._space.params(genes).astype(np.float64))
        return Prediction(top1, top1, top1)


class Timed:
    """A predictor, and the processor time spent in it."""

    def __init__(self, inner: LogParams | Counted) -> None:
        self._inner = inner
        self.seconds = 0.0

    def predict(self, genes: Genes) -> Prediction:
        """What the predictor says."""
        began = time.process_time()
        found = self._inner.predict(genes)
        self.seconds += time.process_time() - began
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.data is None:
        overhead()
        memory()
    elif asked.out is None:
        parser.error("--data needs --out")
    else:
        quality(asked.data, asked.out)


def table_only(space: SearchSpace) -> tuple[Problem, list[Timed]]:
    """A problem that costs nothing but the pricing of genomes."""
    timed = [Timed(LogParams(space)), Timed(Counted(space, "macs"))]
    cheap = {"top1": Source(timed[0], "by parameters"), "macs": Source(timed[1], "counted")}
    return Problem(space, ("top1", "macs"), {}, cheap, None), timed


def overhead() -> None:
    """Processor time an evaluation, without that of the predictors, with the archive."""
    space = load_space("paper")
    for name, evaluations in OVERHEAD.items():
        problem, timed = table_only(space)
        searcher = parse_algorithm(name).searcher(problem, seed=0)
        with TemporaryDirectory() as folder, Archive(Path(folder) / "archive.sqlite", create=True) as archive:
            before, began = sum(one.seconds for one in timed), time.process_time()
            ending = drive(
                searcher, problem, archive, evaluations=evaluations, seed=0, progress=lambda done, note: None
            )
            spent = time.process_time() - began - (sum(one.seconds for one in timed) - before)
        print(
            f"{name:16} {1e3 * spent / ending.evaluations:6.2f} ms an evaluation ({ending.evaluations} evaluations, "
            f"{ending.draws} draws)"
        )


def memory() -> None:
    """Largest memory of one process after a search, and after going on with it to five times its length."""
    problem, _ = table_only(load_space("paper"))
    with TemporaryDirectory() as folder, Archive(Path(folder) / "archive.sqlite", create=True) as archive:
        searcher = parse_algorithm("nsga2:population=100").searcher(problem, seed=0)
        seen: dict[int, int] = {}

        def note(done: int, text: str) -> None:
            for count in LONG:
                if done >= count - 100 and count not in seen:
                    seen[count] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        drive(searcher, problem, archive, evaluations=LONG[-1], seed=0, progress=note)
    text = ", ".join(f"{kib / 1024:.0f} MB at {count:,} evaluations" for count, kib in seen.items())
    print(f"largest memory of a search: {text}")


# Quality

SEEDS = 10
MACRO = ("surrogate-nsga2", "nsga2", "rl", "rl:setting=tuned:reward=hard:targets=5", "evolution", "random")
ACCEL = (*MACRO, "nsga2:population=50")
EARLY, LATE = 300, 1_000
LIMITS_MS = (4.0, 5.0, 6.0)
SPACE = accel_nasbench.SPACE


def quality(data: Path, out: Path) -> None:
    """Both comparisons, and what others' NSGA-II finds on the second problem."""
    seen, judge = convert_macro(data / "nas-bench-macro.csv", out)
    macro = SearchRequest(
        "nas-bench-macro", (), f"table:{seen}", objectives="top1,macs", evaluations=EARLY, workers=WORKERS
    )
    asked = Asked(box=("top1=85",), judge=judge)
    print(f"\n{compare(out / 'macro', CompareRequest(MACRO, SEEDS, macro), asked, report=say).answer}\n")
    accel = accel_problem(data / "accel-nasbench-half.csv", out)
    found = compare(out / "accel", CompareRequest(ACCEL, SEEDS, accel), Asked(at=LIMITS_MS), report=say)
    print(f"\n{found.answer}\n")
    others(prepare(accel).problem, found)


def convert_macro(source: Path, out: Path) -> tuple[Path, Path]:
    """CSVs of the first training's top-1 and of the mean of three, for all 6,561 networks."""
    space = load_space("nas-bench-macro")
    rows = [row for _, row in read_csv(source, ("arch", "acc1", "mean_acc"))]
    genes = np.zeros((len(rows), len(space.sizes)), dtype=np.int64)
    genes[:, [kind == "op" for kind, _ in space.gene_options]] = [[int(digit) for digit in row["arch"]] for row in rows]
    networks = space.strings(space.canonical(genes))
    paths = out / "macro-first.csv", out / "macro-mean.csv"
    for path, column in zip(paths, ("acc1", "mean_acc"), strict=True):
        lines = [(network, row[column]) for network, row in zip(networks, rows, strict=True)]
        write_csv(path, ("architecture", "top1"), lines)
    return paths


def accel_problem(source: Path, out: Path) -> SearchRequest:
    """A search on a surrogate of top-1 and an additive model of ZCU102's latency, both fitted on all that is known."""
    table = out / "zcu102"
    if not (table / "predictor.json").exists():
        space = load_space(SPACE)
        import_table(accel_nasbench.convert(source, out, space)["zcu102"], table, format="networks", task=space.frame)
        fit(table)
    return SearchRequest(SPACE, (str(table),), f"surrogate:{out / 'top1.csv'}", evaluations=LATE, workers=WORKERS)


def say(share: float, note: str) -> None:
    """Progress, on one line."""
    print(f"\r{100 * share:3.0f} % {note:60}", end="", flush=True)


# What others have


def others(problem: Problem, found: Comparison) -> None:
    """Hypervolume of pymoo's and Optuna's NSGA-II after as many distinct networks, on the comparison's own scale."""
    reference = np.array([problem.minimised(found.whole.point)[i] for i in range(2)])
    for name, search in {"pymoo, population 20": by_pymoo, "Optuna": by_optuna}.items():
        covered, began = [], time.process_time()
        for seed in range(SEEDS):
            evaluated = Distinct(problem, LATE)
            search(problem, evaluated, seed)
            values = np.array(evaluated.values)
            volumes = [hypervolume(values[:count], reference) for count in (EARLY, LATE)]
            covered.append(100 * np.array(volumes) / found.whole.hypervolume)
        seconds = (time.process_time() - began) / SEEDS
        early, late = np.mean(covered, axis=0)
        print(f"{name}: {early:.1f} % at {EARLY}, {late:.1f} % at {LATE} distinct networks; {seconds:.1f} s a search")


class Enough(Exception):
    """The budget of distinct networks is spent."""


class Distinct:
    """Objectives of genomes, and those of every architecture when it was first asked for, as far as a budget goes."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self._problem = problem
        self._budget = budget
        self._seen: set[bytes] = set()
        self.values: list[NDArray[np.float64]] = []

    def __call__(self, genes: Genes) -> NDArray[np.float64]:
        """Objectives, minimised, (n, 2)."""
        canonical = self._problem.space.canonical(genes)
        known = self._problem.cheap_arrays(canonical)
        columns = [known[name] * (-1.0 if name in MAXIMISED else 1.0) for name in self._problem.objectives]
        values = np.column_stack(columns)
        for row, value in zip(canonical, values, strict=True):
            if row.tobytes() not in self._seen:
                self._seen.add(row.tobytes())
                self.values.append(value)
                if len(self.values) == self._budget:
                    raise Enough
        return values


def by_pymoo(problem: Problem, evaluate: Distinct, seed: int) -> None:
    """As its guide to discrete variables sets it up: simulated binary crossover, polynomial mutation, rounded."""
    sizes = problem.space.sizes

    class Genome(PymooProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=len(sizes), n_obj=2, xl=0, xu=sizes - 1, vtype=int)

        def _evaluate(self, x: Genes, out: dict[str, NDArray[np.float64]], *args: object, **more: object) -> None:
            out["F"] = evaluate(x.astype(np.int64))

    algorithm = NSGA2(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    with suppress(Enough):
        minimize(Genome(), algorithm, ("n_eval", DRAWS * LATE), seed=seed)


def by_optuna(problem: Problem, evaluate: Distinct, seed: int) -> None:
    """Its NSGA-II as it comes, one integer a gene."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna.samplers.NSGAIISampler(seed=seed))

    def objective(trial: Any) -> tuple[float, ...]:
        genome = [trial.suggest_int(f"gene{i}", 0, int(size) - 1) for i, size in enumerate(problem.space.sizes)]
        return tuple(evaluate(np.array([genome], dtype=np.int64))[0].tolist())

    with suppress(Enough):
        study.optimize(objective, n_trials=DRAWS * LATE)


if __name__ == "__main__":
    main()
