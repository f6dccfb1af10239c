"""The page of a study of scalings: what it says, what it draws, and that it is escaped."""

from dataclasses import replace
from pathlib import Path

import pytest
from pytest import approx
from support.page_text import Page, read_page
from support.report_folders import SCALING_REQUEST, known_scalings

from mnas_evo.errors import DamagedFile
from mnas_evo.report.page import write_report
from mnas_evo.scaling.points import Study, read_study
from mnas_evo.scaling.study import begin
from mnas_evo.scaling.verdict import front, words


def page_of(folder: Path) -> Page:
    return read_page(write_report(folder, folder / "report.html"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return known_scalings(begin(tmp_path_factory.mktemp("study") / "out", SCALING_REQUEST))


@pytest.fixture(scope="module")
def page(study: Study) -> Page:
    return page_of(study.folder)


def test_the_page_says_what_the_command_says_and_lists_every_point(page: Page, study: Study) -> None:
    assert all(" ".join(sentence.split()) in page.words for sentence in words(study))
    rows = page.table("Network", "Width", "Input")
    assert [(row[1], row[2]) for row in rows] == [(f"{p.width:g}", str(p.resolution)) for p in study.points]
    assert sum(row[0].endswith("front") for row in rows) == len(front(study))
    assert rows[0][-1] == f"{study.points[0].top1:.2f}"


def test_widths_and_inputs_are_drawn_beside_mobilenet_v2(page: Page) -> None:
    drawn = page.figures
    assert set(drawn) == {"figure-scaling-width", "figure-scaling-input", "figure-scaling-all"}
    for name, labels in (("width", ["x0.5", "x1", "x2"]), ("input", ["16", "24", "32"])):
        traces = drawn[f"figure-scaling-{name}"]["data"]
        assert [trace["name"] for trace in traces] == ["mobilenet-v2", "<b>one", "0.5 ms"]
        for trace in traces[:2]:
            assert trace["text"] == labels and list(trace["x"]) == sorted(trace["x"]) and len(trace["hovertext"]) == 3
            assert len(trace["error_x"]["array"]) == 3
        assert "&lt;b&gt;one" in traces[1]["hovertext"][0] and "top-1" in traces[1]["hovertext"][0]


def test_all_points_are_drawn_a_line_for_each_input_with_the_front_ringed(page: Page, study: Study) -> None:
    traces = page.figures["figure-scaling-all"]["data"]
    lines = [trace for trace in traces if "legendgroup" in trace]
    assert len(lines) == 6 and all(len(trace["x"]) == 3 for trace in lines)
    assert [trace["name"] for trace in lines if trace["showlegend"]] == ["mobilenet-v2", "<b>one"]
    (ringed,) = [trace for trace in traces if trace["name"] == "on the front"]
    assert list(ringed["x"]) == approx([point.ms for point in front(study)], rel=1e-5)


def test_names_from_the_folder_are_text(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag in ("b", "i")]
    assert "<b>one" in page.words and "<i>phone" in page.words


def test_an_untrained_study_draws_what_it_costs_to_be_wide_or_large(tmp_path: Path) -> None:
    known_scalings(begin(tmp_path, SCALING_REQUEST), trained=False)
    page = page_of(tmp_path)
    assert set(page.figures) == {"figure-scaling-width", "figure-scaling-input"}
    assert page.figures["figure-scaling-width"]["data"][0]["x"] == [0.5, 1.0, 2.0]
    assert "None was trained." in page.words and len(page.table("Network")[0]) == 6


def test_without_latencies_multiply_adds_stand_on_the_axis(tmp_path: Path) -> None:
    found = known_scalings(begin(tmp_path, SCALING_REQUEST), timed=False)
    figure = page_of(tmp_path).figures["figure-scaling-all"]
    assert "MACs" in figure["layout"]["xaxis"]["title"]["text"]
    assert max(figure["data"][-1]["x"]) == approx(max(point.macs for point in front(found)), rel=1e-5)


def test_a_study_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    begin(tmp_path, replace(SCALING_REQUEST, beside=False, widths=(1.0,), resolutions=(32,)))
    assert "1 scaling of them" in page_of(tmp_path).words


def test_one_point_alone_is_drawn(tmp_path: Path) -> None:
    known_scalings(begin(tmp_path, replace(SCALING_REQUEST, beside=False, widths=(1.0,), resolutions=(32,))))
    assert len(page_of(tmp_path).figures) == 3


def test_a_damaged_file_is_named(study: Study, tmp_path: Path) -> None:
    (tmp_path / "scaling.json").write_bytes((study.folder / "scaling.json").read_bytes())
    (tmp_path / "points.csv").write_text("name,width\n")
    with pytest.raises(DamagedFile, match=r"points\.csv"):
        read_study(tmp_path)
