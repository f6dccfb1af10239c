"""`mnas-evo compare`: its document, its words, and what it refuses in one line."""

import json
from pathlib import Path

import pytest
from support.comparisons import write_space, write_top1

from mnas_evo.cli.main import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and accuracies."""
    folder = tmp_path_factory.mktemp("problem")
    write_space(folder)
    write_top1(folder / "top1.csv")
    return folder


def arguments(problem: Path, out: Path, *more: str) -> list[str]:
    given = {"--space": problem / "tiny.toml", "--accuracy": f"table:{problem / 'top1.csv'}", "--out": out}
    words = [str(part) for pair in given.items() for part in pair]
    return ["compare", *words, "--objectives", "top1,macs", "--evaluations", "20", *more]


def test_the_document_has_the_contract_s_keys_and_stands_alone(problem: Path, tmp_path: Path, capsys: Capture) -> None:
    more = ("--algorithms", "nsga2:population=10,random", "--seeds", "2", "--at", "50000,90000", "--box", "top1=60")
    assert run(arguments(problem, tmp_path, *more, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "compare.json").read_text())
    assert set(found["algorithms"]) == {"nsga2:population=10", "random"}
    for one in found["algorithms"].values():
        assert {"mean", "sd", "per_seed"} <= set(one["hypervolume"])
        assert set(one["best_top1_at"]) == {"50000", "90000"}
    (test,) = found["tests"]
    assert (test["a"], test["b"]) == ("nsga2:population=10", "random") and {"p", "effect"} <= set(test)
    assert found["box"]["point"]["top1"] == 60
    assert (tmp_path / "report.html").is_file()


def test_it_is_told_in_tables_and_a_paragraph(problem: Path, tmp_path: Path, capsys: Capture) -> None:
    more = ("--algorithms", "evolution:target=60000,random", "--seeds", "2", "--reward", "hard")
    assert run(arguments(problem, tmp_path, *more)) == 0
    out, err = capsys.readouterr()
    assert "comparing: 4 runs" in err
    assert "mean ± deviation over 2 seeds, percent of the true front" in out
    assert "best reward, hard at 60,000 MACs" in out and "evolution:target=60000 - random" in out
    assert "With 20 distinct networks a run and 2 seeds" in out and "too few" in out
    assert out.rstrip().endswith("report.html")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--algorithms", "random,nsga9"), "nsga9"),
        (("--algorithms", "random,random"), "name it once"),
        (("--algorithms", ""), "unknown algorithm"),
        (("--algorithms", "random", "--at", "5,x"), "--at '5,x'"),
        (("--algorithms", "random", "--at", "-5"), "--at"),
        (("--algorithms", "random", "--box", "top1"), "top1"),
        (("--algorithms", "random", "--box", "latency=5"), "latency"),
        (("--algorithms", "random", "--judge", "nowhere.csv"), "nowhere.csv"),
        (("--algorithms", "random", "--seeds", "0"), "--seeds"),
        (("--algorithms", "random", "--workers", "0"), "workers"),
        (("--algorithms", "random", "--population", "10"), "population"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    more: tuple[str, ...], words: str, problem: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run(arguments(problem, tmp_path / "out", *more)) == 2
    err = capsys.readouterr().err
    line = err.splitlines()[-1]
    assert line.startswith("mnas-evo: ") and words in line and "Traceback" not in err


def test_report_writes_its_page_anew(problem: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(arguments(problem, tmp_path / "out", "--algorithms", "random", "--seeds", "1")) == 0
    assert run(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    assert "Hypervolume as the search goes on" in (tmp_path / "page.html").read_text()


def test_a_target_in_ms_where_no_latency_is_an_objective_is_refused(
    problem: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run(arguments(problem, tmp_path, "--algorithms", "evolution,random", "--target-ms", "5")) == 2
    err = capsys.readouterr().err
    assert "--target-ms is a latency" in err and "top1,macs" in err and err.count("\n") == 1
