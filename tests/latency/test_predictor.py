"""The latency predictor on a device whose truth is known: fitted, stored, priced, and honest about itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import TINY, TINY_TOML
from support.known_times import (
    CAMPAIGN,
    FACTS,
    OVERHEAD_MS,
    change_lines,
    crowded,
    empty_table,
    known_table,
    network_ms,
    row_ms,
)
from support.predictor_form import form_of

from mnas_evo.errors import DamagedFile, OtherFormat, RequestError, UnmeasuredOp
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.correction import boost
from mnas_evo.latency.features import VERSION
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.judging import METHODS
from mnas_evo.latency.predictor import FITTED_FILES, LatencyPredictor, load_predictor, predictor_fingerprint
from mnas_evo.latency.rows import OwnRows
from mnas_evo.latency.table import Table, read_table, row_key, shipped_tables, write_table
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import Genes

OUTSIDE = parse_network("16x16x1/stem8/r1_k3_e2_o8/r3_k3_s22_e2_o32/head16/4")  # a third layer in the second block


def straight(network: Network) -> float:
    """Nothing that a sum of rows cannot tell."""
    return 1.0


@dataclass(frozen=True)
class Fit:
    """A table's folder, what bends its networks' times, and the predictor as it was fitted."""

    folder: Path
    bend: Callable[[Network], float]
    predictor: LatencyPredictor

    def truth_ms(self, genes: Genes) -> np.ndarray:
        """True times of genomes."""
        return np.array([network_ms(network) * self.bend(network) for network in TINY.networks(genes)])

    def load(self) -> LatencyPredictor:
        """The predictor as it is read."""
        return load_predictor(self.folder)


def fitted(folder: Path, table: Table) -> LatencyPredictor:
    """A table written and fitted."""
    write_table(folder, table)
    return fit(folder)


@pytest.fixture(scope="module")
def additive(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Networks that are sums of rows and a fixed cost."""
    folder = tmp_path_factory.mktemp("additive") / "known"
    return Fit(folder, straight, fitted(folder, known_table(TINY, networks=60)))


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Networks that are not."""
    folder = tmp_path_factory.mktemp("bent") / "known"
    return Fit(folder, crowded, fitted(folder, known_table(TINY, networks=150, bend=crowded)))


@pytest.fixture(scope="module")
def rowless(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Networks of a table without rows."""
    folder = tmp_path_factory.mktemp("rowless") / "known"
    return Fit(folder, straight, fitted(folder, replace(known_table(TINY, networks=60), rows={})))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of rows, and of no network that was sampled."""
    folder = tmp_path_factory.mktemp("bare") / "known"
    table = known_table(TINY, networks=3)
    write_table(folder, replace(table, networks=tuple(replace(entry, role="asked") for entry in table.networks)))
    return folder


@pytest.fixture(params=["additive", "bent", "rowless"])
def any_fit(request: pytest.FixtureRequest) -> Fit:
    """One after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Fit)
    return found


