"""A hundred small faults, put into the package one at a time: how many the mirrored test files notice.

Places are drawn evenly over all that cosmic-ray could change, then one of its changes there. Changes of `|` are left
out: nearly all are in annotations, where they end the import. The tests run in a copy of the checkout, which has to
pass them unchanged.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evidence.part import ROOT, Case, Figures, Part, Result

FOLDERS = ("latency", "devices", "search", "training", "shipping")
COUNT, SEED = 100, 10
STAGES = {"fast": "not slow and not gpu and not browser and not remote", "slow": "slow or browser or remote"}
STAGE_SECONDS = 400.0
MARKED = re.compile(r"mark\.(slow|browser|remote)|NEEDED")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the module, where, by which of cosmic-ray's operators, and its number among all of that operator."""

    module: str
    line: int
    column: int
    operator: str
    occurrence: int

    @property
    def name(self) -> str:
        """`latency/combine.py:12:8 ReplaceComparisonOperator_Lt_LtE`."""
        return f"{self.module}:{self.line}:{self.column} {self.operator.removeprefix('core/')}"


def draw(root: Path, *, count: int = COUNT, seed: int = SEED) -> list[Mutant]:
    """Mutants of the package below a checkout, at distinct places."""
    rng = random.Random(seed)
    places: dict[tuple[str, int, int], list[Mutant]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((root / "mnas_evo" / folder).rglob("*.py")):
            for mutant in mutants_of(path, module=str(path.relative_to(root / "mnas_evo"))):
                places[mutant.module, mutant.line, mutant.column].append(mutant)
    return [rng.choice(places[place]) for place in rng.sample(sorted(places), count)]


def mutants_of(path: Path, *, module: str) -> Iterator[Mutant]:
    """Everything that cosmic-ray could change in a file."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
    for name in sorted(operator_names()):
        if "BitOr" in name or name in ("core/VariableReplacer", "core/VariableInserter"):
            continue
        operator = get_operator(name)()
        positions = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (line, column) in enumerate(positions):
            yield Mutant(module, line, column, name, occurrence)


def mutated(path: Path, mutant: Mutant) -> str:
    """The module's text with the change."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = mutate_code(path.read_text(encoding="utf-8"), get_operator(mutant.operator)(), mutant.occurrence)
    assert text is not None, mutant
    return str(text)


def mirrors(root: Path, module: str) -> list[Path]:
    """The test file of a module; where none has its name, those of its folder that import it, else any that do."""
    folder, stem = Path(module).parent, Path(module).stem
    own = root / "tests" / folder / f"test_{stem}.py"
    if own.exists():
        return [own]
    wanted = f"mnas_evo.{'.'.join(folder.parts)}.{stem}"
    for place in (root / "tests" / folder, root / "tests"):
        if found := [path for path in sorted(place.rglob("test_*.py")) if f"{wanted} import" in path.read_text()]:
            return found
    return sorted((root / "tests" / folder).glob("test_*.py"))


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A copy of a checkout without what is built, to be changed."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "dist", "build", "site", "__pycache__", ".*_cache", "raw")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(root, Path(folder) / "mnas_evo", ignore=ignored))


def run_tests(tree: Path, files: Sequence[Path], marked: str, *, seconds: float = STAGE_SECONDS) -> int | None:
    """pytest's exit status on some files of a copied tree; None if it took too long, and then it is killed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", marked, *map(str, files)]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "tests")])}
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=tree, env=paths, stdout=silent, stderr=silent, start_new_session=True)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def check(mutant: Mutant, *, root: Path = ROOT) -> Figures:
    """Whether the mirrored tests notice a mutant, and which: the fast ones are asked first."""
    with copy_of(root) as tree:
        path = tree / "mnas_evo" / mutant.module
        path.write_text(mutated(path, mutant), encoding="utf-8")
        files = mirrors(tree, mutant.module)
        shown = ", ".join(file.name for file in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        texts = [file.read_text(encoding="utf-8") for file in files]
        for stage, marked in STAGES.items():
            if stage == "slow" and not any(MARKED.search(text) for text in texts):
                continue
            status = run_tests(tree, files, marked)
            if status is None:
                return {"killed": "yes", "by": "time", "tests": shown}
            if status not in (0, 5):
                return {"killed": "yes", "by": stage, "tests": shown}
    return {"killed": "no", "by": "", "tests": shown}


def check_unchanged(modules: Sequence[str], *, root: Path = ROOT) -> Figures:
    """The tests of all modules pass where nothing is changed; without that, every mutant would seem killed."""
    with copy_of(root) as tree:
        files = sorted({file for module in modules for file in mirrors(tree, module)})
        for marked in STAGES.values():
            status = run_tests(tree, files, marked, seconds=9 * STAGE_SECONDS)
            assert status in (0, 5), f"pytest ended with {status} on {marked}"
    return {"killed": "no", "tests": f"{len(files)} files"}


def cases(seed: int) -> list[Case]:
    """The cases; the draw has a seed of its own, so that suites can be compared."""
    mutants = draw(ROOT)
    return [
        Case("unchanged", partial(check_unchanged, sorted({mutant.module for mutant in mutants}))),
        *(Case(mutant.name, partial(check, mutant)) for mutant in mutants),
    ]


def summary(results: Sequence[Result]) -> str:
    """The share that was killed, in all and by folder."""
    killed: dict[str, list[bool]] = defaultdict(list)
    for result in results:
        if result.case == "unchanged":
            continue
        killed[result.case.partition("/")[0]].append(result.figures.get("killed") == "yes")
    shares = ", ".join(f"{folder} {sum(found)} of {len(found)}" for folder, found in sorted(killed.items()))
    return f"Killed: {sum(map(sum, killed.values()))} of {sum(map(len, killed.values()))} ({shares})."


PART = Part("mutants", f"{COUNT} mutants drawn with seed {SEED}, and the test files that notice them.", cases, summary)
