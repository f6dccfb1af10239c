"""What the page of a comparison draws: curves with bands, fronts, what half of the seeds reach, what was sampled."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.comparing.assessment import Assessment, percent, targets
from mnas_evo.comparing.forms import Band, Drawing, Point, Samples
from mnas_evo.comparing.statistics import Matrix, best_within
from mnas_evo.comparing.traces import Trace
from mnas_evo.search.front import hypervolume, non_dominated
from mnas_evo.search.reward import RewardSettings

_BAND_SEEDS = 10  # from which the band is of the middle 80 % of seeds
_ENTROPY_POINTS = 100
_SAMPLES = 3_000  # as many as Figure 6 of the MnasNet paper shows


def drawing(found: Assessment) -> Drawing:
    """All of the page that is drawn."""
    seeds = len(next(iter(found.traces.values())))
    whole, box = (
        {name: _band(found.after, percent(curve, hypervolume(found.front, point))) for name, curve in curves.items()}
        for curves, point in zip(found.curves, (found.whole, found.box), strict=True)
    )
    return Drawing(
        band="10 to 90 % of seeds" if seeds >= _BAND_SEEDS else "least to most of seeds",
        x=found.cost,
        y=found.score,
        hypervolume_percent=whole,
        box_hypervolume_percent=box,
        front=found.xy(found.front),
        fronts={name: _union_front(found, traces) for name, traces in found.traces.items()},
        attained={name: _attained(found, traces) for name, traces in found.traces.items()},
        entropy=_entropy(found),
        samples=_samples(found),
    )


def _band(at: Sequence[float], curves: Matrix) -> Band:
    """Mean and band of curves (seeds, points); NaN where a point has none."""
    ends = (10, 90) if len(curves) >= _BAND_SEEDS else (0, 100)
    low, high = np.percentile(curves, ends, axis=0)
    mean, low, high = (
        tuple(None if np.isnan(v) else float(v) for v in row) for row in (curves.mean(axis=0), low, high)
    )
    return Band(at=tuple(at), mean=mean, low=low, high=high)


def _union_front(found: Assessment, traces: Sequence[Trace]) -> tuple[Point, ...]:
    values = np.concatenate([trace.values for trace in traces])
    values = values[~np.isnan(values).any(axis=1)]
    return found.xy(values[non_dominated(values)]) if len(values) else ()


def _attained(found: Assessment, traces: Sequence[Trace]) -> tuple[Point, ...]:
    """What half of the seeds reach within each cost, where it changes; of two objectives alone."""
    if len(found.objectives) > 2:
        return ()
    x, y = found.objectives.index(found.cost), found.objectives.index(found.score)
    known = np.concatenate([trace.values[:, x] for trace in traces])
    costs = np.unique(known[~np.isnan(known)])
    reached = [best_within(trace.values[:, x], trace.values[:, y], limits=costs.tolist()) for trace in traces]
    middle = np.median(reached, axis=0) if len(costs) else costs
    costs, middle = costs[np.isfinite(middle)], middle[np.isfinite(middle)]
    changed = np.diff(middle, prepend=np.inf) < 0
    return tuple(zip(costs[changed].tolist(), (found.signs[y] * middle[changed]).tolist(), strict=True))


def _entropy(found: Assessment) -> dict[str, Band]:
    """Entropy by draws, of the algorithms that tell theirs; of several controllers in turn, whichever told last."""
    curves = {
        name: [series for trace in traces if (series := _entropies(trace))] for name, traces in found.traces.items()
    }
    drawn = [series[-1][0] for each in curves.values() for series in each]
    at = np.linspace(0, max(drawn, default=0), _ENTROPY_POINTS).tolist()
    return {
        name: _band(at, np.array([np.interp(at, [x for x, _ in series], [y for _, y in series]) for series in each]))
        for name, each in curves.items()
        if each
    }


def _entropies(trace: Trace) -> list[tuple[int, float]]:
    return sorted(
        (trace.drawn[batch], value)
        for name, by_batch in trace.facts.items()
        if name.startswith("entropy")
        for batch, value in by_batch.items()
        if np.isfinite(value)
    )


def _samples(found: Assessment) -> tuple[Samples, ...]:
    """What the first run of each controller drew, with repeats."""
    drawn = []
    for name, algorithm in found.plan.algorithms.items():
        settings, trace = algorithm.settings, found.traces[name][0]
        if algorithm.name != "rl" or not isinstance(settings, RewardSettings):
            continue
        values = found.signs * trace.sampled[:_SAMPLES]
        drawn.append(
            Samples(
                algorithm=name,
                seed=trace.seed,
                reward=settings.reward,
                targets=targets(found, settings, seed=trace.seed),
                cost=tuple(values[:, found.objectives.index(found.cost)].tolist()),
                top1=tuple(values[:, found.objectives.index("top1")].tolist()),
            )
        )
    return tuple(drawn)