@pytest.fixture
def own(additive: Fit, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(additive.folder, tmp_path / "known")
    return tmp_path / "known"


@pytest.fixture
def own_bent(bent: Fit, tmp_path: Path) -> Path:
    """A copy with a correction to damage."""
    shutil.copytree(bent.folder, tmp_path / "known")
    return tmp_path / "known"


def unseen() -> Genes:
    """Genomes of the space, of which a fit saw few."""
    return TINY.sample(500, rng=np.random.default_rng(99))


def same(one: Prediction, other: Prediction, *, rel: float) -> None:
    """Asserts that values and intervals agree."""
    assert one.value == pytest.approx(other.value, rel=rel)
    assert one.low == pytest.approx(other.low, rel=rel)
    assert one.high == pytest.approx(other.high, rel=rel)


# What it predicts


def test_sums_of_rows_and_a_fixed_cost_are_predicted_within_the_noise(additive: Fit) -> None:
    genes = unseen()
    truth = additive.truth_ms(genes)
    found = additive.load().for_space(TINY).predict(genes)
    assert np.mean(np.abs(found.value / truth - 1)) < 0.003
    assert np.abs(found.value / truth - 1).max() < 0.02


def test_networks_are_predicted_without_rows(rowless: Fit) -> None:
    # Here a layer's time is drawn by its key: no graph tells it, and each layer has to be met in a network.
    genes = unseen()
    assert np.mean(np.abs(rowless.load().for_space(TINY).value(genes) / rowless.truth_ms(genes) - 1)) < 0.06


def test_the_correction_is_left_out_where_sums_tell_all(additive: Fit) -> None:
    form = form_of(additive.load())
    assert (form.correction.share, form.chosen) == (0, "calibrated")
    assert form.correction.gain_percent <= 2 * form.correction.noise_percent
    assert (additive.folder / "correction.txt").read_text() == ""


def test_the_correction_is_admitted_where_it_lowers_the_error_on_unseen_networks(bent: Fit) -> None:
    genes = unseen()
    truth = bent.truth_ms(genes)
    predictor = bent.load()
    without = LatencyPredictor(predictor.table, replace(predictor.model, correction=None), predictor.form)
    errors = [np.mean(np.abs(one.for_space(TINY).value(genes) / truth - 1)) for one in (predictor, without)]
    assert form_of(predictor).correction.share > 0
    assert form_of(predictor).chosen == "combined"
    assert errors[0] < errors[1] / 2


def test_intervals_hold_the_value_and_nine_measurements_in_ten(any_fit: Fit) -> None:
    genes = unseen()
    predictor = any_fit.load()
    found = predictor.for_space(TINY).predict(genes)
    noise = 1 + 0.003 * np.random.default_rng(5).standard_normal(len(genes))
    measured = any_fit.truth_ms(genes) * noise
    assert ((found.low <= found.value) & (found.value <= found.high)).all()
    assert (found.low > 0).all()
    assert np.isfinite(found.high).all()
    assert np.mean((found.low <= measured) & (measured <= found.high)) > 0.85
    assert 80 <= form_of(predictor).coverage_percent <= 100


def test_what_it_says_of_itself_is_what_unseen_networks_show(any_fit: Fit) -> None:
    predictor = any_fit.load()
    genes = unseen()
    noise = 1 + 0.003 * np.random.default_rng(5).standard_normal(len(genes))
    error = 100 * np.mean(np.abs(predictor.for_space(TINY).value(genes) / (any_fit.truth_ms(genes) * noise) - 1))
    # It says what models of four fifths of the networks reach, which is a bit more.
    assert error / 1.5 < form_of(predictor).methods["combined"].whole.mape < 2.5 * error


def test_every_method_stands_beside_the_chosen_one(additive: Fit) -> None:
    form = form_of(additive.load())
    assert set(form.methods) == set(METHODS)
    mape = {name: graded.whole.mape for name, graded in form.methods.items()}
    assert mape["calibrated"] < mape["lightgbm"] < mape["macs"]
    assert mape["calibrated"] < mape["sum"]
    assert form.noise_percent == read_table(additive.folder).noise_percent
    assert len(form.predicted_ms) == len(form.measured_ms) == form.networks == 60


def test_the_plain_sum_stands_there_with_all_its_error(additive: Fit) -> None:
    table = read_table(additive.folder)
    graphs = [lower(parse_network(entry.network)) for entry in table.networks]
    sums = np.array([sum(table.row_ms(layer) for layer in graph.layers) for graph in graphs])
    measured = np.array([entry.time.ms for entry in table.networks])
    expected = 100 * np.mean(np.abs(sums / measured - 1))
    assert form_of(additive.load()).methods["sum"].whole.mape == pytest.approx(expected, rel=1e-6)


# One price, however asked


def test_genes_and_networks_have_one_price(any_fit: Fit) -> None:
    predictor = any_fit.load()
    genes = unseen()[:60]
    same(predictor.for_space(TINY).predict(genes), predictor.predict_networks(TINY.networks(genes)), rel=1e-9)


def test_values_alone_are_those_of_the_prediction(any_fit: Fit) -> None:
    by_genes = any_fit.load().for_space(TINY)
    assert np.array_equal(by_genes.value(unseen()), by_genes.predict(unseen()).value)


def test_no_genomes_and_no_networks_have_no_prices(any_fit: Fit, bare: Path) -> None:
    none = np.zeros((0, len(TINY.sizes)), dtype=np.int64)
    for predictor in (any_fit.load(), load_predictor(bare)):
        by_genes = predictor.for_space(TINY)
        found = (predictor.predict_networks([]), by_genes.predict(none))
        assert [len(part) for one in found for part in (one.value, one.low, one.high)] == [0] * 6
        assert len(by_genes.value(none)) == 0


def test_places_add_up_to_the_prediction(any_fit: Fit) -> None:
    predictor = any_fit.load()
    for network in TINY.networks(unseen()[:5]):
        graph = lower(network)
        (places,) = predictor.by_place([graph])
        blocks = dict.fromkeys(place.split(".")[0] for place in graph.places)
        assert list(places) == ["overhead", *blocks]
        assert sum(places.values()) == pytest.approx(predictor.predict_networks([network]).value[0])


def test_places_take_what_their_rows_and_the_fixed_cost_take(additive: Fit) -> None:
    predictor = additive.load()
    for network in TINY.networks(unseen()[:5]):
        graph = lower(network)
        truth = {"overhead": OVERHEAD_MS}
        for place, layer in zip(graph.places, graph.layers, strict=True):
            block = place.split(".")[0]
            truth[block] = truth.get(block, 0) + row_ms(row_key(layer, device=FACTS))
        assert predictor.by_place([graph])[0] == pytest.approx(truth, abs=0.05)


def test_a_network_outside_the_space_is_priced_from_the_same_rows(additive: Fit) -> None:
    assert not TINY.contains(OUTSIDE)
    found = additive.load().predict_networks([OUTSIDE]).value[0]
    assert found == pytest.approx(network_ms(OUTSIDE), rel=0.02)


# Rows alone


def test_rows_alone_are_summed_as_they_are_with_no_interval(bare: Path) -> None:
    predictor = load_predictor(bare)
    genes = unseen()[:50]
    networks = TINY.networks(genes)
    truth = [network_ms(network) - OVERHEAD_MS for network in networks]
    for found in (predictor.for_space(TINY).predict(genes), predictor.predict_networks(networks)):
        assert found.value == pytest.approx(truth, rel=1e-5)
        assert (found.low == 0).all()
        assert np.isinf(found.high).all()
    assert predictor.form is None
    assert predictor.for_space(TINY).value(genes) == pytest.approx(truth, rel=1e-5)


def test_rows_alone_have_places_without_a_fixed_cost_and_a_note(bare: Path) -> None:
    predictor = load_predictor(bare)
    network = TINY.networks(unseen()[:1])[0]
    graph = lower(network)
    (places,) = predictor.by_place([graph])
    assert list(places) == list(dict.fromkeys(place.split(".")[0] for place in graph.places))
    assert places["stem"] == pytest.approx(row_ms(row_key(graph.layers[0], device=FACTS)), rel=1e-5)
    assert predictor.notes(network, 1.0) == [
        "no sampled network was measured, so that nothing is fitted: it is the bare sum of rows"
    ]


def test_a_table_of_nothing_has_no_predictor(tmp_path: Path) -> None:
    write_table(tmp_path / "known", empty_table())
    with pytest.raises(RequestError, match="has no predictor yet"):
        load_predictor(tmp_path / "known")


# Notes


def with_space(found: Fit, space: str) -> LatencyPredictor:
    """A predictor of a table whose networks came from a space of this name."""
    predictor = found.load()
    table = replace(predictor.table, campaigns=(CAMPAIGN.model_copy(update={"space": space}),))
    return LatencyPredictor(table, predictor.model, predictor.form)


@pytest.fixture
def tiny_file(tmp_path: Path) -> str:
    """The space as a file."""
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    return str(tmp_path / "tiny.toml")


def test_a_network_like_those_measured_has_no_notes(additive: Fit, tiny_file: str) -> None:
    predictor = with_space(additive, tiny_file)
    entry = sorted(predictor.table.networks, key=lambda entry: entry.time.ms)[30]
    assert predictor.notes(parse_network(entry.network), entry.time.ms) == []


def test_a_time_outside_the_measured_range_is_noted(additive: Fit) -> None:
    predictor = additive.load()
    network = parse_network(predictor.table.networks[0].network)
    times = sorted(entry.time.ms for entry in predictor.table.networks)
    note = f"outside the measured range, {times[0]:.4g} to {times[-1]:.4g} ms"
    for ms, noted in ((0.99 * times[0], True), (times[0], False), (times[-1], False), (1.01 * times[-1], True)):
        assert predictor.notes(network, ms) == [note] * noted


def test_a_network_of_another_space_is_noted(additive: Fit, tiny_file: str) -> None:
    predictor = with_space(additive, tiny_file)
    note = "outside the space tiny that the measured networks come from"
    ms = predictor.table.networks[0].time.ms
    assert note in predictor.notes(OUTSIDE, ms)
    assert note not in predictor.notes(TINY.networks(unseen()[:1])[0], ms)
    # At another size than was measured, it is another space's too.
    larger = format_network(TINY.networks(unseen()[:1])[0]).replace("16x16x1", "32x32x1")
    assert note in predictor.notes(parse_network(larger), ms)


def test_a_space_that_is_gone_is_no_reason_for_a_note(additive: Fit) -> None:
    predictor = with_space(additive, "gone")
    assert not any("space" in note for note in predictor.notes(OUTSIDE, predictor.table.networks[0].time.ms))


def test_layers_that_no_fitted_network_has_are_counted(rowless: Fit) -> None:
    predictor = rowless.load()
    network = parse_network("16x16x1/stem8/r2_k5_e2_o8/r1_k3_s22_e2_o32/head16/4")
    seen = {layer for entry in predictor.table.networks for layer in lower(parse_network(entry.network)).layers}
    unknown = {layer for layer in lower(network).layers if layer not in seen}
    assert len(unknown) >= 1
    notes = predictor.notes(network, predictor.table.networks[0].time.ms)
    assert notes == [f"{len(unknown)} of its layers stand in no network that was fitted on"]


@pytest.mark.parametrize("folder", shipped_tables(), ids=lambda folder: folder.name)
def test_every_table_that_comes_along_has_a_predictor_of_this_version(folder: Path) -> None:
    predictor = load_predictor(folder)
    (entry, *_) = predictor.table.networks
    said = predictor.predict_networks([parse_network(entry.network)])
    assert said.low[0] < entry.time.ms < said.high[0]


# Stored and read


def test_a_stored_predictor_predicts_what_the_fitted_one_did(any_fit: Fit) -> None:
    one, other = (found.for_space(TINY).predict(unseen()) for found in (any_fit.predictor, any_fit.load()))
    same(one, other, rel=1e-12)


def test_the_same_measurements_and_seed_give_the_same_files_in_a_second_process(bent: Fit, own_bent: Path) -> None:
    expected = {name: (own_bent / name).read_bytes() for name in ("predictor.json", "correction.txt")}
    for name in expected:
        (own_bent / name).unlink()
    code = "import sys; from pathlib import Path; from mnas_evo.latency.fitting import fit; fit(Path(sys.argv[1]))"
    surroundings = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code, str(own_bent)], check=True, timeout=120, env=surroundings)
    assert {name: (own_bent / name).read_bytes() for name in FITTED_FILES if (own_bent / name).exists()} == expected
    assert predictor_fingerprint(own_bent) == predictor_fingerprint(bent.folder)


