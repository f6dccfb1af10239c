"""What an export says of itself: figures with their noise, and a verdict that they bear."""

import numpy as np
import pytest

from mnas_evo.shipping.export_form import Calibration, ExportForm, FileFigures, Lost, lost_of
from mnas_evo.shipping.in_turn import Latency, Ratio
from mnas_evo.shipping.within_points import Trial

FORM = ExportForm(
    network="n", trained_on="digits", relative_difference=1e-6, fp32=FileFigures("m.onnx", 4000, Latency(1.0, 0.1)),
    torch_latency=Latency(3.0, 0.1), device="x", versions={},
)  # fmt: skip


def judged(ratio: Ratio, lost: Lost, *, dot_products: bool | None = True) -> str:
    int8 = FileFigures("m.int8.onnx", 1000, Latency(1.0, 0.1))
    update = {"int8": int8, "ratio": ratio, "lost": lost, "int8_dot_products": dot_products}
    return FORM.model_copy(update=update).verdict()


LITTLE, MUCH, NONE = Lost(99.0, 0.3, 0.4), Lost(90.0, 2.5, 0.4), Lost(100.0, 0.0, 0.0)
FASTER, SLOWER, SAME = Ratio(0.5, 0.4, 0.625), Ratio(1.5, 1.4, 1.6), Ratio(1.0, 0.98, 1.02)


@pytest.mark.parametrize(
    ("ratio", "lost", "dot_products", "words"),
    [
        (FASTER, LITTLE, True, ["2.00 times as fast (1.60 to 2.50)", "loses 0.30 points", "ship m.int8.onnx"]),
        (FASTER, NONE, None, ["loses no top-1: ship m.int8.onnx"]),
        (FASTER, MUCH, True, ["loses 2.50 points", "ship m.onnx"]),
        (SLOWER, LITTLE, False, ["slower: its time is 1.50 times fp32's", "VNNI", "ship m.onnx"]),
        (SLOWER, LITTLE, True, ["Converting values", "ship m.onnx"]),
        (SAME, Lost(99.0, -0.2, 0.3), True, ["as fast as fp32", "gains 0.20 points", "4.0 times as small"]),
    ],
)
def test_the_verdict_weighs_speed_and_accuracy(
    ratio: Ratio, lost: Lost, dot_products: bool | None, words: list[str]
) -> None:
    said = judged(ratio, lost, dot_products=dot_products)
    assert all(word in said for word in words), said


def test_fp32_alone_needs_no_verdict() -> None:
    assert FORM.verdict() == FORM.float_words() == ""


def test_what_int8_loses_is_counted_on_the_same_images() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    fp32, int8 = labels.copy(), labels.copy()
    int8[:3], fp32[3] = 9, 9
    found = lost_of(labels, fp32, int8)
    assert found.points == pytest.approx(25.0)
    assert found.agreement_percent == pytest.approx(50.0)
    assert found.noise_points == pytest.approx(100 * 1.96 * np.sqrt((4 / 8 - (2 / 8) ** 2) / 8))
    assert lost_of(labels, labels, labels) == Lost(100.0, 0.0, 0.0)


def test_what_stayed_in_float_and_what_that_gained_is_said() -> None:
    first, chosen = Trial(("stem",), 1.5, 0.1), Trial(("stem", "block 2"), 0.25, 0.01)
    for trial, words in ((chosen, "with block 2 in float too it loses 0.25"), (first, "it lost as many")):
        made = Calibration(512, 300, "minmax", 0, trial, (first, chosen))
        said = FORM.model_copy(update={"calibration": made}).float_words()
        assert "int8 lost 1.50 points of top-1 on 300 validation images" in said and words in said
