"""Times two ways of doing the same in turn, and prints the ratio with its noise."""

import statistics
import time
from collections.abc import Callable


def compare(title: str, *, fast: Callable[[], int], slow: Callable[[], int], unit: str, rounds: int = 9) -> None:
    """Each way returns how many units it did; prints units a second of both, and the ratio's median and range."""
    fast()  # warm caches, which both ways share
    ratios, rates = [], []
    for _ in range(rounds):
        slow_rate, fast_rate = _rate(slow), _rate(fast)
        ratios.append(fast_rate / slow_rate)
        rates.append((fast_rate, slow_rate))
    fast_rate, slow_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    print(
        f"{title}: {_figure(fast_rate)} against {_figure(slow_rate)} {unit}/s, ratio {statistics.median(ratios):,.1f} "
        f"({min(ratios):,.1f} to {max(ratios):,.1f})"
    )


def _rate(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - began)


def _figure(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
