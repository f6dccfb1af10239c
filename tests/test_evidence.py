"""The driver of evidence: it resumes, it reports a broken law, and it writes the table."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from evidence.part import Case, Figures, Part, run_part


def part_of(*checks: Callable[[], Figures]) -> Part:
    return Part("laws", "One is one.", lambda seed: [Case(f"case {n} of {seed}", one) for n, one in enumerate(checks)])


def test_a_stopped_part_resumes_with_its_seed_and_runs_no_case_twice(tmp_path: Path) -> None:
    ran = []

    def counted() -> Figures:
        ran.append(1)
        return {"runs": len(ran), "share %": 12.3456}

    assert run_part(part_of(counted, counted), folder=tmp_path, seed=5, minutes=0.0) == 0
    assert ran == []
    assert run_part(part_of(counted), folder=tmp_path, seed=5) == 0
    assert run_part(part_of(counted, counted), folder=tmp_path) == 0
    assert len(ran) == 2
    written = (tmp_path / "laws.md").read_text()
    assert "seed 5" in written and "2 of 2 cases, 0 faults" in written
    assert "| case 0 of 5 | 1 | 12.3 |" in written and "| case 1 of 5 | 2 | 12.3 |" in written


def test_a_broken_law_is_a_fault_and_the_next_case_runs(tmp_path: Path) -> None:
    def broken() -> Figures:
        raise AssertionError("one is two")

    assert run_part(part_of(broken, lambda: {"runs": 1}), folder=tmp_path, seed=1) == 1
    assert "AssertionError: one is two" in (tmp_path / "laws.md").read_text()


def test_another_seed_than_that_of_the_results_is_refused(tmp_path: Path) -> None:
    one: Sequence[Callable[[], Figures]] = [lambda: {"runs": 1}]
    run_part(part_of(*one), folder=tmp_path, seed=1)
    with pytest.raises(SystemExit, match="has seed 1, not 2"):
        run_part(part_of(*one), folder=tmp_path, seed=2)
