"""What the page shows of a trained network's test: its figures, each class, what was predicted, how sure it was."""

from pathlib import Path

import pytest
from pytest import approx
from support.page_text import Page, read_page
from support.report_folders import TESTED_NETWORK, evaluation_of
from support.sample_job import build_training

from mnas_evo.files import write_form
from mnas_evo.report.evaluation import MOST_ROWS
from mnas_evo.report.page import write_report
from mnas_evo.report.palette import dark_by_light
from mnas_evo.shipping.evaluation import EvaluationForm


def page(folder: Path, form: EvaluationForm) -> Page:
    build_training(folder, TESTED_NETWORK)
    write_form(folder / "evaluation.json", form)
    return read_page(write_report(folder, folder.parent / "page.html"))


def test_the_figures_of_each_class_stand_in_a_table(tmp_path: Path) -> None:
    form = evaluation_of(["cat", "dog", "owl", "true"])  # a class called as the column of confusion.csv
    found = page(tmp_path / "training", form)
    rows = found.table("Class", "Test images", "Predicted")
    assert [row[0] for row in rows] == ["cat", "dog", "owl", "true"]
    assert [int(row[1]) for row in rows] == [12] * 4
    assert [int(row[2]) for row in rows] == [each.predicted for each in form.metrics.classes]
    assert [row[5] for row in rows] == [f"{each.f1:.2f} %" for each in form.metrics.classes]
    figures = dict(found.table("Figure", "Value"))
    assert "(95 %: " in figures["Top-1"] and "Top-5" not in figures
    assert figures["Latency in eager torch, where it was tested"] == "7.500 ms (quartiles 0.25 ms apart)"
    assert "They were matched by name." in found.words


def test_predictions_and_calibration_are_drawn(tmp_path: Path) -> None:
    form = evaluation_of(["cat", "dog", "owl", "ox"])
    figures = page(tmp_path / "training", form).figures
    traces = {trace["name"]: trace for trace in figures["figure-predictions"]["data"]}
    assert traces["predicted"]["y"] == [each.predicted for each in form.metrics.classes]
    assert traces["true"]["y"] == [12] * 4
    curve = next(trace for trace in figures["figure-calibration"]["data"] if trace["name"] == "this network")
    assert curve["x"] == approx([each.confidence for each in form.metrics.calibration], rel=1e-5)
    matrix = figures["figure-confusion"]["data"][0]
    assert matrix["text"][0][0] == str(form.metrics.confusion[0][0])
    painted = str([figures[f"figure-{name}"]["data"] for name in ("predictions", "calibration", "confusion")])
    colours = {word for word in painted.replace("'", " ").split() if word.startswith("#")}
    assert colours and colours <= set(dark_by_light())


@pytest.mark.parametrize("classes", [60, 120])
def test_of_many_classes_the_worst_are_in_the_table(classes: int, tmp_path: Path) -> None:
    form = evaluation_of([f"class {number}" for number in range(classes)])
    found = page(tmp_path / "training", form)
    rows = found.table("Class", "Test images", "Predicted")
    assert [row[0] for row in rows] == [name for name, _ in form.worst_classes(MOST_ROWS)]
    assert ("figure-confusion" in found.figures) == (classes <= 100)
    assert ("A matrix of 120 classes is not drawn here" in found.words) == (classes > 100)


def test_classes_without_test_images_and_of_one_name_are_shown_apart(tmp_path: Path) -> None:
    found = page(tmp_path / "training", evaluation_of(["crane", "crane", "gull"], with_images=2))
    assert [row[0] for row in found.table("Class", "Test images")] == ["crane", "crane"]
    assert "Left out: 1 class without any." in found.words
    assert found.figures["figure-confusion"]["data"][0]["x"] == ["0: crane", "1: crane", "2: gull"]


def test_names_of_classes_are_escaped(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    found = page(tmp_path / "training", evaluation_of([hostile, "b", "c"]))
    assert not [tag for tag, _ in found.elements if tag == "img"]
    assert hostile in found.words
    said = str(found.figures["figure-predictions"]) + str(found.figures["figure-confusion"])
    assert "&lt;img" in said and "<img" not in said
