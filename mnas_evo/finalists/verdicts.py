"""What re-measuring says: of every network, of all together, and of the latency limit that they were to meet.

A search seeks out what is underpredicted, so the error on a front is not the error on random networks. Both stand
apart, and so does what the device itself has moved by since its table was measured.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnas_evo.files import Form
from mnas_evo.latency.runs import DeviceFacts

Matrix = NDArray[np.float64]
Interval = Literal["inside", "below", "above", "none"]
REMEASURED = "remeasure.json"
_UNKNOWN = float("nan")
_TO_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation


@dataclass(frozen=True, slots=True)
class Verdict:
    """A network's told time with its 90 % interval, if any, and what it was measured to take, all ms."""

    network: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float
    spread_percent: float
    visits: int

    @property
    def off_percent(self) -> float:
        """By how much it is slower than predicted, percent of the prediction."""
        return 100 * (self.measured_ms / self.predicted_ms - 1)

    @property
    def interval(self) -> Interval:
        """Where the measured time lies: `below` the interval is faster than it, `none` is no interval."""
        return self.interval_at(1.0)

    def interval_at(self, level: float) -> Interval:
        """The same on a device that takes `level` times as long for everything as its table says."""
        if self.low_ms is None or self.high_ms is None:
            return "none"
        ms = self.measured_ms / level
        return "below" if ms < self.low_ms else "above" if ms > self.high_ms else "inside"

    def missed_percent(self, limit_ms: float) -> float | None:
        """By how much it misses a limit that it was predicted to meet; None where it does not."""
        promised, kept = self.predicted_ms <= limit_ms, self.measured_ms <= limit_ms
        return 100 * (self.measured_ms / limit_ms - 1) if promised and not kept else None

    def is_to_be_had(self, limit_ms: float) -> bool:
        """Whether it meets a limit that it was predicted to miss."""
        return self.predicted_ms > limit_ms >= self.measured_ms

    def as_json(self, limit_ms: float | None) -> dict[str, Any]:
        """All of it as plain values; `missed_percent` and `to_be_had` where there is a limit."""
        said = {**asdict(self), "off_percent": self.off_percent, "interval": self.interval}
        if limit_ms is not None:
            said |= {"missed_percent": self.missed_percent(limit_ms), "to_be_had": self.is_to_be_had(limit_ms)}
        return said


@dataclass(frozen=True, slots=True)
class Remeasured:
    """What re-measuring came to. Errors are of predicted against measured, percent; bias > 0: slower than predicted.

    `anchors_*` compare the table's own networks now and then; `shift_percent` is the median of that,
    `shift_noise_percent` its standard error, and `settled_*` are of the front with that taken out. `fold_*` are of
    networks held back from the predictor's fit. nan is not known: the run has no table, or one that was measured or
    fitted anew since.
    """

    networks: int
    noise_percent: float
    error_percent: float
    bias_percent: float
    inside_interval: int
    anchors_error_percent: float
    anchors_bias_percent: float
    shift_percent: float
    shift_noise_percent: float
    settled_error_percent: float
    settled_bias_percent: float
    settled_inside: int
    fold_error_percent: float
    fold_bias_percent: float

    @property
    def level(self) -> float:
        """By what the device takes longer than its table says; 1 where that is not known."""
        return 1.0 if math.isnan(self.shift_percent) else 1 + self.shift_percent / 100

    def in_words(self, *, told: str = "predictions were", intervals: bool = True) -> str:
        """What re-measuring says of what was told before, with or without intervals, in sentences."""
        found = f"{self.networks} network{'s' * (self.networks != 1)} of the front measured"
        found += f" (noise {self.noise_percent:.2f} %)"
        off = f"{told} off by {self.error_percent:.1f} % with a bias of {self.bias_percent:+.1f} %"
        lay = f"; {self.inside_interval} lay in their interval" if intervals else ""
        said = f"{found}: {off}{lay}. {self.drift_in_words(intervals=intervals)}".rstrip()
        if math.isnan(self.fold_error_percent):
            return said
        return (
            f"{said} Random networks, held back from its fit, the predictor prices with an error of "
            f"{self.fold_error_percent:.1f} % and a bias of {self.fold_bias_percent:+.1f} %."
        )

    def drift_in_words(self, *, intervals: bool = True) -> str:
        """What the table's own networks say of the device since, in sentences; nothing where there were none."""
        if math.isnan(self.anchors_error_percent):
            return ""
        said = (
            "The table's own networks, measured again beside them, differ from the table by "
            f"{self.anchors_error_percent:.1f} % with a bias of {self.anchors_bias_percent:+.1f} %: "
            "so much is the device's."
        )
        if math.isnan(self.settled_error_percent):
            return said
        lie = f", and {self.settled_inside} lie in their interval" if intervals else ""
        return (
            f"{said} With their median, {self.shift_percent:+.1f} % (give or take {self.shift_noise_percent:.1f}), "
            f"taken out, the front is off by {self.settled_error_percent:.1f} % with a bias of "
            f"{self.settled_bias_percent:+.1f} %{lie}."
        )


