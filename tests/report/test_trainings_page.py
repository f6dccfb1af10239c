"""The page of several trainings: who leads, each training and its curve, while they run and once they have ended."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.page_text import Page, read_page
from support.report_folders import TRAINED_NETWORKS, TRAINING_REQUESTS, put_test

from mnas_evo.errors import DamagedFile, TrainingFailed
from mnas_evo.files import read_form, write_form
from mnas_evo.finalists import several
from mnas_evo.finalists.final_training import TrainingForm, TrainingRequest, train_final
from mnas_evo.finalists.several import Finalist, leader, train_several
from mnas_evo.report.page import write_report
from mnas_evo.report.palette import dark_by_light
from mnas_evo.report.trainings import is_trainings

WHY = "the loss became <nan> in epoch 1"


def failing(folder: Path, request: TrainingRequest, **told: Any) -> object:
    if request.network == TRAINED_NETWORKS["<b>own"] and request.seed == 1:
        raise TrainingFailed(WHY)
    return TRAIN(folder, request, **told)


TRAIN = train_final


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Finalist, ...]]:
    """Three networks with two seeds each, of which one training failed; nothing is tested."""
    folder = tmp_path_factory.mktemp("finalists")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(several, "train_final", failing)
        return folder, train_several(folder, TRAINING_REQUESTS, seeds=[0, 1])


@pytest.fixture
def folder(trained: tuple[Path, tuple[Finalist, ...]], tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(trained[0], tmp_path / "finalists"))


def page_of(folder: Path) -> Page:
    return read_page(write_report(folder, folder.parent / "report.html"))


def close(values: list[float]) -> Any:
    """Values as a page has them, whose figures are rounded."""
    return pytest.approx(values, rel=1e-4)


def test_the_page_says_who_leads_and_lists_every_training(trained: tuple[Path, tuple[Finalist, ...]]) -> None:
    folder, finalists = trained
    page = page_of(folder)
    best, said = leader(finalists)
    assert said in page.words and "6 trainings of them: 5 ended, 1 failed." in page.words
    rows = page.table("Network", "Top-1, %", "Deviation", "Seeds")
    assert [row[0].removesuffix(" best mean") for row in rows] == list(TRAINED_NETWORKS)
    assert [row[1] for row in rows] == [f"{one.mean:.2f}" for one in finalists]
    assert [row[3] for row in rows] == ["2", "2", "1 of 2"]
    assert [row[0] for row in rows if row[0].endswith("best mean")] == [f"{best.name} best mean"]
    each = page.table("Training of", "Seed", "Epochs")
    assert len(each) == 6 and each[0][2:] == ["2 of 2", f"{finalists[0].top1[0]:.2f}", "ended"]
    assert each[-1][-1] == "failed" and f"<b>own, seed 1: {WHY}" in page.words
    assert "mnas-evo evaluate" in page.words and "Latency, ms" not in page.words


def test_every_curve_and_every_seed_is_drawn(trained: tuple[Path, tuple[Finalist, ...]]) -> None:
    folder, finalists = trained
    drawn = page_of(folder).figures
    assert set(drawn) == {"figure-networks", "figure-curves"}
    curves = drawn["figure-curves"]["data"]
    assert [trace["name"] for trace in curves if trace["showlegend"]] == list(TRAINED_NETWORKS)
    assert len(curves) == 5 and all(trace["x"] == [1, 2] for trace in curves)
    form = read_form(folder / "rank2-seed1" / "training.json", TrainingForm)
    assert curves[1]["y"] == close([epoch.top1 for epoch in form.epochs])
    seeds, means = drawn["figure-networks"]["data"]
    assert seeds["y"] == close([top1 for one in finalists for top1 in one.top1.values()])
    assert means["y"] == close([one.mean for one in finalists]) and means["x"] == ["rank2", "rank10", "&lt;b&gt;own"]
    assert means["error_y"]["array"][:2] == close([one.deviation for one in finalists[:2]])
    colours = {word for word in str(curves).replace("'", " ").split() if word.startswith("#")}
    assert colours and colours <= set(dark_by_light())


def test_tested_networks_are_drawn_against_latency_with_intervals_and_the_others_are_named(folder: Path) -> None:
    first = put_test(folder, "rank2-seed0", latency_ms=1.5)
    second = put_test(folder, "rank10-seed1", latency_ms=2.5)
    page = page_of(folder)
    traces = page.figures["figure-latency"]["data"]
    assert [(trace["name"], trace["x"]) for trace in traces] == [("rank2", [1.5]), ("rank10", [2.5])]
    assert [trace["y"] for trace in traces] == [close([one.metrics.top1]) for one in (first, second)]
    bars = traces[0]["error_y"]
    assert bars["array"] == close([first.metrics.top1_high - first.metrics.top1])
    assert bars["arrayminus"] == close([first.metrics.top1 - first.metrics.top1_low])
    assert "Without a latency, for they were not tested: <b>own." in page.words
    rows = page.table("Network", "Top-1, %", "Deviation", "Seeds", "Best test top-1, %", "Latency, ms")
    assert [row[5] for row in rows] == ["1.500", "2.500", "\u2013"]
    assert rows[0][4].startswith(f"{first.metrics.top1:.2f}")


def test_latencies_of_another_device_are_left_out_and_it_is_said(folder: Path) -> None:
    for name in ("rank2-seed0", "rank2-seed1"):
        put_test(folder, name, latency_ms=1.5)
    put_test(folder, "rank10-seed0", latency_ms=0.1, device="a server")
    page = page_of(folder)
    (trace,) = page.figures["figure-latency"]["data"]
    assert trace["name"] == "rank2"
    assert "Not drawn, for they were tested on other devices or data: rank10." in page.words


def test_while_they_run_the_folders_of_the_trainings_tell(folder: Path) -> None:
    (folder / "trainings.json").unlink()
    shutil.rmtree(folder / "<b>own-seed0")
    path = folder / "rank10-seed1" / "training.json"
    form = read_form(path, TrainingForm)
    write_form(path, form.model_copy(update={"epochs": form.epochs[:1]}))
    (path.parent / "last.pt").unlink()
    page = page_of(folder)
    assert "2 networks, 4 trainings of them: 3 ended, 1 not ended." in page.words
    assert "So far, on the validation images, " in page.words
    # By their numbers, as they were asked for.
    assert [row[0].split()[0] for row in page.table("Network", "Top-1, %")] == ["rank2", "rank10"]
    assert page.table("Training of", "Seed", "Epochs")[-1][2:] == ["1 of 2", f"{form.epochs[0].top1:.2f}", "not ended"]
    assert page.figures["figure-curves"]["data"][-1]["mode"] == "markers"


def test_before_the_first_epoch_has_ended_there_is_a_page(folder: Path) -> None:
    for name in list(TRAINED_NETWORKS)[1:]:
        for seed in (0, 1):
            shutil.rmtree(folder / f"{name}-seed{seed}", ignore_errors=True)
    (folder / "trainings.json").unlink()
    for place in (folder / "rank2-seed0", folder / "rank2-seed1"):
        form = read_form(place / "training.json", TrainingForm)
        write_form(place / "training.json", form.model_copy(update={"epochs": ()}))
        (place / "last.pt").unlink()
    page = page_of(folder)
    assert "None has been trained to the end yet." in page.words and not page.figures


def test_names_from_the_folder_are_text(trained: tuple[Path, tuple[Finalist, ...]]) -> None:
    page = page_of(trained[0])
    assert not [tag for tag, _ in page.elements if tag in ("b", "nan")]


def test_one_training_alone_is_no_folder_of_several(trained: tuple[Path, tuple[Finalist, ...]]) -> None:
    assert is_trainings(trained[0]) and not is_trainings(trained[0] / "rank2-seed0")
    assert "Final training" in page_of(trained[0] / "rank2-seed0").words


def test_a_damaged_training_is_named(folder: Path) -> None:
    (folder / "rank2-seed0" / "training.json").write_text("{")
    with pytest.raises(DamagedFile, match=r"rank2-seed0/training\.json"):
        page_of(folder)
