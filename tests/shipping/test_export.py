"""Shipping: fp32 and int8 beside each other, checked against torch, and what was found kept with them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.digits_classifier import digits_classifier
from support.image_folders import write_colours
from support.run_networks import session

from mnas_evo.data import datasets
from mnas_evo.errors import RequestError
from mnas_evo.files import read_form
from mnas_evo.shipping import export_data, making_int8
from mnas_evo.shipping.export import Int8Request, export, form_path, int8_path
from mnas_evo.shipping.export_data import read_judging
from mnas_evo.shipping.export_form import ExportForm
from mnas_evo.shipping.within_points import quantise_within
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.checkpoint import Checkpoint, untrained

NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r1_k5_s22_o24_pool_conv/head128/10")
FEW = Int8Request(calibration=64)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return digits_classifier(NETWORK)


@contextmanager
def int8_may_lose(points: float) -> Iterator[None]:
    """Sets how many points of top-1 int8 may lose before more parts stay in float."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making_int8, "quantise_within", partial(quantise_within, may_lose_points=points))
        yield


@pytest.fixture(scope="module")
def shipped(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportForm, Path]:
    """The first int8 file that is tried: only the stem is in float, whatever is lost."""
    out = tmp_path_factory.mktemp("out") / "deep" / "model.onnx"
    with int8_may_lose(100.0):
        return export(checkpoint, out, data="digits", int8=FEW, seconds=0.0), out


def test_int8_loses_at_most_a_point_beyond_chance(shipped: tuple[ExportForm, Path]) -> None:
    form, _ = shipped
    assert form.int8 is not None and form.lost is not None and form.ratio is not None
    assert form.torch_top1 == form.fp32.top1 and form.torch_agreement_percent == 100
    assert form.fp32.top1 is not None and form.fp32.top1 > 70
    assert form.lost.points <= 1 + form.lost.noise_points
    assert form.lost.points == pytest.approx(form.fp32.top1 - (form.int8.top1 or 0))
    assert form.images == 360
    assert form.ratio.low <= form.ratio.median <= form.ratio.high
    assert form.verdict().startswith("int8 is ")


def test_what_was_found_is_kept_beside_the_files(shipped: tuple[ExportForm, Path]) -> None:
    form, out = shipped
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "model.export.json", "model.int8.onnx", "model.onnx",
    ]  # fmt: skip
    assert read_form(form_path(out), ExportForm) == form
    assert form.int8 is not None
    assert (form.fp32.bytes, form.int8.bytes) == (out.stat().st_size, int8_path(out).stat().st_size)
    assert form.int8.bytes < 0.75 * form.fp32.bytes


def test_the_int8_file_has_all_that_the_fp32_file_has_inside_and_how_it_was_made(
    shipped: tuple[ExportForm, Path],
) -> None:
    _, out = shipped
    fp32, int8 = (session(str(path)).get_modelmeta().custom_metadata_map for path in (out, int8_path(out)))
    assert {**fp32, "precision": "int8"}.items() <= int8.items()
    facts = json.loads(int8["calibration"])
    assert facts == {"images": 64, "method": "minmax", "seed": 0, "in_float": ["stem"]}
    assert int8["network"] == format_network(NETWORK)


def test_the_same_seed_makes_the_same_int8_file(
    checkpoint: Checkpoint, shipped: tuple[ExportForm, Path], tmp_path: Path
) -> None:
    for seed, same in ((0, True), (1, False)):
        with int8_may_lose(100.0):
            export(checkpoint, tmp_path / "model.onnx", data="digits", int8=Int8Request(64, seed=seed), seconds=0.0)
        assert ((tmp_path / "model.int8.onnx").read_bytes() == int8_path(shipped[1]).read_bytes()) is same


