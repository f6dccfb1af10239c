"""Borrowed rows: a new device from few measurements, whose own rows win one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY
from support.known_times import FACTS, SMALL, SyntheticDevice, activations_spill, change_lines, disturbed, known_table
from support.predictor_form import form_of

from mnas_evo.errors import DamagedFile, RequestError, UnmeasuredOp
from mnas_evo.latency.borrowing import borrow
from mnas_evo.latency.fitting import FEWEST_NETWORKS, fit
from mnas_evo.latency.predictor import FITTED_FILES, LatencyPredictor, load_predictor
from mnas_evo.latency.rows import BorrowedRows, read_borrowed, write_borrowed
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, read_table, row_key, write_table
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

OLD = SyntheticDevice("old", overhead_ms=0.02)  # a tenth of a network
NEW = replace(OLD, name="new", scale=3.7)
GENES = TINY.sample(300, rng=np.random.default_rng(99))
GRAPHS = [lower(network) for network in TINY.networks(GENES)]
LAYERS = {row_key(layer, device=FACTS): layer for layer in TINY.layers()}


def written(folder: Path, table: Table) -> Path:
    """A table's folder."""
    write_table(folder / table.name, replace(table, folder=folder / table.name))
    return folder / table.name


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device's table of rows and networks, fitted."""
    folder = written(tmp_path_factory.mktemp("old"), OLD.table(TINY, networks=60))
    fit(folder)
    return folder


@pytest.fixture(scope="module")
def rowless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same device's table of networks alone, fitted."""
    table = replace(OLD, name="rowless").table(TINY, networks=60, rows=False)
    folder = written(tmp_path_factory.mktemp("rowless"), table)
    fit(folder)
    return folder


def new_table(networks: int, *, own: int = 0) -> Table:
    """A table of the new device: few networks, and some rows of its own."""
    table = NEW.table(TINY, networks=networks, seed=5)
    return replace(table, rows=dict(list(table.rows.items())[:own]))


def known_to(source: LatencyPredictor, networks: int) -> Table:
    """A table of the new device: few networks, of layers that a source's networks have."""
    table = NEW.table(TINY, networks=60, rows=False, seed=5)
    known = [entry for entry in table.networks if all(map(source.model.knows, graph_of(entry).layers))]
    return replace(table, networks=tuple(known[:networks]))


def graph_of(entry: MeasuredNetwork) -> Graph:
    """A measured network, lowered."""
    return lower(parse_network(entry.network))


def error_percent(predictor: LatencyPredictor, graphs: list[Graph] = GRAPHS) -> float:
    """MAPE on the new device's true times of networks that it never saw."""
    value = predictor.predict_graphs(graphs).value
    return 100 * float(np.mean(np.abs(value / NEW.networks_ms(graphs) - 1)))


# A new device


