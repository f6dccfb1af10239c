"""From visits to one time an item: low quantiles, drift by exposure, lower half of visits, split-half noise.

On a shared processor noise only ever adds time, and one visit is not a measurement: the medians of two visits
to one network differ by 6 to 18 %. Hence low quantiles, several visits, and a noise figure beside every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.latency.runs import Run

VISIT_QUANTILE = 0.25
EXPOSURES = (0.0, 0.5, 1.0)
SPLITS = 60

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Combined:
    """Items of one kind: ms and spread of each (n,), and the noise of the kind.

    `spread_percent` is the visits' scaled median absolute deviation. `noise_percent` is the mean error of `ms` as
    random halves of the passes tell it (half of what they disagree by); nan with fewer than four passes.
    `exposure` is the power of the reference's drift that was divided out; `uncorrected_noise_percent` is without.
    """

    items: tuple[str, ...]
    ms: Matrix
    spread_percent: Matrix
    visits: NDArray[np.int64]
    noise_percent: float
    uncorrected_noise_percent: float
    exposure: float


def visit_ms(times_ns: Sequence[int]) -> float:
    """One visit's time: its lower quartile, which warm-up and bursts do not reach."""
    return float(np.quantile(np.asarray(times_ns, dtype=np.float64), VISIT_QUANTILE)) / 1e6


def combine(runs: Sequence[tuple[int, Run]], items: Sequence[str], *, reference: str, seed: int = 0) -> Combined:
    """Combines the visits of some items, all of one kind; `runs` are (pass, run), the reference's among them."""
    index = {item: i for i, item in enumerate(items)}
    passes = sorted({number for number, _ in runs})
    column = {number: c for c, number in enumerate(passes)}
    times = np.full((len(items), len(passes)), np.nan)
    slots = np.zeros_like(times)
    for number, run in runs:
        if run.item in index and run.times_ns:
            times[index[run.item], column[number]] = visit_ms(run.times_ns)
            slots[index[run.item], column[number]] = run.slot
    drift = _drift(runs, slots, passes, reference=reference)
    # The same splits for each exposure, so that only the correction makes a difference.
    noise = {e: _split_noise(times / drift**e, rng=np.random.default_rng(seed)) for e in EXPOSURES}
    best = min(EXPOSURES, key=lambda e: (np.nan_to_num(noise[e], nan=np.inf), e))
    corrected = times / drift**best
    visits = np.isfinite(times).sum(axis=1)
    return Combined(
        tuple(items),
        _lower_half_mean(corrected),
        _spread_percent(corrected),
        visits,
        noise[best],
        noise[0.0],
        best,
    )


def reference_series(runs: Sequence[tuple[int, Run]], *, reference: str) -> list[tuple[int, int, float]]:
    """(pass, slot, ms) of every visit to the reference, in order."""
    found = [
        (number, run.slot, visit_ms(run.times_ns)) for number, run in runs if run.item == reference and run.times_ns
    ]
    return sorted(found)


def _drift(runs: Sequence[tuple[int, Run]], slots: Matrix, passes: list[int], *, reference: str) -> Matrix:
    """The reference's time around each visit over its median: interpolated between the visits before and after."""
    series = reference_series(runs, reference=reference)
    if not series:
        return np.ones_like(slots)
    middle = float(np.median([ms for _, _, ms in series]))
    drift = np.ones_like(slots)
    for c, number in enumerate(passes):
        here = [(slot, ms / middle) for p, slot, ms in series if p == number]
        if here:
            at, level = np.array(here).T
            drift[:, c] = np.interp(slots[:, c], at, level)
    return drift


def _lower_half_mean(times: Matrix) -> Matrix:
    """Mean of the lower half of each row's visits, rounded up; nan where there is none."""
    ordered = np.sort(times, axis=1)  # nan sorts last
    counts = np.isfinite(times).sum(axis=1)
    keep = np.arange(times.shape[1]) < ((counts + 1) // 2)[:, None]
    sums = np.where(keep, ordered, 0.0).sum(axis=1)
    mean: Matrix = np.divide(sums, keep.sum(axis=1), out=np.full(len(times), np.nan), where=counts > 0)
    return mean


def _spread_percent(times: Matrix) -> Matrix:
    filled = np.isfinite(times).any(axis=1)
    spread = np.full(len(times), np.nan)
    middle = np.nanmedian(times[filled], axis=1)
    spread[filled] = 100 * 1.4826 * np.nanmedian(np.abs(times[filled] - middle[:, None]), axis=1) / middle
    return spread


def _split_noise(times: Matrix, *, rng: np.random.Generator) -> float:
    """Half of the mean relative disagreement of two random halves of the passes, percent."""
    if len(times) == 0:
        return float("nan")
    full = times[:, np.isfinite(times).mean(axis=0) > 0.5]
    if full.shape[1] < 4:
        return float("nan")
    half = full.shape[1] // 2
    disagreements = []
    for _ in range(SPLITS):
        order = rng.permutation(full.shape[1])
        first, second = _lower_half_mean(full[:, order[:half]]), _lower_half_mean(full[:, order[half : 2 * half]])
        disagreements.append(np.nanmean(np.abs(first - second) / (first + second) * 2))
    return float(np.mean(disagreements) / 2 * 100)