class RemeasuredForm(Form):
    """remeasure.json in a run's folder: what the newest re-measuring came to.

    `as_searched`: what is checked was measured as the search went, not predicted. `refused` by the device; `unstable`
    ones' times stayed uncertain by 3 % and more.
    """

    device: DeviceFacts
    found: Remeasured
    seed: int
    versions: dict[str, str]
    quantity: str
    as_searched: bool
    limit_ms: float | None
    verdicts: tuple[Verdict, ...]
    refused: tuple[str, ...]
    unstable: tuple[str, ...]

    @property
    def outside(self) -> tuple[Verdict, ...]:
        """The networks out of their interval, furthest off first."""
        found = [one for one in self.verdicts if one.interval in ("below", "above")]
        return tuple(sorted(found, key=lambda one: -abs(one.off_percent)))

    def in_words(self) -> str:
        """What it came to, in sentences."""
        told = "the times of the search were" if self.as_searched else "predictions were"
        intervals = any(one.interval != "none" for one in self.verdicts)
        said = [self.found.in_words(told=told, intervals=intervals)]
        if self.refused:
            said.append(f"The device refused {len(self.refused)}, {self.refused[0]} first.")
        if self.unstable:
            said.append(f"{len(self.unstable)} stayed uncertain by 3 % and more: give more --minutes.")
        return " ".join(said)

    def limit_words(self) -> list[str]:
        """What the limit came to, a line each: the whole, then what is missed, then what is to be had after all."""
        if self.limit_ms is None:
            return []
        limit = self.limit_ms
        promised = sum(one.predicted_ms <= limit for one in self.verdicts)
        missed = [(off, one) for one in self.verdicts if (off := one.missed_percent(limit)) is not None]
        told = "measured by the search" if self.as_searched else "predicted"
        count = f"{len(missed)} of {promised}" if missed else f"none of {promised}"
        lines = [f"limit {limit:g} ms: {count} {told} to run within it {'take' if len(missed) > 1 else 'takes'} longer"]
        for off, one in sorted(missed, key=lambda pair: -pair[0]):
            lines.append(f"MISSED by {off:.1f} %: {_times(one, told)}: {one.network}")
        for one in self.verdicts:
            if one.is_to_be_had(limit):
                lines.append(f"to be had after all: {_times(one, told)}: {one.network}")
        return lines


def _times(one: Verdict, told: str) -> str:
    return f"{told} {one.predicted_ms:.4g} ms, measured {one.measured_ms:.4g} ms"


def summarised(
    verdicts: Sequence[Verdict],
    *,
    noise_percent: float,
    anchors: Sequence[tuple[float, float]] = (),
    held_out: Sequence[tuple[float, float]] = (),
) -> Remeasured:
    """All verdicts together; `anchors` are (ms in the table, ms now), `held_out` (predicted ms, measured ms)."""
    off = off_percent([(one.predicted_ms, one.measured_ms) for one in verdicts])
    drift, fold = off_percent(anchors), off_percent(held_out)
    level = 1 + float(np.median(drift)) / 100 if len(drift) else _UNKNOWN
    settled = off_percent([(one.predicted_ms * level, one.measured_ms) for one in verdicts])
    return Remeasured(
        networks=len(verdicts),
        noise_percent=noise_percent,
        error_percent=_mean(np.abs(off)),
        bias_percent=_mean(off),
        inside_interval=sum(one.interval == "inside" for one in verdicts),
        anchors_error_percent=_mean(np.abs(drift)),
        anchors_bias_percent=_mean(drift),
        shift_percent=100 * (level - 1),
        shift_noise_percent=_median_noise(drift),
        settled_error_percent=_mean(np.abs(settled)),
        settled_bias_percent=_mean(settled),
        settled_inside=sum(one.interval_at(level) == "inside" for one in verdicts) if len(drift) else 0,
        fold_error_percent=_mean(np.abs(fold)),
        fold_bias_percent=_mean(fold),
    )


def off_percent(pairs: Sequence[tuple[float, float]]) -> Matrix:
    """By how much the second of each pair is more than the first, percent (n,)."""
    first, second = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return np.asarray(100 * (second / first - 1))


def _median_noise(values: Matrix) -> float:
    """Standard error of the median of (n,) values, as of normal ones with their median absolute deviation."""
    if len(values) < 2:
        return _UNKNOWN
    deviation = _TO_DEVIATION * float(np.median(np.abs(values - np.median(values))))
    return float(np.sqrt(np.pi / 2)) * deviation / float(np.sqrt(len(values)))


def _mean(values: Matrix) -> float:
    return float(values.mean()) if len(values) else _UNKNOWN