@pytest.mark.parametrize(("source", "percent"), [("old", 1.5), ("rowless", 8)])
def test_a_device_that_is_a_factor_of_another_is_predicted_from_five_networks(
    source: str, percent: float, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = load_predictor(request.getfixturevalue(source))
    graphs = [graph for graph in GRAPHS if all(map(other.model.knows, graph.layers))]
    folder = written(tmp_path, known_to(other, 5))
    predictor = fit(folder, sources=[other.table.folder])
    assert error_percent(predictor, graphs) < percent
    form = form_of(predictor)
    assert (form.rows, form.sources, form.networks) == ("borrowed", (source,), 5)
    stored = load_predictor(folder).predict_graphs(graphs)
    assert stored.value == pytest.approx(predictor.predict_graphs(graphs).value, rel=1e-4)


def test_a_source_without_rows_lends_every_layer_that_it_can_price(rowless: Path, tmp_path: Path) -> None:
    table = NEW.table(TINY, networks=20, rows=False, seed=1)
    load_predictor(rowless).predict_graphs([graph_of(entry) for entry in table.networks])
    fit(written(tmp_path, table), sources=[rowless])


def test_a_source_lends_every_layer_of_its_own_networks(tmp_path: Path) -> None:
    # Networks whose layers' times are drawn by their keys: some of those found in noise lie below 0.
    table = replace(known_table(TINY, networks=40, noise=0.02, seed=1), rows={})
    source = written(tmp_path / "source", table)
    model = fit(source).model
    assert min(model.of_layer(layer)[0] for layer in LAYERS.values()) < 0
    fit(written(tmp_path, replace(table, folder=Path("new"))), sources=[source])


def test_five_networks_are_not_enough_without_another_device(tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(5))
    with pytest.raises(RequestError, match=r"holds 5 sampled networks, a fit needs at least 10"):
        fit(folder)


def test_four_are_not_enough_even_with_one(old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(4))
    with pytest.raises(RequestError, match=r"holds 4 sampled networks, a fit needs at least 5"):
        fit(folder, sources=[old])


def test_a_source_of_another_kind_does_little_harm(old: Path, tmp_path: Path) -> None:
    other = replace(NEW, factor=activations_spill, noise=disturbed)
    table = other.table(TINY, networks=60, rows=False, seed=5)
    truth = other.networks_ms(GRAPHS)
    found = []
    for name, sources in (("alone", []), ("helped", [old])):
        predictor = fit(written(tmp_path / name, table), sources=sources)
        found.append(np.mean(np.abs(predictor.predict_graphs(GRAPHS).value / truth - 1)))
    assert found[1] < 1.1 * found[0]


def test_two_sources_stand_side_by_side(old: Path, rowless: Path, tmp_path: Path) -> None:
    other = load_predictor(rowless)
    graphs = [graph for graph in GRAPHS if all(map(other.model.knows, graph.layers))]
    folder = written(tmp_path, known_to(other, 5))
    predictor = fit(folder, sources=[old, rowless])
    assert form_of(predictor).sources == ("old", "rowless")
    assert predictor.model.features.columns[:2] == ("sum old", "sum rowless")
    assert error_percent(predictor, graphs) < 8
    assert error_percent(load_predictor(folder), graphs) == pytest.approx(error_percent(predictor, graphs), rel=1e-3)


# Levels and own rows


def test_borrowed_rows_are_the_sources_prices_at_the_level_of_the_networks(old: Path) -> None:
    table = new_table(5)
    source = load_predictor(old)
    rows = borrow(table, table.networks, [source])
    assert set(rows.borrowed["old"]) == set(LAYERS)
    layers = [layer for layer in LAYERS.values() if layer.spec.op != "classifier"]
    found = np.array([rows.times_ms(layer)[0] for layer in layers])
    levels = found / [source.model.of_layer(layer)[0] for layer in layers]
    assert np.ptp(levels) < 1e-4  # as they are written
    assert levels[0] == pytest.approx(3.7, rel=0.01)
    truth = np.array([NEW.row_ms(layer) for layer in layers])
    assert np.median(np.abs(found / truth - 1)) < 0.1


def test_a_sources_fixed_cost_goes_to_the_classifier_of_which_each_network_has_one(old: Path) -> None:
    table = new_table(5)
    source = load_predictor(old)
    rows = borrow(table, table.networks, [source])
    graphs = [graph_of(entry) for entry in table.networks]
    sums = [sum(rows.times_ms(layer)[0] for layer in graph.layers) for graph in graphs]
    said = source.predict_graphs(graphs).value
    level = np.median([entry.time.ms for entry in table.networks] / said)
    assert sums == pytest.approx(level * said, rel=1e-4)


def test_a_table_does_not_borrow_from_itself(old: Path) -> None:
    with pytest.raises(RequestError, match="names than its own, not old"):
        fit(old, sources=[old])


def test_what_a_source_borrowed_itself_is_lent_on(old: Path, tmp_path: Path) -> None:
    between = written(tmp_path / "between", new_table(5))
    middle = fit(between, sources=[old])
    table = replace(new_table(8), folder=Path("last"))
    rows = borrow(table, table.networks, [middle])
    assert set(rows.borrowed[middle.table.name]) == set(LAYERS)


def test_rows_that_both_have_tell_the_level_where_there_are_five(old: Path) -> None:
    table = new_table(5, own=5)
    wrong = [replace(entry, time=replace(entry.time, ms=9 * entry.time.ms)) for entry in table.networks]
    rows = borrow(table, wrong, [load_predictor(old)])
    for layer in LAYERS.values():
        assert rows.times_ms(layer)[0] == pytest.approx(NEW.row_ms(layer), rel=1e-4)
    few = borrow(new_table(5, own=4), wrong, [load_predictor(old)])
    lacking = [layer for key, layer in LAYERS.items() if key not in new_table(5, own=4).rows]
    assert all(few.times_ms(layer)[0] > 4 * NEW.row_ms(layer) for layer in lacking)


@given(st.sets(st.sampled_from(sorted(LAYERS)), max_size=len(LAYERS) - 1))
def test_a_tables_own_rows_win_key_by_key(own: set[str]) -> None:
    table = replace(new_table(1), rows={key: Measured(100.0 + i, 0.1, 1) for i, key in enumerate(sorted(own))})
    borrowed = {name: {key: ms for key in LAYERS} for name, ms in (("one", 1.0), ("other", 2.0))}
    rows = BorrowedRows(table, borrowed)
    assert rows.sources == ("one", "other")
    for key, layer in LAYERS.items():
        assert rows.times_ms(layer) == ((table.rows[key].ms,) * 2 if key in own else (1.0, 2.0))


def test_own_rows_win_in_a_fit_and_after_it(old: Path, tmp_path: Path) -> None:
    table = new_table(5, own=10)
    folder = written(tmp_path, table)
    for predictor in (fit(folder, sources=[old]), load_predictor(folder)):
        for key, row in table.rows.items():
            found = dict(
                zip(predictor.model.features.columns, predictor.model.features.of_layer(LAYERS[key]), strict=True)
            )
            assert found["sum old"] == pytest.approx(row.ms, rel=1e-5)


def test_a_layer_that_neither_has_is_refused_with_both_names(old: Path) -> None:
    table = new_table(5)
    rows = borrow(table, table.networks, [load_predictor(old)])
    layer = next(layer for layer in SMALL.layers() if row_key(layer, device=FACTS) not in LAYERS)
    with pytest.raises(UnmeasuredOp, match=f"neither new nor old has a row for {layer.spec.key}_b1_fp32.*--missing"):
        rows.times_ms(layer)


# What cannot be borrowed


def test_a_table_that_cannot_price_the_networks_is_refused_by_name(old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, replace(NEW, name="other space").table(SMALL, networks=6, rows=False))
    with pytest.raises(RequestError, match="table old cannot price the networks measured here: old has no row for"):
        fit(folder, sources=[old])
    assert not (folder / "predictor.json").exists()


def test_sources_of_one_name_are_refused(old: Path, tmp_path: Path) -> None:
    table = read_table(old)
    twin = written(tmp_path, table)
    fit(twin)
    folder = written(tmp_path, new_table(5))
    with pytest.raises(RequestError, match="names than its own, not old, old"):
        fit(folder, sources=[old, twin])


def test_a_source_that_was_not_fitted_is_refused_with_the_mend(tmp_path: Path) -> None:
    source = written(tmp_path, OLD.table(TINY, networks=20))
    folder = written(tmp_path, new_table(5))
    with pytest.raises(RequestError, match=f"{source} has no predictor yet; run: mnas-evo fit --table {source}"):
        fit(folder, sources=[source])


# borrowed.csv


def test_written_rows_are_read_back(tmp_path: Path) -> None:
    borrowed = {"b,c": {"x": 1.5, 'y "z"': 2e-5}, "a": {"x": 12345.6}, "none": {}}
    rows = BorrowedRows(new_table(1), borrowed)
    write_borrowed(tmp_path / "borrowed.csv", rows)
    assert read_borrowed(tmp_path / "borrowed.csv", rows.table, sources=rows.sources) == rows


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("conv_x,unheard,1.5", "'unheard' is none of the sources old"),
        ("conv_x,old,fast", "fast"),
        ("conv_x,old,inf", "ms is inf, which is no price"),
        ("conv_x,old,nan", "ms is nan, which is no price"),
        ("conv_x,old", None),
    ],
)
def test_a_damaged_line_is_named_with_its_number(line: str, said: str | None, old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(5))
    fit(folder, sources=[old])
    change_lines(folder / "borrowed.csv", lambda lines: [*lines[:3], line, *lines[3:]])
    with pytest.raises(DamagedFile, match=r"borrowed\.csv, line 4") as caught:
        load_predictor(folder)
    assert said is None or said in str(caught.value)


def test_a_line_that_stands_there_twice_is_named(old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(5))
    fit(folder, sources=[old])
    change_lines(folder / "borrowed.csv", lambda lines: [*lines, lines[1]])
    count = len((folder / "borrowed.csv").read_text().splitlines())
    with pytest.raises(DamagedFile, match=rf"borrowed\.csv, line {count}: .* stands there twice"):
        load_predictor(folder)


def test_borrowed_rows_that_are_gone_are_damage_that_is_named(old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(5))
    fit(folder, sources=[old])
    (folder / "borrowed.csv").unlink()
    with pytest.raises(DamagedFile, match=r"borrowed\.csv"):
        load_predictor(folder)


def test_a_fit_without_sources_removes_what_was_borrowed(old: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, new_table(FEWEST_NETWORKS))
    fit(folder, sources=[old])
    assert all((folder / name).exists() for name in FITTED_FILES)
    fit(folder)
    assert not (folder / "borrowed.csv").exists()
    assert form_of(load_predictor(folder)).rows == "none"