def test_a_new_fit_takes_the_place_of_one_with_a_correction(own_bent: Path) -> None:
    assert form_of(load_predictor(own_bent)).correction.share > 0
    assert (own_bent / "correction.txt").stat().st_size > 0
    predictor = fitted(own_bent, known_table(TINY, networks=30))
    assert (form_of(predictor).correction.share, (own_bent / "correction.txt").read_text()) == (0, "")
    assert load_predictor(own_bent).form == predictor.form


def test_a_fingerprint_is_of_measurements_and_fit(own: Path, bent: Fit, bare: Path) -> None:
    before = predictor_fingerprint(own)
    assert before != predictor_fingerprint(bent.folder) != predictor_fingerprint(bare)
    fit(own, seed=1)
    assert predictor_fingerprint(own) != before


def test_a_table_without_a_predictor_says_how_to_get_one(own: Path) -> None:
    (own / "predictor.json").unlink()
    with pytest.raises(RequestError, match="has no predictor yet; run: mnas-evo fit --table"):
        load_predictor(own)


@pytest.mark.parametrize("name", ["ops.csv", "networks.csv"])
def test_a_predictor_of_other_measurements_is_refused_with_the_mend(name: str, own: Path) -> None:
    change_lines(own / name, lambda lines: lines[:-1])
    with pytest.raises(RequestError, match="changed after its predictor was fitted; run: mnas-evo fit --table"):
        load_predictor(own)


