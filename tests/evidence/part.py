"""Evidence: laws checked on more cases than CI has time for, run by hand, with a table for each part.

A part is a list of cases. The results file is written after each, so a part that was stopped resumes.
"""

import hashlib
import json
import os
import platform
import resource
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from mnas_evo.files import read_text, write_text

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "benchmarks" / "evidence"
MOST_MINUTES = 60.0

Figures = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a part's table.

    `check` raises AssertionError where the law does not hold. It returns the figures that the table shows.
    """

    name: str
    check: Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished case: its figures or its fault, and the processor time of this process and its children."""

    case: str
    figures: Figures
    fault: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """What is checked, in a sentence, its cases for a seed, and a sentence on all results where there is one."""

    name: str
    law: str
    cases: Callable[[int], Sequence[Case]]
    summary: Callable[[Sequence[Result]], str] = lambda results: ""


def cpu_seconds() -> float:
    """Processor time of this process and of the children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run_case(case: Case) -> Result:
    """Runs one case; a broken law and a crash are both faults."""
    before = cpu_seconds()
    try:
        figures, fault = case.check(), ""
    except Exception as error:
        traceback.print_exc()
        figures, fault = {}, f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return Result(case.name, figures, fault, cpu_seconds() - before)


def run_part(part: Part, *, folder: Path = TABLES, seed: int | None = None, minutes: float = MOST_MINUTES) -> int:
    """Runs the cases that have no result yet and writes the table after each; gives the number of faults.

    A run that was stopped resumes with its own seed. The budget is checked between cases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part.name}.json"
    known = json.loads(read_text(path)) if path.exists() else {"results": []}
    asked = known.setdefault("seed", secrets.randbelow(2**31) if seed is None else seed)
    if seed not in (None, asked):
        raise SystemExit(f"{path} has seed {asked}, not {seed}. Remove the file to start again.")
    results = {line["case"]: Result(**line) for line in known["results"]}
    cases = part.cases(asked)
    print(f"{part.name}: seed {asked}, {len(results)} of {len(cases)} cases done before", flush=True)
    end = time.monotonic() + 60 * minutes
    for case in cases:
        if case.name in results:
            continue
        if time.monotonic() > end:
            print(f"{part.name}: {minutes:g} minutes are over. Resume: make evidence PART={part.name}")
            break
        result = run_case(case)
        results[case.name] = result
        write_text(path, json.dumps({"seed": asked, "results": [asdict(each) for each in results.values()]}, indent=1))
        print(f"{case.name}: {result.fault or dict(result.figures)} ({result.cpu_seconds:.0f} s)", flush=True)
        write_text(folder / f"{part.name}.md", table(part, asked, cases, results))
    return sum(bool(result.fault) for result in results.values())


def table(part: Part, seed: int, cases: Sequence[Case], results: Mapping[str, Result]) -> str:
    """The part's table in Markdown."""
    done = [results[case.name] for case in cases if case.name in results]
    columns = list(dict.fromkeys(name for result in done for name in result.figures))
    faults = sum(bool(result.fault) for result in done)
    head = ["case", *columns, "processor s", "fault"]
    rows = [
        [result.case, *(_shown(result.figures.get(name, "")) for name in columns), f"{result.cpu_seconds:.0f}",
         result.fault.replace("|", "/")]
        for result in done
    ]  # fmt: skip
    minutes = sum(result.cpu_seconds for result in done) / 60
    total = f"{len(done)} of {len(cases)} cases, {faults} faults, {minutes:.1f} processor minutes."
    return "\n".join([
        f"# {part.name}", "", part.law, "",
        f"`make evidence PART={part.name}`, {date.today()}, seed {seed}, {_machine()}.",
        f"{total} {part.summary(done)}".rstrip(), "",
        f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows), "",
    ])  # fmt: skip


def case_seed(seed: int, name: str) -> int:
    """A seed of a case's own, which does not depend on the order of cases."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def _shown(value: str | int | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "/")


def _machine() -> str:
    model = ""
    if (info := Path("/proc/cpuinfo")).exists():
        model = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), "")
    return f"{os.cpu_count()} cores of {model or platform.machine()}, Python {platform.python_version()}"
