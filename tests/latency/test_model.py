"""A fitted model: prices are sums over layers, so that a row moves the networks that have it and no other."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import TINY
from support.known_times import (
    FACTS,
    SMALL,
    SyntheticDevice,
    crowded,
    known_table,
    measured_design,
    measured_graphs,
    measured_ms,
    weights_spill,
)

from mnas_evo.latency.additive import design_of
from mnas_evo.latency.features import features_of
from mnas_evo.latency.model import FOLDS, Model, fit_model
from mnas_evo.latency.rows import OwnRows
from mnas_evo.latency.table import Table, row_key
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower

USUAL = SyntheticDevice("usual", overhead_ms=0.5)
SPILLING = replace(USUAL, factor=weights_spill)
UNSEEN = [lower(network) for network in TINY.networks(TINY.sample(150, rng=np.random.default_rng(99)))]


@dataclass(frozen=True)
class Fitted:
    """A table and the model of its networks."""

    table: Table
    model: Model

    @property
    def corrected(self) -> bool:
        """Whether trees have a say."""
        return self.model.correction is not None


def fitted(table: Table) -> Fitted:
    """A model of a table's networks."""
    return Fitted(table, fit_model(measured_design(table), measured_ms(table), seed=0)[0])


@pytest.fixture(scope="module")
def straight() -> Fitted:
    """Networks that are sums."""
    return fitted(known_table(TINY, networks=60))


@pytest.fixture(scope="module")
def bent() -> Fitted:
    """Networks that are not."""
    return fitted(known_table(TINY, networks=150, bend=crowded))


@pytest.fixture(scope="module")
def rowless() -> Fitted:
    """Networks of a table without rows."""
    return fitted(replace(known_table(TINY, networks=60), rows={}))