def change_json(path: Path, **changes: object) -> None:
    """Rewrites values of a JSON file; None removes."""
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"feature_version": VERSION - 1, "calibration": {"scale": 1.0}, "additive": None, "folds": None},
        {"feature_version": VERSION + 1},
        {"feature_version": None},
    ],
    ids=["older", "newer", "none"],
)
def test_a_predictor_of_other_features_is_refused_with_the_mend(changes: dict[str, object], own: Path) -> None:
    change_json(own / "predictor.json", **changes)
    with pytest.raises(RequestError, match="fitted by another version of mnas-evo; run: mnas-evo fit --table"):
        load_predictor(own)


def test_a_newer_predictor_file_is_refused_with_both_numbers(own: Path) -> None:
    change_json(own / "predictor.json", format=2)
    with pytest.raises(OtherFormat, match="format 2; this version reads and writes format 1"):
        load_predictor(own)


def test_a_model_of_other_layers_or_features_is_damage_that_is_named(own: Path) -> None:
    path = own / "predictor.json"
    whole = path.read_text()
    form = json.loads(whole)
    changes: dict[str, Any]
    for changes in (
        {"layers": form["layers"][:-1]},
        {"kinds": form["kinds"][:-1]},
        {"folds": []},
        {"methods": {"sum": form["methods"]["sum"]}},
        {"additive": {**form["additive"], "weights": form["additive"]["weights"][1:]}},
        {"folds": [{**form["folds"][0], "model": {**form["additive"], "own": []}}, *form["folds"][1:]]},
        {"chosen": "guesswork"},
    ):
        change_json(path, **changes)
        with pytest.raises(DamagedFile, match=r"predictor\.json is damaged"):
            load_predictor(own)
        path.write_text(whole)
    load_predictor(own)


