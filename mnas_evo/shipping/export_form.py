"""What an export came to: its figures, kept beside the files, and the judgement they allow, in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.files import Form
from mnas_evo.shipping.in_turn import Latency, Ratio
from mnas_evo.shipping.within_points import Trial

MAY_LOSE_POINTS = 1.0
"""Of top-1 on test images: an int8 file that loses more is not to be shipped without a thought."""

_NORMAL_95 = 1.96

Answers = NDArray[np.int64]
"""The class given to each image, (n,)."""


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One file: its name, size, one image's latency, and top-1 on the test images, percent, where there were any."""

    name: str
    bytes: int
    latency: Latency
    top1: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What int8 was made with; `chosen` is what the file is, `trials` are all that were judged on validation images."""

    images: int
    validation_images: int
    method: str
    seed: int
    chosen: Trial
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """Int8 beside fp32 on the same test images: the share of like answers, percent, and points of top-1 lost.

    `noise_points` is half the 95 % interval of the points, from the images that only one of the two has right.
    """

    agreement_percent: float
    points: float
    noise_points: float


class ExportForm(Form):
    """NAME.export.json beside NAME.onnx: the files, checked against torch and against each other.

    `ratio` is int8's time over fp32's. `int8_dot_products`: whether this processor has instructions for them (VNNI,
    dot products of ARM); None where that is not known.
    """

    network: str
    trained_on: str
    relative_difference: float
    fp32: FileFigures
    torch_latency: Latency
    device: str
    versions: dict[str, str]
    data: str | None = None
    images: int = 0
    classes_said: str = ""
    torch_top1: float | None = None
    torch_agreement_percent: float | None = None
    int8: FileFigures | None = None
    calibration: Calibration | None = None
    lost: Lost | None = None
    ratio: Ratio | None = None
    int8_dot_products: bool | None = None

    def verdict(self) -> str:
        """Which file to ship and why; nothing where there is only one."""
        if self.int8 is None or self.ratio is None or self.lost is None:
            return ""
        speed, accuracy = _speed_words(self.ratio), _lost_words(self.lost)
        smaller = self.fp32.bytes / self.int8.bytes
        found = f"int8 is {speed} and {accuracy}"
        if self.lost.points > MAY_LOSE_POINTS:
            return f"{found}: ship {self.fp32.name}, or train with int8 in mind"
        if self.ratio.high < 1:
            return f"{found}: ship {self.int8.name}"
        if self.ratio.low > 1:
            return f"{found}. {self._why_slow()}: ship {self.fp32.name}"
        return f"{found}: ship {self.fp32.name}, or {self.int8.name} where a file {smaller:.1f} times as small counts"

    def _why_slow(self) -> str:
        if self.int8_dot_products is False:
            return "This processor has no instructions for int8 (VNNI, dot products); one that has may be faster"
        return "Converting values to int8 and back costs more here than it saves, as it does in small networks"

    def float_words(self) -> str:
        """What stayed in float beyond the base, and what that gained; nothing where nothing did."""
        if self.calibration is None or len(self.calibration.trials) == 1:
            return ""
        first, chosen = self.calibration.trials[0], self.calibration.chosen
        lost = f"with only the {', '.join(first.in_float)} in float, int8 lost {first.lost_points:.2f} points"
        where = f"of top-1 on {self.calibration.validation_images:,} validation images"
        if chosen == first:
            return f"{lost} {where}; whatever else stayed in float, it lost as many"
        kept = ", ".join(group for group in chosen.in_float if group not in first.in_float)
        return f"{lost} {where}; with {kept} in float too it loses {chosen.lost_points:.2f}"


def lost_of(labels: Answers, fp32: Answers, int8: Answers) -> Lost:
    """What int8's answers lose against fp32's, all (n,)."""
    count = len(labels)
    gains = (int8 == labels).astype(np.int64) - (fp32 == labels)
    share = gains.mean()
    noise = _NORMAL_95 * np.sqrt(max(0.0, (gains**2).mean() - share**2) / count)
    return Lost(100 * float((fp32 == int8).mean()), -100 * float(share), 100 * float(noise))


def _speed_words(ratio: Ratio) -> str:
    if ratio.high < 1:
        return f"{1 / ratio.median:.2f} times as fast ({1 / ratio.high:.2f} to {1 / ratio.low:.2f})"
    if ratio.low > 1:
        return f"slower: its time is {ratio.median:.2f} times fp32's ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"as fast as fp32 (its time is {ratio.low:.2f} to {ratio.high:.2f} times fp32's)"


def _lost_words(lost: Lost) -> str:
    noise = f" (+-{lost.noise_points:.2f} by the chance of these images)" if lost.noise_points else ""
    if lost.points == 0:
        return f"loses no top-1{noise}"
    if lost.points < 0:
        return f"gains {-lost.points:.2f} points of top-1{noise}"
    return f"loses {lost.points:.2f} points of top-1{noise}"
