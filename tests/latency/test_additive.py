"""The additive model: exact where the truth is a sum, robust, and a ridge as the textbooks have it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY
from support.known_times import SMALL, SyntheticDevice, measured_design, measured_graphs, measured_ms, silent

from mnas_evo.latency.additive import (
    VARIANCES,
    Additive,
    Design,
    Prior,
    choose_variances,
    design_of,
    fit_additive,
    fit_without,
    trusted,
)
from mnas_evo.latency.features import features_of
from mnas_evo.latency.table import Table
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

QUIET = SyntheticDevice("quiet", overhead_ms=0.5, noise=silent)
USUAL = SyntheticDevice("usual", overhead_ms=0.5)


def fitted(design: Design, ms: np.ndarray) -> Additive:
    """The model with all that a fit chooses."""
    variances = choose_variances(design, ms, rng=np.random.default_rng(0))
    return fit_additive(design, ms, variances=variances, trust=trusted(design, ms, variances=variances))


def layer_ms(design: Design, model: Additive, layer: Layer) -> float:
    """What a layer adds."""
    own = dict(zip(design.layers, model.own, strict=True))
    return float(design.features.of_layer(layer) @ model.weights) + own.get(layer.spec.key, 0.0)


def unseen_ms(design: Design, model: Additive, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true times of 300 networks of the small space."""
    graphs = [lower(network) for network in SMALL.networks(SMALL.sample(300, rng=np.random.default_rng(7)))]
    predicted = model.total_ms(
        np.array([sum(layer_ms(design, model, one) for one in graph.layers) for graph in graphs])
    )
    return predicted, USUAL.networks_ms(graphs)


def few(seed: int, *, n: int, rows: bool = True) -> tuple[Design, np.ndarray]:
    """Some networks of the usual device."""
    table = USUAL.table(SMALL, networks=n, rows=rows, seed=seed)
    return measured_design(table), measured_ms(table)


# What it predicts


@pytest.mark.parametrize("rows", [True, False])
def test_sums_without_noise_are_found_exactly(rows: bool) -> None:
    table = QUIET.table(TINY, networks=300, rows=rows)
    design = measured_design(table)
    model = fitted(design, measured_ms(table))
    unseen = [lower(network) for network in TINY.networks(TINY.sample(500, rng=np.random.default_rng(99)))]
    assert {layer.spec.key for graph in unseen for layer in graph.layers} <= set(design.layers)
    layers_ms = [sum(layer_ms(design, model, layer) for layer in graph.layers) for graph in unseen]
    assert model.total_ms(np.array(layers_ms)) == pytest.approx(QUIET.networks_ms(unseen), rel=1e-4)


def test_a_layer_that_stands_twice_counts_twice() -> None:
    # The second and the third layer of a block are one layer, of one row, of one number.
    graphs = [
        lower(parse_network(f"16x16x1/stem8/r1_k3_e2_o8/r{count}_k3_s22_e2_o32/head16/4")) for count in (1, 2, 3, 4)
    ]
    design = design_of(graphs, features_of(graphs, None))
    tied = design.layers.index(graphs[3].layers[-3].spec.key)
    assert design.counts[:, tied].tolist() == [0, 1, 2, 3]
    assert design.counts.sum(axis=1).tolist() == [len(graph.layers) for graph in graphs]
    rng = np.random.default_rng(0)
    model = Additive(
        overhead_ms=0.0,
        weights=tuple(rng.random(len(design.features.columns)).tolist()),
        own=tuple(rng.random(len(design.layers)).tolist()),
        least_ms=0.0,
    )
    one, two, three, four = design.total_ms(model)
    assert two - one == pytest.approx(layer_ms(design, model, graphs[3].layers[-3]))
    assert (four - three, three - two) == pytest.approx((two - one, two - one))


def test_layers_that_no_network_has_are_priced_by_their_work() -> None:
    table = USUAL.table(SMALL, networks=120, rows=False)
    design = measured_design(table)
    model = fitted(design, measured_ms(table))
    unseen = [layer for layer in SMALL.layers() if layer.spec.key not in design.layers]
    assert len(unseen) > 100
    prices = np.array([layer_ms(design, model, layer) for layer in unseen])
    truth = np.array([USUAL.row_ms(layer) for layer in unseen])
    assert np.isfinite(prices).all()
    assert np.mean(prices > 0) > 0.99
    # A key's own part of the truth, which no graph tells, is uniform over 15 % either way: 7.5 % in the middle.
    assert np.median(np.abs(prices / truth - 1)) < 0.1


