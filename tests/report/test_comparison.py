"""The page of a comparison: what it says, what it draws, and that it is escaped."""

from pathlib import Path

import pytest
from support.comparisons import asked_for, quiet, write_space, write_top1
from support.page_text import Page, read_page

from mnas_evo.comparing.compare import Asked, compare
from mnas_evo.comparing.forms import Comparison
from mnas_evo.errors import DamagedFile
from mnas_evo.report.page import write_report

RL = "rl:reward=hard:target=60000"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """A comparison with a controller in it, in a folder whose name would be HTML."""
    folder = tmp_path_factory.mktemp("problem") / "<b>x"
    folder.mkdir()
    write_space(folder)
    write_top1(folder / "top1.csv")
    return folder / "out", compare(folder / "out", asked_for(folder, "nsga2", RL, "random"), Asked(), report=quiet)


@pytest.fixture(scope="module")
def page(compared: tuple[Path, Comparison], tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read_page(write_report(compared[0], tmp_path_factory.mktemp("pages") / "page.html"))


def test_the_page_has_the_answer_and_every_figure(page: Page, compared: tuple[Path, Comparison]) -> None:
    found = compared[1]
    assert found.answer in page.words
    rows = page.table("Algorithm", "Hypervolume, %")
    assert [row[0] for row in rows] == list(found.algorithms)
    assert rows[0][1].startswith(f"{found.algorithms['nsga2'].hypervolume_percent.mean:.2f}")
    # Three pairs; and by the controller's reward the two that it stands in.
    assert [len(rows) - 1 for rows in page.tables if rows[0][0] == "Pair"] == [3, 2]
    assert len(page.table("Run", "Ended by")) == 6


def test_curves_fronts_samples_and_entropy_are_drawn(page: Page) -> None:
    drawn = page.figures
    assert set(drawn) == {
        "figure-attained",
        "figure-fronts",
        "figure-hypervolume-whole",
        "figure-hypervolume-box",
        "figure-samples-0",
        "figure-spread-0",
        "figure-entropy",
    }
    lines = [trace for trace in drawn["figure-hypervolume-whole"]["data"] if "fill" not in trace]
    assert [trace["name"] for trace in lines] == ["nsga2", RL, "random"]
    assert all(list(trace["y"]) == sorted(trace["y"]) and trace["x"][-1] == 30 for trace in lines)
    (target,) = drawn["figure-spread-0"]["layout"]["shapes"]
    assert target["x0"] == 60_000


def test_a_controller_s_samples_are_all_it_drew_in_order(page: Page, compared: tuple[Path, Comparison]) -> None:
    draws = next(run.draws for run in compared[1].runs if run.algorithm == RL)
    thirds = page.figures["figure-samples-0"]["data"]
    assert [trace["name"] for trace in thirds] == ["first third", "second third", "last third"]
    assert sum(len(trace["x"]) for trace in thirds) == draws


def test_names_from_the_folder_are_text(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag == "b"]
    assert any("<b>x" in code for code in page.codes)


def test_three_objectives_have_no_attainment(tmp_path: Path) -> None:
    write_space(tmp_path)
    write_top1(tmp_path / "top1.csv")
    request = asked_for(tmp_path, "random", objectives="top1,macs,params", evaluations=10)
    compare(tmp_path / "out", request, Asked(), report=quiet)
    found = read_page(write_report(tmp_path / "out", tmp_path / "page.html"))
    assert "figure-attained" not in found.figures and "two of them are drawn" in found.words
    assert "nothing to test" in found.words


def test_a_damaged_file_is_named(compared: tuple[Path, Comparison], tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_bytes((compared[0] / "compare.json").read_bytes())
    (tmp_path / "drawing.json").write_text("{")
    with pytest.raises(DamagedFile, match=r"drawing\.json"):
        write_report(tmp_path, tmp_path / "page.html")
