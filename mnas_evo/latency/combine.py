"""From visits to one time an item: low quantiles, drift by exposure, lower half of visits, intervals, split-half noise.

On a shared processor noise only ever adds time, and one visit is not a measurement: the medians of two visits
to one network differ by 6 to 18 %. Hence low quantiles, several visits, and a noise figure beside every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from scipy.stats import t as student

from mnas_evo.latency.runs import Run

VISIT_QUANTILE = 0.25
LEVEL_QUANTILE = 0.1
CONFIDENCE = 0.95
SPLITS = 60
_WORTH = 0.95  # a finer correction must leave at most so much of the noise that a coarser one leaves
_FEWEST_FOR_OWN = 8  # passes: a half has four visits to fit an item's own exposure on
_WARM_WITHIN = 1.02  # warm is what takes at most 2 % longer than the visit's second half
_MOST_LOOKED_AT = 400  # visits in which a warm-up is looked for
_FEWEST_WARM = 3  # runs that stay in a visit, however long the warm-up
_POOLED_FREEDOM = 6.0  # how many visits' worth the items' common deviation counts in each item's own

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correction:
    """How drift is divided out: the reference's level, a median over `window` visits, to the power of an exposure.

    An `exposure` of None is each item's own: the slope of its times on the drift, drawn to that of the kind.
    """

    exposure: float | None
    window: int


# From coarse to fine. What the reference sees moves large working sets and leaves small ones alone.
CORRECTIONS = tuple(Correction(exposure, window) for window in (1, 7) for exposure in (0.0, 0.5, 1.0, None))


@dataclass(frozen=True, slots=True)
class Combined:
    """Items of one kind: ms, spread and interval of each (n,), and the noise of the kind.

    `spread_percent` is the visits' scaled median absolute deviation. `interval_percent` is half the width of the 95 %
    interval of `ms` for what ever more passes would come to; endless below three visits. `noise_percent` is the
    mean error of `ms` as random halves of the passes tell it (half of what they disagree by); nan below four passes.
    `exposure` is the power of the reference's drift that was divided out, on average over the items;
    `uncorrected_noise_percent` is without. `warm_up` runs at the beginning of each visit were left out.
    """

    items: tuple[str, ...]
    ms: Matrix
    spread_percent: Matrix
    interval_percent: Matrix
    visits: NDArray[np.int64]
    noise_percent: float
    uncorrected_noise_percent: float
    exposure: float
    warm_up: int


def visit_ms(times_ns: Sequence[int], *, warm_up: int = 0) -> float:
    """One visit's time: its lower quartile, which bursts do not reach, after the warm-up as far as runs remain."""
    warm = sorted(times_ns[max(0, min(warm_up, len(times_ns) - _FEWEST_WARM)) :])
    at = VISIT_QUANTILE * (len(warm) - 1)  # numpy's quantile takes longer than a visit's whole reading
    below = int(at)
    above = min(below + 1, len(warm) - 1)
    return (warm[below] + (at - below) * (warm[above] - warm[below])) / 1e6