def test_where_int8_loses_too_much_parts_stay_in_float_and_the_file_says_which(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "model.onnx"
    with int8_may_lose(-100.0):
        form = export(checkpoint, out, data="digits", int8=FEW, seconds=0.0)
    assert form.calibration is not None
    chosen, trials = form.calibration.chosen, form.calibration.trials
    assert chosen.lost_points == min(trial.lost_points for trial in trials)
    assert {group for trial in trials for group in trial.in_float} == {
        "stem", "block 1", "block 2", "squeeze-excite", "skips", "head", "classifier",
    }  # fmt: skip
    least, most = (min(trials, key=key) for key in (lambda t: t.divergence, lambda t: -t.divergence))
    assert len(least.in_float) > 3 > len(most.in_float)  # what is in float cannot diverge
    metadata = session(str(int8_path(out))).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["calibration"])["in_float"] == list(chosen.in_float)
    assert "validation images" in form.float_words()


def test_a_network_that_knows_nothing_is_not_searched_for_what_to_save(tmp_path: Path) -> None:
    form = export(untrained(NETWORK, seed=0), tmp_path / "m.onnx", data="digits", int8=FEW, seconds=0.0)
    assert form.calibration is not None and len(form.calibration.trials) == 1


@pytest.mark.parametrize(
    ("top1", "classes", "learnt"),
    [(0.99, 2, True), (0.7, 2, True), (0.52, 2, False), (0.3, 10, False), (0.4, 10, True), (0.1, 1000, False)],
)
def test_what_has_been_learnt_is_told_from_chance_for_few_classes_and_many(
    top1: float, classes: int, learnt: bool
) -> None:
    assert making_int8.has_learnt(top1, classes=classes) is learnt


def test_fp32_alone_is_checked_on_test_images_where_data_are_given(checkpoint: Checkpoint, tmp_path: Path) -> None:
    bare = export(checkpoint, tmp_path / "m.onnx", seconds=0.0)
    assert (bare.data, bare.images, bare.fp32.top1, bare.int8) == (None, 0, None, None)
    assert bare.fp32.latency.median_ms > 0 < bare.torch_latency.median_ms
    assert export(checkpoint, tmp_path / "m.onnx", data="digits", seconds=0.0).fp32.top1 is not None
    assert not int8_path(tmp_path / "m.onnx").exists()


def test_what_calibrates_and_judges_is_no_test_image(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_data, "_VALIDATION_MOST", 100)
    found = read_judging(checkpoint, "digits", calibration=None, seed=0)
    assert (len(found.calibration), len(found.validation.labels)) == (512, 100)
    tested = {image.tobytes() for image in datasets.test_data("digits").pixels(np.arange(360))}
    for images in (found.calibration, found.validation.images):
        assert not tested & {image.tobytes() for image in images.pixels(np.arange(len(images)))}
    trained = {image.tobytes() for image in datasets.search_data("digits").train.pixels(np.arange(1077))}
    assert trained >= {image.tobytes() for image in found.calibration.pixels(np.arange(512))}
    few = read_judging(checkpoint, "digits@60", calibration=None, seed=0)
    assert len(few.calibration) == 60


@pytest.mark.parametrize(
    ("data", "calibration", "words"),
    [
        (None, 8, "give --data DATA"),
        ("digits", 1078, "--calibration 1078: digits has 1,077 training images; give 1 to 1077"),
        ("digits@100", 101, "digits@100 has 100 training images"),
        ("digits", 0, "--calibration 0"),
        ("FOLDER", 8, "has 3 classes"),
    ],
)
def test_what_cannot_be_quantised_is_refused_and_nothing_is_written(
    data: str | None, calibration: int, words: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    if data == "FOLDER":
        data = write_colours(tmp_path / "animals", ("cat", "dog", "owl"))
    with pytest.raises(RequestError, match=words):
        export(checkpoint, tmp_path / "out" / "m.onnx", data=data, int8=Int8Request(calibration))
    assert not (tmp_path / "out").exists()


def test_data_of_other_channels_are_refused(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "animals", tuple("0123456789"))
    with pytest.raises(RequestError, match="1 channel, these have 3"):
        export(untrained(NETWORK, seed=0), tmp_path / "m.onnx", data=data, int8=Int8Request(8))