@pytest.fixture(params=["straight", "bent", "rowless"])
def any_model(request: pytest.FixtureRequest) -> Fitted:
    """One after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Fitted)
    assert found.corrected == (request.param == "bent")
    return found


def sums_of(model: Model, graphs: list[Graph]) -> np.ndarray:
    """The sums over the layers of networks."""
    return np.array([np.sum([model.of_layer(layer) for layer in graph.layers], axis=0) for graph in graphs])


# A row


@pytest.mark.parametrize("kind", ["straight", "bent"])
@settings(max_examples=15)
@given(at=st.integers(0, len(TINY.layers()) - 1), factor=st.sampled_from([0.5, 1.1, 3.0]))
def test_a_row_of_another_time_moves_the_networks_that_have_it_and_no_other(
    kind: str, at: int, factor: float, request: pytest.FixtureRequest
) -> None:
    known: Fitted = request.getfixturevalue(kind)
    layer = TINY.layers()[at]
    key = row_key(layer, device=FACTS)
    rows = {**known.table.rows, key: replace(known.table.rows[key], ms=factor * known.table.rows[key].ms)}
    changed = OwnRows(replace(known.table, rows=rows))
    other = replace(known.model, features=replace(known.model.features, rows=changed))
    before, after = (model.predict(sums_of(model, UNSEEN)) for model in (known.model, other))
    has_it = np.array([layer in graph.layers for graph in UNSEEN])
    assert np.array_equal(before.value != after.value, has_it)
    for one, two in ((before.low, after.low), (before.high, after.high)):
        assert np.array_equal(one[~has_it], two[~has_it])
    if not known.corrected:
        assert ((after.value > before.value) == (factor > 1))[has_it].all()
        # As often as the layer stands there, and by nothing else.
        often = np.array([graph.layers.count(layer) for graph in UNSEEN])[has_it]
        by = (other.of_layer(layer) - known.model.of_layer(layer))[0]
        assert (after.value - before.value)[has_it] == pytest.approx(often * by)


# One price, however asked


def test_sums_of_a_design_are_sums_over_layers(any_model: Fitted) -> None:
    found = any_model.model.of_design(measured_design(any_model.table))
    expected = sums_of(any_model.model, measured_graphs(any_model.table))
    assert found.shape == (len(any_model.table.networks), any_model.model.width)
    assert found == pytest.approx(expected, rel=1e-9)


def test_sums_over_genes_are_sums_over_their_layers(any_model: Fitted) -> None:
    genes = TINY.sample(100, rng=np.random.default_rng(3))
    found = TINY.sum_over(genes, TINY.gene_sums(any_model.model.of_layer))
    graphs = [lower(network) for network in TINY.networks(genes)]
    assert found == pytest.approx(sums_of(any_model.model, graphs), rel=1e-9, abs=1e-12)


def test_times_alone_are_the_predicted_values_and_lie_in_their_intervals(any_model: Fitted) -> None:
    sums = sums_of(any_model.model, UNSEEN)
    found = any_model.model.predict(sums)
    assert np.array_equal(any_model.model.ms(sums), found.value)
    assert ((found.low > 0) & (found.low <= found.value) & (found.value <= found.high)).all()
    assert np.isfinite(found.high).all()


def test_no_networks_have_no_prices(any_model: Fitted) -> None:
    found = any_model.model.predict(np.zeros((0, any_model.model.width)))
    assert (len(found.value), len(found.low), len(found.high)) == (0, 0, 0)


def test_a_model_knows_the_layers_of_its_networks(any_model: Fitted) -> None:
    seen = {layer for graph in measured_graphs(any_model.table) for layer in graph.layers}
    assert seen < set(TINY.layers()) or seen == set(TINY.layers())
    assert {layer for layer in TINY.layers() if any_model.model.knows(layer)} == seen


# Folds and anchors


def test_every_networks_residual_is_its_own_folds_which_never_saw_it(straight: Fitted) -> None:
    design, ms, model = measured_design(straight.table), measured_ms(straight.table), straight.model
    parts = design.folds(FOLDS, seed=0)
    assert len(model.folds) == len(parts) == FOLDS
    for fold, (rest, part) in zip(model.folds, parts, strict=True):
        out = np.log(ms[part] / design.take(part).total_ms(fold.model))
        assert fold.residuals == pytest.approx(out / model.reach.deviations(design.vectors[part], ms[part]))
        # A fold's model explains what it saw as well as the whole does, and a layer that it did not see not at all.
        assert np.mean(np.abs(np.log(ms[rest] / design.take(rest).total_ms(fold.model)))) < 0.01
        never = (design.counts[rest] == 0).all(axis=0)
        assert not np.array(fold.model.own)[never].any()
    residuals = np.concatenate([fold.residuals for fold in model.folds])
    assert np.mean(np.abs(residuals)) > np.mean(np.abs(np.log(ms / design.total_ms(model.additive))))


def test_of_fewer_networks_than_folds_each_is_left_out_alone() -> None:
    table = known_table(TINY, networks=8)
    model, _ = fit_model(measured_design(table), measured_ms(table), seed=0)
    assert [len(fold.residuals) for fold in model.folds] == [1] * 8


@pytest.mark.parametrize("rows", [True, False])
def test_anchors_are_fitted_on_and_never_held_back(rows: bool) -> None:
    table = USUAL.table(SMALL, networks=40, rows=rows)
    graphs, ms = measured_graphs(table), measured_ms(table)
    big = replace(SMALL, frame=replace(SMALL.frame, classes=1000))  # classifiers that no sampled network has
    large = [lower(network) for network in big.networks(big.sample(3, rng=np.random.default_rng(1)))]
    truth = USUAL.networks_ms(large)
    if rows:
        known = {row_key(layer, device=FACTS): USUAL.row_ms(layer) for layer in big.layers()}
        measured = next(iter(table.rows.values()))
        table = replace(table, rows={key: replace(measured, ms=ms) for key, ms in known.items()} | dict(table.rows))
    both = [*graphs, *large]
    features = features_of(both, OwnRows(table) if rows else None)
    anchored = design_of(both, features, anchors=[False] * 40 + [True] * 3)
    parts = anchored.folds(5, seed=0)
    assert sorted(np.concatenate([fold for _, fold in parts]).tolist()) == list(range(40))
    assert all({40, 41, 42} <= set(rest.tolist()) for rest, _ in parts)
    assert all(not set(rest.tolist()) & set(fold.tolist()) for rest, fold in parts)
    model, _ = fit_model(anchored, np.concatenate([ms, truth]), seed=0)
    assert sum(len(fold.residuals) for fold in model.folds) == 40
    found = model.predict(model.of_design(anchored)).value[40:]
    assert np.abs(found / truth - 1).max() < 0.05
    tripled, _ = fit_model(anchored, np.concatenate([ms, 3 * truth]), seed=0)
    assert not np.allclose(tripled.additive.weights, model.additive.weights)


# What does not matter


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("factor", [1e-2, 8.0, 1e3])
def test_times_in_another_unit_are_predicted_in_that_unit_with_their_intervals(factor: float, rows: bool) -> None:
    found = []
    for scale in (1.0, factor):
        table = replace(USUAL, scale=scale).table(SMALL, networks=40, rows=rows)
        model, _ = fit_model(measured_design(table), measured_ms(table), seed=0)
        found.append(model.predict(model.of_design(measured_design(table))))
    for name in ("value", "low", "high"):
        assert getattr(found[1], name) == pytest.approx(factor * getattr(found[0], name), rel=1e-4)


def test_so_they_are_with_a_correction() -> None:
    found = []
    for scale in (1.0, 64.0):
        table = replace(SPILLING, scale=scale).table(SMALL, networks=120, rows=True)
        model, reasons = fit_model(measured_design(table), measured_ms(table), seed=0)
        assert reasons.correction.share == 1
        found.append(model.predict(model.of_design(measured_design(table))).value)
    # Trees cut at steps: a few networks may fall on the other side of one.
    assert np.median(np.abs(found[1] / found[0] / 64 - 1)) < 1e-4
    assert np.mean(np.abs(found[1] / found[0] / 64 - 1)) < 0.005


def test_the_same_networks_and_seed_give_the_same_model(bent: Fitted) -> None:
    again = fitted(bent.table).model
    for name in ("layers", "additive", "folds", "reach"):
        assert getattr(again, name) == getattr(bent.model, name)
    assert bent.model.correction is not None
    assert again.correction is not None
    assert again.correction.booster.model_to_string() == bent.model.correction.booster.model_to_string()


def test_another_seed_draws_other_folds(bent: Fitted) -> None:
    design, ms = measured_design(bent.table), measured_ms(bent.table)
    assert fit_model(design, ms, seed=1)[0].folds != bent.model.folds


def test_residuals_are_those_that_the_correction_leaves(bent: Fitted) -> None:
    design, ms, model = measured_design(bent.table), measured_ms(bent.table), bent.model
    additive = np.empty(len(ms))
    for fold, (_, part) in zip(model.folds, design.folds(FOLDS, seed=0), strict=True):
        additive[part] = np.log(ms[part] / design.take(part).total_ms(fold.model))
    left = np.concatenate([fold.residuals for fold in model.folds])
    assert np.mean(np.abs(left)) < 0.7 * np.mean(np.abs(additive))


def test_an_interval_holds_the_value_even_where_the_folds_do_not(straight: Fitted) -> None:
    sums = sums_of(straight.model, UNSEEN)
    value = straight.model.ms(sums)
    for shift_ms in (-10.0, 10.0):
        folds = tuple(
            fold.model_copy(
                update={"model": fold.model.model_copy(update={"overhead_ms": fold.model.overhead_ms + shift_ms})}
            )
            for fold in straight.model.folds
        )
        found = replace(straight.model, folds=folds).predict(sums)
        assert np.array_equal(found.value, value)
        assert np.array_equal(found.low if shift_ms > 0 else found.high, value)
        assert (np.log(found.high / found.low) > 0.1).all()
