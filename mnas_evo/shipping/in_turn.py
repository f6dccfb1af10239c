"""Times several ways of doing the same in turn, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

SECONDS = 3.0
_FEWEST_ROUNDS = 11
_MOST_ROUNDS = 400
_STRETCH_NS = 5_000_000  # a way runs so long before the next has its turn: its weights are back in the cache by then
_MOST_RUNS = 200
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and interquartile range over the rounds, ms."""

    median_ms: float
    iqr_ms: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median over the rounds of one way's time over another's in the same round, and the median's 95 % interval."""

    median: float
    low: float
    high: float


def time_in_turn(ways: Mapping[str, Callable[[], object]], *, seconds: float = SECONDS) -> dict[str, Times]:
    """Times of each way, ns, one a round, (rounds,): the median of the runs in its stretch of that round.

    The order of the ways turns round from one round to the next.
    """
    runs = {name: _runs(way) for name, way in ways.items()}
    times: dict[str, list[int]] = {name: [] for name in ways}
    end = time.perf_counter_ns() + int(1e9 * seconds)
    names = list(ways)
    for number in range(_MOST_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.perf_counter_ns() >= end:
            break
        for name in names if number % 2 == 0 else reversed(names):
            ways[name]()  # what the way before it left in the caches
            times[name].append(int(np.median(_stretch(ways[name], runs[name]))))
    return {name: np.array(column, np.int64) for name, column in times.items()}


def latency(times_ns: Times) -> Latency:
    """What one way's times come to."""
    low, middle, high = np.quantile(times_ns / 1e6, (0.25, 0.5, 0.75))
    return Latency(float(middle), float(high - low))


def ratio(times_ns: Times, over_ns: Times) -> Ratio:
    """One way's times over another's, round by round; the interval is by order, so it assumes no distribution."""
    found = np.sort(times_ns / over_ns)
    half = _NORMAL_95 * np.sqrt(len(found)) / 2
    low = max(0, int(np.floor(len(found) / 2 - half)) - 1)
    high = min(len(found) - 1, int(np.ceil(len(found) / 2 + half)))
    return Ratio(float(np.median(found)), float(found[low]), float(found[high]))


def _runs(way: Callable[[], object]) -> int:
    """How many runs fill a stretch; a few runs before warm the way up."""
    for _ in range(3):
        way()
    return int(np.clip(_STRETCH_NS // max(1, min(_stretch(way, 3))), 1, _MOST_RUNS))


def _stretch(way: Callable[[], object], runs: int) -> list[int]:
    found = []
    for _ in range(runs):
        began = time.perf_counter_ns()
        way()
        found.append(time.perf_counter_ns() - began)
    return found