def test_no_network_takes_less_than_a_tenth_of_the_fastest_measured() -> None:
    design, ms = few(0, n=20)
    model = fitted(design, ms)
    assert model.least_ms == pytest.approx(0.1 * ms.min())
    low = model.total_ms(np.array([-1e9, 0.0, 1e9]))
    assert low[0] == model.least_ms
    assert low[1:] == pytest.approx(model.overhead_ms + np.array([0.0, 1e9]))


@pytest.mark.parametrize("rows", [True, False])
@given(factor=st.sampled_from([1e-3, 0.5, 2.0, 37.0, 1e4]))
def test_times_in_another_unit_are_predicted_in_that_unit(rows: bool, factor: float) -> None:
    design, ms = few(1, n=25, rows=rows)
    scaled = replace(USUAL, scale=factor).table(SMALL, networks=25, rows=rows, seed=1)
    found = measured_design(scaled)
    assert measured_ms(scaled) == pytest.approx(factor * ms)
    expected = factor * design.total_ms(fitted(design, ms))
    assert found.total_ms(fitted(found, measured_ms(scaled))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rows", [True, False])
def test_rows_in_another_unit_than_networks_change_nothing(rows: bool) -> None:
    design, ms = few(1, n=25, rows=rows)
    expected = 8 * design.total_ms(fitted(design, ms))
    assert design.total_ms(fitted(design, 8 * ms)) == pytest.approx(expected, rel=1e-5)


# Robustness


@pytest.mark.parametrize("rows", [True, False])
def test_a_few_disturbed_measurements_hardly_move_it(rows: bool) -> None:
    design, ms = few(2, n=100, rows=rows)
    table = USUAL.table(SMALL, networks=100, rows=rows, seed=2)
    spoilt = ms * np.where(np.arange(100) % 33 == 0, 2.0, 1.0)  # four of them
    clean, _ = unseen_ms(design, fitted(design, ms), table)
    moved, truth = unseen_ms(design, fitted(design, spoilt), table)
    trustful = fit_additive(design, spoilt, variances=choose(design, spoilt), trust=np.ones(100))
    fooled, _ = unseen_ms(design, trustful, table)
    assert np.mean(np.abs(moved / clean - 1)) < 0.01
    assert np.mean(np.abs(moved / truth - 1)) < np.mean(np.abs(fooled / truth - 1)) * 2 / 3


def choose(design: Design, ms: np.ndarray) -> tuple[float, ...]:
    """Prior variances of networks."""
    return choose_variances(design, ms, rng=np.random.default_rng(0))


def test_what_the_others_do_not_explain_is_trusted_less() -> None:
    design, ms = few(3, n=60)
    spoilt = ms.copy()
    spoilt[[5, 17]] *= (1.5, 0.7)
    trust = trusted(design, spoilt, variances=choose(design, spoilt))
    assert ((trust > 0) & (trust <= 1)).all()
    assert set(np.argsort(trust)[:2]) == {5, 17}
    assert (trust[[5, 17]] < 0.2).all()
    assert np.median(trust) == 1
    assert np.mean(np.delete(trust, [5, 17])) > 0.9


# The ridge itself


def primal(design: Design, ms: np.ndarray, *, variances: list[float]) -> np.ndarray:
    """Columns in shares of the times, (n, k), scaled so that all weights have a prior variance of 1.

    A column's mean square is its group's variance; that of the layers' columns is so together.
    """
    scaled = []
    for (name, block), variance in zip(design.blocks.items(), variances, strict=True):
        shares = block / ms[:, None]
        squares = np.mean(shares**2, axis=0)
        squares = np.where(squares > 0, np.mean(squares) if name == "layers" else squares, np.inf)
        scaled.append(shares * np.sqrt(variance / squares))
    return np.hstack(scaled)


def ridge(columns: np.ndarray, trust: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights (k,) of the least Σ trust (1 - columns · weights)² + |weights|², and their covariance in noises."""
    normal = columns.T @ (trust[:, None] * columns) + np.eye(columns.shape[1])
    return np.linalg.solve(normal, columns.T @ trust), np.linalg.inv(normal)


@given(st.integers(0, 10**6), st.lists(st.sampled_from(VARIANCES), min_size=6, max_size=6))
def test_residuals_of_networks_left_out_are_those_of_a_fit_without_them(seed: int, drawn: list[float]) -> None:
    design, ms = few(seed % 50, n=12)
    assert len(design.blocks) == 6
    trust = np.random.default_rng(seed).uniform(0.2, 1, size=12)
    found = Prior(design.blocks, ms).solve(tuple(drawn), trust)
    columns = primal(design, ms, variances=drawn)
    for i in range(12):
        others = np.arange(12) != i
        weights, covariance = ridge(columns[others], trust[others])
        assert found.residuals[i] == pytest.approx(1 - columns[i] @ weights, rel=1e-4, abs=1e-6)
        assert found.variances[i] == pytest.approx(1 / trust[i] + columns[i] @ covariance @ columns[i], rel=1e-4)


@given(st.integers(0, 10**6), st.lists(st.sampled_from(VARIANCES), min_size=6, max_size=6))
def test_weights_are_those_of_the_least_squares_that_they_stand_for(seed: int, drawn: list[float]) -> None:
    design, ms = few(seed % 50, n=12)
    trust = np.random.default_rng(seed).uniform(0.2, 1, size=12)
    columns = primal(design, ms, variances=drawn)
    weights, _ = ridge(columns, trust)
    model = fit_additive(design, ms, variances=tuple(drawn), trust=trust)
    # Without the floor: a model of next to no variance says 0.
    assert model.overhead_ms + design.layers_ms(model) == pytest.approx(ms * (columns @ weights), rel=1e-4, abs=1e-6)


@given(st.integers(0, 10**6), st.lists(st.sampled_from(VARIANCES), min_size=6, max_size=6))
def test_models_without_a_fold_are_fits_without_it_in_the_scales_of_all(seed: int, drawn: list[float]) -> None:
    design, ms = few(seed % 50, n=12)
    rng = np.random.default_rng(seed)
    trust = rng.uniform(0.2, 1, size=12)
    folds = np.split(rng.permutation(12), [1, 3, 7])
    columns = primal(design, ms, variances=drawn)
    models = fit_without(design, ms, variances=tuple(drawn), trust=trust, folds=folds)
    for fold, model in zip(folds, models, strict=True):
        others = np.setdiff1d(np.arange(12), fold)
        weights, _ = ridge(columns[others], trust[others])
        assert model.overhead_ms + design.layers_ms(model) == pytest.approx(
            ms * (columns @ weights), rel=1e-4, abs=1e-6
        )


# The choice of variances


def test_variances_are_chosen_from_the_grid_and_a_block_each() -> None:
    for rows, blocks in ((True, 6), (False, 4)):
        design, ms = few(0, n=30, rows=rows)
        found = choose(design, ms)
        assert len(found) == len(design.blocks) == blocks
        assert set(found) <= set(VARIANCES)


def test_true_rows_are_believed_and_layers_are_given_numbers_of_their_own_only_without_them() -> None:
    device = replace(USUAL, overhead_ms=0.0)
    with_rows, without = (device.table(TINY, networks=100, rows=rows) for rows in (True, False))
    by_rows, by_graph = (
        dict(zip(design.blocks, choose(design, measured_ms(table)), strict=True))
        for table, design in ((table, measured_design(table)) for table in (with_rows, without))
    )
    assert by_rows["rows"] >= 100
    assert by_rows["layers"] <= 0.01 < 1 <= by_graph["layers"]


def test_networks_left_out_surprise_less_than_under_variances_that_are_all_the_same() -> None:
    design, ms = few(4, n=30)
    found = choose(design, ms)
    prior = Prior(design.blocks, ms)
    trust = prior.trust(found)
    assert prior.solve(found, trust).surprise < prior.solve((1.0,) * len(found), trust).surprise


def test_the_same_seed_looks_at_the_same_two_hundred_networks_and_at_no_others() -> None:
    table = USUAL.table(SMALL, networks=230, rows=False)
    design, ms = measured_design(table), measured_ms(table)
    looked_at = np.random.default_rng(3).permutation(230)[:200]
    others = np.setdiff1d(np.arange(230), looked_at)
    spoilt = ms.copy()
    spoilt[others] *= 3
    found = choose_variances(design, ms, rng=np.random.default_rng(3))
    assert found == choose_variances(design, ms, rng=np.random.default_rng(3))
    assert found == choose_variances(design, spoilt, rng=np.random.default_rng(3))


def test_the_order_of_networks_does_not_matter() -> None:
    table = USUAL.table(SMALL, networks=40)
    mixed = replace(table, networks=table.networks[::-1])
    graphs = measured_graphs(table)
    one, other = (
        fitted(design_of(measured_graphs(by), features_of(graphs, None)), measured_ms(by)) for by in (table, mixed)
    )
    design = design_of(graphs, features_of(graphs, None))
    assert design.total_ms(one) == pytest.approx(design.total_ms(other), rel=1e-5)