@pytest.mark.parametrize("content", ["", "no model", "tree\nversion=v4\n"])
def test_a_damaged_correction_is_named_with_the_mend(content: str, own_bent: Path) -> None:
    (own_bent / "correction.txt").write_text(content)
    with pytest.raises(DamagedFile, match=r"correction\.txt is no LightGBM model.*run: mnas-evo fit"):
        load_predictor(own_bent)


def test_a_correction_that_lacks_a_line_is_named_with_the_mend(own_bent: Path) -> None:
    path = own_bent / "correction.txt"
    path.write_text(path.read_text().replace("max_feature_idx=", "feature_idx=", 1))
    with pytest.raises(DamagedFile, match=r"correction\.txt is no LightGBM model.*run: mnas-evo fit"):
        load_predictor(own_bent)


def test_a_correction_of_other_features_is_named_with_the_mend(own_bent: Path) -> None:
    other = boost(np.random.default_rng(0).random((60, 3)), np.arange(60.0), seed=0)
    (own_bent / "correction.txt").write_text(other.model_to_string())
    with pytest.raises(DamagedFile, match=r"correction\.txt is a model of other features; run: mnas-evo fit"):
        load_predictor(own_bent)


def test_a_correction_that_is_gone_is_named(own_bent: Path) -> None:
    (own_bent / "correction.txt").unlink()
    with pytest.raises(DamagedFile, match=r"correction\.txt"):
        load_predictor(own_bent)


# What cannot be predicted


def without_a_row(found: Fit) -> tuple[str, LatencyPredictor]:
    """The key of one of a table's rows, and the predictor without it."""
    predictor = found.load()
    key = row_key(TINY.layers()[-2], device=FACTS)
    table = replace(predictor.table, rows={one: row for one, row in predictor.table.rows.items() if one != key})
    features = replace(predictor.model.features, rows=OwnRows(table))
    return key, LatencyPredictor(table, replace(predictor.model, features=features), predictor.form)


def test_a_space_with_missing_rows_is_refused_with_their_number_and_the_mend(additive: Fit) -> None:
    key, predictor = without_a_row(additive)
    with pytest.raises(UnmeasuredOp) as caught:
        predictor.for_space(TINY)
    said = str(caught.value)
    assert f"known lacks 1 of the {len(TINY.layers())} rows" in said
    assert key in said
    assert f"mnas-evo profile TARGET --table {predictor.table.folder} --space tiny --missing" in said


def test_a_network_with_a_missing_row_is_refused_by_its_key(additive: Fit) -> None:
    with pytest.raises(UnmeasuredOp, match="known has no row for conv_k3_i3_o32_s2_224x224_relu6_b1_fp32"):
        additive.load().predict_networks([named_network("mobilenet-v2")])


def test_without_rows_no_network_is_refused(rowless: Fit) -> None:
    # Far beyond what was measured, it is priced by its work, and noted for what that is worth.
    predictor = rowless.load()
    network = named_network("mobilenet-v2")
    found = predictor.predict_networks([network])
    assert 0 < found.low[0] <= found.value[0] <= found.high[0] < np.inf
    assert len(predictor.notes(network, found.value[0])) == 2
