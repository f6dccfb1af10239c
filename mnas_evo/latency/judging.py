"""How well each method prices networks that it has not seen: multiply-adds, sums, calibrated, trees, and combined."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mnas_evo.errors import RequestError
from mnas_evo.latency.additive import Design, design_of, fit_additive, trusted
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.correction import boost, tree_features
from mnas_evo.latency.features import Features, features_of
from mnas_evo.latency.model import Model, Reasons, fit_model
from mnas_evo.latency.scoring import Graded, Quality, coverage_percent, graded
from mnas_evo.latency.table import MeasuredNetwork
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import SearchSpace

Method = Literal["macs", "sum", "calibrated", "lightgbm", "combined"]
METHODS: tuple[Method, ...] = get_args(Method)

FEWEST = 5
_FREE = 1e4  # prior variance, in noises, that shrinks next to nothing

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Predictions for networks held back, ms (n,) by method, and the chosen model's with intervals."""

    by_method: dict[Method, Matrix]
    said: Prediction
    model: Model
    reasons: Reasons


def judge(train: Design, ms: Matrix, test: Design, *, seed: int) -> Judged:
    """Fits every method on networks of times (n,), ms, and lets it price others.

    `sum` is the plain sum of rows; where there are none, a ridge on the graph's sums over whole networks.
    """
    model, reasons = fit_model(train, ms, seed=seed)
    sums = model.of_design(test)
    said = model.predict(sums)
    by_rows = train.features.groups["rows"]
    by_method: dict[Method, Matrix] = {
        "macs": _by_graph(train, ms, test, kinds=("macs",)),
        "sum": test.vectors[:, by_rows].mean(axis=1)
        if train.features.rows is not None
        else _by_graph(train, ms, test, kinds=train.features.kinds),
        "calibrated": model.additive.total_ms(sums[:, 0]),
        "lightgbm": _by_trees(train, ms, test, seed=seed),
        "combined": said.value,
    }
    return Judged(by_method, said, model, reasons)


@dataclass(frozen=True)
class Score:
    """Figures of every method on networks held back, and the coverage of the chosen one's intervals."""

    methods: dict[Method, Graded]
    chosen: Method
    coverage_percent: float


def score(networks: Sequence[MeasuredNetwork], *, space: SearchSpace, train: int, seed: int) -> Score:
    """Fits on a random `train` of measured networks, with no rows, and judges on the others.

    Raises:
        RequestError: a network is not of the space, or fewer than five would be on either side.
    """
    parsed = [parse_network(entry.network) for entry in networks]
    if others := [entry.network for entry, one in zip(networks, parsed, strict=True) if not space.contains(one)]:
        raise RequestError(f"{len(others)} of {len(networks)} networks are not of space {space.name}: {others[0]}")
    if not FEWEST <= train <= len(networks) - FEWEST:
        raise RequestError(
            f"of {len(networks)} networks, {FEWEST} to {len(networks) - FEWEST} can be fitted on, not {train}"
        )
    graphs = [lower(one) for one in parsed]
    design = design_of(graphs, features_of(graphs, None))
    ms = np.array([entry.time.ms for entry in networks])
    order = np.random.default_rng(seed).permutation(len(ms))
    fitted, held = order[:train], order[train:]
    with threadpool_limits(1):
        found = judge(design.take(fitted), ms[fitted], design.take(held), seed=seed)
    return Score(
        {name: graded(guess, ms[held]) for name, guess in found.by_method.items()},
        chosen(found.reasons),
        coverage_percent(found.said.low, found.said.high, ms[held]),
    )


def chosen(reasons: Reasons) -> Method:
    """The method that is used."""
    return "combined" if reasons.correction.share > 0 else "calibrated"


def mean_graded(found: Sequence[Graded]) -> Graded:
    """Means of every figure."""
    parts = ([one.whole for one in found], [one.fastest for one in found], [one.slowest for one in found])
    return Graded(*map(mean_quality, parts))


def mean_quality(found: Sequence[Quality]) -> Quality:
    """Means of every figure."""
    return Quality(*np.mean([list(asdict(one).values()) for one in found], axis=0).tolist())


def _by_graph(train: Design, ms: Matrix, test: Design, *, kinds: tuple[str, ...]) -> Matrix:
    """A ridge on some of the graph's sums over whole networks."""
    few = Features(None, (), kinds, ())
    columns = [train.features.columns.index(kind) for kind in kinds]
    fitted, priced = (Design(few, one.vectors[:, columns], one.counts[:, :0], (), one.anchors) for one in (train, test))
    trust = trusted(fitted, ms, variances=(_FREE, _FREE))
    return priced.total_ms(fit_additive(fitted, ms, variances=(_FREE, _FREE), trust=trust))


def _by_trees(train: Design, ms: Matrix, test: Design, *, seed: int) -> Matrix:
    """Trees alone, on the same features, taken per ms of rows or where there are none per multiply-add."""
    by_rows = train.features.groups["rows"]
    columns = by_rows if train.features.rows is not None else [train.features.columns.index("macs")]
    fitted, priced = (
        tree_features(one.vectors[:, columns].mean(axis=1), one.vectors[:, train.features.coarse])
        for one in (train, test)
    )
    return np.asarray(np.exp(boost(fitted, np.log(ms), seed=seed).predict(priced, num_threads=1)))