def warm_up_runs(visits: Sequence[Sequence[int]]) -> int:
    """How many runs at the beginning of a visit are slower than its second half, in the median over visits."""
    long = [np.asarray(times, dtype=np.float64) for times in visits if len(times) >= 8]
    if len(long) < 8:
        return 0
    long = long[:: -(-len(long) // _MOST_LOOKED_AT)]
    first = min(min(len(times) for times in long) // 2, 20)
    ratios = np.array([times[:first] / np.median(times[len(times) // 2 :]) for times in long])
    cold = np.flatnonzero(np.median(ratios, axis=0) > _WARM_WITHIN)
    return int(cold[-1]) + 1 if len(cold) else 0


def combine(runs: Sequence[tuple[int, Run]], items: Sequence[str], *, reference: str, seed: int = 0) -> Combined:
    """Combines the visits of some items, all of one kind; `runs` are (pass, run), the reference's among them."""
    index = {item: i for i, item in enumerate(items)}
    passes = sorted({number for number, _ in runs})
    column = {number: c for c, number in enumerate(passes)}
    times = np.full((len(items), len(passes)), np.nan)
    slots = np.zeros_like(times)
    warm_up = warm_up_runs([run.times_ns for _, run in runs if run.item in index])
    for number, run in runs:
        if run.item in index and run.times_ns:
            times[index[run.item], column[number]] = visit_ms(run.times_ns, warm_up=warm_up)
            slots[index[run.item], column[number]] = run.slot
    series = reference_series(runs, reference=reference)
    drifts = {window: _drift(series, slots, passes, window=window) for window in {c.window for c in CORRECTIONS}}
    noise = [_split_noise(times, drifts[c.window], c, rng=np.random.default_rng(seed)) for c in CORRECTIONS]
    best = 0
    for i, correction in enumerate(CORRECTIONS):
        # The same splits for each, so that only the correction makes a difference.
        able = correction.exposure is not None or len(passes) >= _FEWEST_FOR_OWN
        if able and noise[i] < _WORTH * noise[best]:
            best = i
    exposure = _exposure(times, drifts[CORRECTIONS[best].window], CORRECTIONS[best])
    corrected = times / drifts[CORRECTIONS[best].window] ** exposure[:, None]
    return Combined(
        tuple(items),
        _lower_half_mean(corrected),
        _spread_percent(corrected),
        _interval_percent(corrected),
        np.isfinite(times).sum(axis=1),
        noise[best],
        noise[0],
        float(np.mean(exposure)) if len(items) else 0.0,
        warm_up,
    )


def reference_series(runs: Sequence[tuple[int, Run]], *, reference: str) -> list[tuple[int, int, float]]:
    """(pass, slot, ms) of every visit to the reference, in order."""
    found = [(number, run) for number, run in runs if run.item == reference and run.times_ns]
    warm_up = warm_up_runs([run.times_ns for _, run in found])
    return sorted((number, run.slot, visit_ms(run.times_ns, warm_up=warm_up)) for number, run in found)


def reference_level(series: Sequence[tuple[int, int, float]]) -> float:
    """The reference's time in the machine's quiet moments, ms: what items are corrected to.

    Campaigns of different hours have more of these in common than their middles.
    """
    return float(np.quantile([ms for _, _, ms in series], LEVEL_QUANTILE))


def _drift(series: list[tuple[int, int, float]], slots: Matrix, passes: list[int], *, window: int) -> Matrix:
    """The reference's time around each visit over its level: interpolated between the visits before and after."""
    drift = np.ones_like(slots)
    if not series:
        return drift
    level = reference_level(series)
    for c, number in enumerate(passes):
        here = [(slot, ms / level) for p, slot, ms in series if p == number]
        if here:
            at, drifts = np.array(here).T
            drift[:, c] = np.interp(slots[:, c], at, _running_median(drifts, window))
    return drift


def _running_median(values: Matrix, window: int) -> Matrix:
    half = window // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _exposure(times: Matrix, drift: Matrix, correction: Correction) -> Matrix:
    """Exposure of each item, (n,)."""
    if correction.exposure is not None:
        return np.full(len(times), correction.exposure)
    seen = np.isfinite(times)
    counts = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    logs = np.where(seen, np.log(np.where(seen, times, 1.0)), 0.0)
    levels = np.where(seen, np.log(drift), 0.0)
    logs = np.where(seen, logs - logs.sum(axis=1, keepdims=True) / counts, 0.0)
    levels = np.where(seen, levels - levels.sum(axis=1, keepdims=True) / counts, 0.0)
    together, moved = (logs * levels).sum(axis=1), (levels**2).sum(axis=1)
    if moved.sum() == 0:
        return np.zeros(len(times))
    common = together.sum() / moved.sum()
    # Empirical Bayes: what the items' slopes differ by beyond what their noise makes them differ.
    feels = moved > 0
    slopes = np.where(feels, together / np.where(feels, moved, 1.0), common)
    freedom = np.maximum(counts[:, 0] - 2, 1)
    # The median of a variance from few visits lies below its mean, as that of chi-square does.
    variances = ((logs - slopes[:, None] * levels) ** 2).sum(axis=1) / chi2.ppf(0.5, freedom)
    noise = float(np.median(variances[feels]))
    between = float(np.average((slopes - common) ** 2, weights=moved) - noise * len(times) / moved.sum())
    signal = moved * max(between, 0.0)
    trust = np.divide(signal, signal + noise, out=np.zeros(len(times)), where=signal > 0)
    own: Matrix = np.clip(trust * slopes + (1 - trust) * common, 0.0, 1.5)
    return own


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


def _interval_percent(times: Matrix) -> Matrix:
    """Half the width of each row's interval: Student's, from the deviation of a mean of the lower half of visits.

    The deviation is that of a one-sided trimmed mean, by winsorising (Tukey and McLaughlin 1963); each item's is drawn
    to that of all, for a handful of visits tells little of its own.
    """
    counts = np.isfinite(times).sum(axis=1)
    half = np.full(len(times), np.inf)
    able = counts >= 3
    if not able.any():
        return half
    ordered, n = np.sort(times[able], axis=1), counts[able]
    kept = (n + 1) // 2
    capped = np.minimum(ordered, ordered[np.arange(len(ordered)), kept - 1][:, None])
    mean = np.nanmean(capped, axis=1)
    variance = np.nansum((capped - mean[:, None]) ** 2, axis=1) / (n - 1) / mean**2
    own = kept - 1
    # The median of a deviation squared from few visits lies below its mean, as that of chi-square does.
    common = np.median(variance / (chi2.ppf(0.5, own) / own))
    freedom = own + _POOLED_FREEDOM
    pooled = (_POOLED_FREEDOM * common + own * variance) / freedom
    error = np.sqrt(pooled / n) / (kept / n)
    half[able] = 100 * student.ppf((1 + CONFIDENCE) / 2, freedom) * error
    return half


def _split_noise(times: Matrix, drift: Matrix, correction: Correction, *, rng: np.random.Generator) -> float:
    """Half of the mean relative disagreement of two random halves of the passes, each corrected by itself, percent."""
    if len(times) == 0:
        return float("nan")
    whole = np.isfinite(times).mean(axis=0) > 0.5
    times, drift = times[:, whole], drift[:, whole]
    if times.shape[1] < 4:
        return float("nan")
    half = times.shape[1] // 2
    disagreements = []
    for _ in range(SPLITS):
        order = rng.permutation(times.shape[1])
        first, second = (
            _lower_half_mean(
                times[:, some] / drift[:, some] ** _exposure(times[:, some], drift[:, some], correction)[:, None]
            )
            for some in (order[:half], order[half : 2 * half])
        )
        disagreements.append(np.nanmean(np.abs(first - second) / (first + second) * 2))
    return float(np.mean(disagreements) / 2 * 100)
