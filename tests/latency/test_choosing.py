"""Choosing what to measure: all different, the most telling first, and better than a random draw of as many."""

import numpy as np
from support.known_times import SMALL, SyntheticDevice

from mnas_evo.latency.additive import Design, Prior, choose_variances, design_of, fit_additive, trusted
from mnas_evo.latency.choosing import _VARIANCES, most_telling
from mnas_evo.latency.features import features_of
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import distinct_rows

DEVICE = SyntheticDevice("overhead", overhead_ms=0.5)


def candidates(*, anchors: int = 0) -> tuple[Design, np.ndarray]:
    """Different networks of a small space, with no rows, the last of them anchors, and their true times."""
    genes = SMALL.sample(1000, rng=np.random.default_rng(3))
    graphs = [lower(network) for network in SMALL.networks(genes[list(distinct_rows(genes))][:200])]
    held = [False] * (200 - anchors) + [True] * anchors
    return design_of(graphs, features_of(graphs, None), anchors=held), DEVICE.networks_ms(graphs)


def unsure(design: Design, ms: np.ndarray, chosen: np.ndarray) -> float:
    """Mean error on all candidates, percent, of a fit on the chosen ones without noise."""
    some = design.take(chosen)
    variances = choose_variances(some, ms[chosen], rng=np.random.default_rng(0))
    trust = trusted(some, ms[chosen], variances=variances)
    model = fit_additive(some, ms[chosen], variances=variances, trust=trust)
    return float(100 * np.mean(np.abs(design.total_ms(model) / ms - 1)))


def test_as_many_as_asked_for_all_different_and_no_anchor_among_them() -> None:
    design, ms = candidates(anchors=20)
    chosen = most_telling(design, ms, 50)
    assert len(set(chosen.tolist())) == 50
    assert not design.anchors[chosen].any()


def test_all_that_there_are_where_more_are_asked_for() -> None:
    design, ms = candidates(anchors=150)
    assert sorted(most_telling(design, ms, 80)) == list(range(50))


def test_fewer_are_the_first_of_more() -> None:
    design, ms = candidates()
    assert most_telling(design, ms, 10).tolist() == most_telling(design, ms, 40)[:10].tolist()


def test_what_an_anchor_tells_already_is_not_asked_again() -> None:
    design, ms = candidates()
    first = int(most_telling(design, ms, 1)[0])
    anchored = Design(design.features, design.vectors, design.counts, design.layers, np.arange(200) == first)
    assert most_telling(anchored, ms, 9).tolist() == most_telling(design, ms, 10)[1:].tolist()


def test_each_step_lowers_the_variance_most_as_brute_force_says() -> None:
    design, ms = candidates()
    some = design.take(np.arange(12))
    (first,) = most_telling(some, ms[:12], 1)

    before = Prior(some.blocks, ms[:12]).covariance(tuple(_VARIANCES[name] for name in some.blocks))

    def left(which: int) -> float:
        column = before[:, [which]]
        return float(np.trace(before - column @ np.linalg.inv(before[[which]][:, [which]] + 1) @ column.T))

    assert first == min(range(12), key=left)


def test_chosen_networks_tell_more_than_random_ones() -> None:
    design, ms = candidates()
    chosen = unsure(design, ms, most_telling(design, ms, 30))
    rng = np.random.default_rng(0)
    drawn = [unsure(design, ms, rng.permutation(200)[:30]) for _ in range(15)]
    assert chosen < np.mean(drawn)
