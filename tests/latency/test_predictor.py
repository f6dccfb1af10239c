"""The latency predictor on a device whose truth is known: fitted, stored, priced, and honest about itself."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_truth import FACTS, change_lines, known_table, network_ms
from strategies import TINY, genomes

import mnas_evo
from mnas_evo.errors import DamagedFile, OtherFormat, RequestError, UnmeasuredOp
from mnas_evo.files import read_form, write_form
from mnas_evo.latency.features import Features, SpaceFeatures
from mnas_evo.latency.fitting import FEWEST_NETWORKS, fit
from mnas_evo.latency.predictor import (
    FITTED_FILES,
    METHODS,
    LatencyPredictor,
    PredictorForm,
    cv_plus,
    load_predictor,
    predictor_fingerprint,
)
from mnas_evo.latency.table import Table, read_table, row_key, write_table
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import Genes


def bend(network: Network) -> float:
    """What no sum of rows can tell: two blocks of regular convolutions get in each other's way."""
    return 1.4 if all(block.op == "conv" for block in network.architecture.blocks) else 1.0


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
    return Fit(folder, bend, fitted(folder, known_table(TINY, networks=150, bend=bend)))


@pytest.fixture(params=["additive", "bent"])
def either(request: pytest.FixtureRequest) -> Fit:
    """One after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Fit)
    return found


@pytest.fixture
def own(additive: Fit, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(additive.folder, tmp_path / "known")
    return tmp_path / "known"


def unseen() -> Genes:
    """Genomes of the space, of which a fit saw few."""
    return TINY.sample(500, rng=np.random.default_rng(99))


# What it predicts


def test_sums_of_rows_and_a_fixed_cost_are_predicted_within_the_noise(additive: Fit) -> None:
    genes = unseen()
    truth = additive.truth_ms(genes)
    found = additive.load().for_space(TINY).predict(genes)
    assert np.mean(np.abs(found.value / truth - 1)) < 0.003
    assert np.abs(found.value / truth - 1).max() < 0.01


def test_the_correction_is_left_out_where_sums_tell_all(additive: Fit) -> None:
    form = additive.load().form
    assert (form.corrected, form.chosen) == (False, "calibrated")
    assert form.correction_gain_percent <= form.correction_gain_noise_percent


def test_the_correction_is_admitted_where_it_lowers_the_error_on_unseen_networks(bent: Fit) -> None:
    genes = unseen()
    truth = bent.truth_ms(genes)
    predictor = bent.load()
    without = LatencyPredictor(predictor.table, predictor.form.model_copy(update={"corrected": False}), [])
    errors = [np.mean(np.abs(one.for_space(TINY).predict(genes).value / truth - 1)) for one in (predictor, without)]
    assert (predictor.form.corrected, predictor.form.chosen) == (True, "combined")
    assert errors[0] < errors[1] / 2


def test_intervals_hold_the_value_and_nine_measurements_in_ten(either: Fit) -> None:
    genes = unseen()
    predictor = either.load()
    found = predictor.for_space(TINY).predict(genes)
    noise = 1 + 0.003 * np.random.default_rng(5).standard_normal(len(genes))
    measured = either.truth_ms(genes) * noise
    assert ((found.low <= found.value) & (found.value <= found.high)).all()
    assert (found.low > 0).all()
    assert np.isfinite(found.high).all()
    assert np.mean((found.low <= measured) & (measured <= found.high)) > 0.85
    assert 80 <= predictor.form.coverage_percent <= 100


def test_what_it_says_of_itself_is_what_unseen_networks_show(bent: Fit) -> None:
    predictor = bent.load()
    genes = unseen()
    truth = bent.truth_ms(genes)
    error = 100 * np.mean(np.abs(predictor.for_space(TINY).predict(genes).value / truth - 1))
    assert error / 2 < predictor.form.methods["combined"].mape < 2 * error


def test_every_method_stands_beside_the_chosen_one(additive: Fit) -> None:
    form = additive.load().form
    assert set(form.methods) == set(METHODS)
    assert form.methods["calibrated"].mape < form.methods["lightgbm"].mape < form.methods["macs"].mape
    assert form.methods["calibrated"].mape < form.methods["sum"].mape
    assert form.noise_percent == read_table(additive.folder).noise_percent
    assert len(form.predicted_ms) == len(form.measured_ms) == form.networks == 60


# One price, however asked


def test_genes_and_networks_have_one_price(either: Fit) -> None:
    predictor = either.load()
    genes = unseen()[:60]
    by_genes, by_networks = predictor.for_space(TINY).predict(genes), predictor.predict_networks(TINY.networks(genes))
    for one, other in (
        (by_genes.value, by_networks.value),
        (by_genes.low, by_networks.low),
        (by_genes.high, by_networks.high),
    ):
        assert one == pytest.approx(other, rel=1e-9)


@given(genomes(TINY))
def test_genes_that_are_one_architecture_have_one_price(genes: Genes) -> None:
    features = SpaceFeatures(Features(known_table(TINY, networks=1), ("conv", "mbconv_e1")), TINY)
    assert np.array_equal(features.of_genes(genes), features.of_genes(TINY.canonical(genes)))


@given(genomes(TINY))
def test_features_of_genes_are_features_of_their_graphs(genes: Genes) -> None:
    features = Features(known_table(TINY, networks=1), ("conv", "edge", "mbconv_e1", "mbconv_e2"))
    graphs = [lower(network) for network in TINY.networks(genes)]
    vectors = features.of_graphs(graphs)
    assert SpaceFeatures(features, TINY).of_genes(genes) == pytest.approx(vectors, rel=1e-12)
    of_families = vectors[:, features.parts][:, : len(features.families)]
    assert of_families.sum(axis=1) == pytest.approx(vectors[:, 0])  # every row belongs to one family


def test_no_networks_have_no_features(additive: Fit) -> None:
    assert additive.load().features.of_graphs([]).shape[0] == 0
    assert TINY.networks(np.zeros((0, 12), dtype=np.int64)) == []


def test_the_layers_shares_add_up_to_the_prediction(either: Fit) -> None:
    predictor = either.load()
    for network in TINY.networks(unseen()[:5]):
        graph = lower(network)
        shares = predictor.by_layer(graph)
        assert shares.shape == (len(graph.layers),)
        assert (shares > 0).all()
        assert shares.sum() == pytest.approx(predictor.predict_networks([network]).value[0])


def test_a_network_outside_the_space_is_priced_from_the_same_rows(additive: Fit) -> None:
    # A third layer in the second block: its row is the second layer's, but no genome has three.
    network = parse_network("16x16x1/stem8/r1_k3_e2_o8/r3_k3_s22_e2_o32/head16/4")
    assert not TINY.contains(network)
    found = additive.load().predict_networks([network]).value[0]
    assert found == pytest.approx(network_ms(network), rel=0.02)


# Stored and read


def test_a_stored_predictor_predicts_what_the_fitted_one_did(either: Fit) -> None:
    one, other = (found.for_space(TINY).predict(unseen()) for found in (either.predictor, either.load()))
    assert one.value == pytest.approx(other.value, rel=1e-12)
    assert one.low == pytest.approx(other.low, rel=1e-12)
    assert one.high == pytest.approx(other.high, rel=1e-12)


def test_the_same_measurements_and_seed_give_the_same_files(additive: Fit, own: Path) -> None:
    for name in FITTED_FILES:
        (own / name).unlink()
    fit(own)
    assert predictor_fingerprint(own) == predictor_fingerprint(additive.folder)


def test_a_table_without_a_predictor_says_how_to_get_one(own: Path) -> None:
    (own / "predictor.json").unlink()
    with pytest.raises(RequestError, match="has no predictor yet; run: mnas-evo fit --table"):
        load_predictor(own)


@pytest.mark.parametrize("name", ["ops.csv", "networks.csv"])
def test_a_predictor_of_other_measurements_is_refused_with_the_mend(name: str, own: Path) -> None:
    change_lines(own / name, lambda lines: lines[:-1])
    with pytest.raises(RequestError, match="changed after its predictor was fitted; run: mnas-evo fit --table"):
        load_predictor(own)


def test_a_predictor_of_other_features_is_refused_with_the_mend(own: Path) -> None:
    form = read_form(own / "predictor.json", PredictorForm)
    write_form(own / "predictor.json", form.model_copy(update={"feature_version": form.feature_version + 1}))
    with pytest.raises(RequestError, match="run: mnas-evo fit --table"):
        load_predictor(own)


def test_a_newer_predictor_file_is_refused_with_both_numbers(own: Path) -> None:
    path = own / "predictor.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(OtherFormat, match="format 2; this version reads and writes format 1"):
        load_predictor(own)


@pytest.mark.parametrize("content", ["", "no model", "tree\nversion=v4\n"])
def test_a_damaged_correction_is_named_with_the_mend(content: str, bent: Fit, tmp_path: Path) -> None:
    folder = tmp_path / "known"
    shutil.copytree(bent.folder, folder)
    (folder / "correction.txt").write_text(content)
    with pytest.raises(DamagedFile, match=r"correction\.txt holds 1 models, not 6; run: mnas-evo fit"):
        load_predictor(folder)


def test_a_correction_with_one_model_damaged_is_named_with_the_mend(bent: Fit, tmp_path: Path) -> None:
    folder = tmp_path / "known"
    shutil.copytree(bent.folder, folder)
    path = folder / "correction.txt"
    path.write_text(path.read_text().replace("max_feature_idx=", "feature_idx=", 1))
    with pytest.raises(DamagedFile, match=r"correction\.txt is no LightGBM model.*run: mnas-evo fit"):
        load_predictor(folder)


# What cannot be predicted or fitted


def without_a_row(found: Fit) -> tuple[str, LatencyPredictor]:
    """The key of one of a table's rows, and the predictor without it."""
    predictor = found.load()
    key = row_key(TINY.layers()[-2], device=FACTS)
    rows = {one: row for one, row in predictor.table.rows.items() if one != key}
    return key, LatencyPredictor(replace(predictor.table, rows=rows), predictor.form, [])


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


def test_too_few_networks_are_refused_with_both_numbers(tmp_path: Path) -> None:
    write_table(tmp_path / "known", known_table(TINY, networks=FEWEST_NETWORKS - 1))
    with pytest.raises(RequestError, match=r"holds 9 sampled networks, a fit needs at least 10.*mnas-evo profile"):
        fit(tmp_path / "known")


def test_the_fewest_networks_that_can_be_fitted_are_fitted(tmp_path: Path) -> None:
    predictor = fitted(tmp_path / "known", known_table(TINY, networks=FEWEST_NETWORKS))
    found = predictor.for_space(TINY).predict(unseen())
    truth = np.array([network_ms(network) for network in TINY.networks(unseen())])
    assert np.mean(np.abs(found.value / truth - 1)) < 0.05


def test_only_sampled_networks_are_learned_from(additive: Fit, tmp_path: Path) -> None:
    table = read_table(additive.folder)
    slow = replace(table.networks[0], network="16x16x1/stem8/r9_k3_e2_o8/head16/4", role="asked")
    more = replace(table, networks=(*table.networks, slow))
    assert fitted(tmp_path / "known", more).form.networks == len(table.networks)


def test_a_measured_network_that_cannot_be_read_is_named_with_its_file(own: Path) -> None:
    change_lines(own / "networks.csv", lambda lines: [*lines[:-1], lines[-1].replace("head16", "tail16")])
    with pytest.raises((DamagedFile, RequestError), match=r"networks\.csv.*tail16"):
        fit(own)


def test_what_came_with_the_package_is_not_fitted_again() -> None:
    stock = Path(mnas_evo.__file__).parent / "_bundled" / "latency_tables" / "known"
    with pytest.raises(RequestError, match="read-only; give a folder of your own"):
        fit(stock)


# Intervals


@given(st.integers(1, 300))
def test_an_interval_reaches_as_far_as_nine_in_ten_residuals_and_one_more(count: int) -> None:
    # Barber et al. 2021: the smallest whole number that is at least .9 (n + 1), counted from the smallest residual.
    residuals = np.arange(1, count + 1) / 1000
    low, high = cv_plus([(np.zeros(2), residuals[::2]), (np.zeros(2), residuals[1::2])])
    rank = -(-9 * (count + 1) // 10)
    if rank > count:
        assert (low == 0).all()
        assert np.isinf(high).all()
    else:
        assert np.log(high) == pytest.approx([rank / 1000] * 2)
        assert np.log(low) == pytest.approx([-rank / 1000] * 2)


def test_an_interval_is_made_for_each_of_many_networks_as_for_one() -> None:
    values = np.random.default_rng(0).uniform(0, 1, size=120_000)
    residuals = np.random.default_rng(1).normal(0, 0.05, size=40)
    low, high = cv_plus([(values, residuals)])
    for i in (0, 49_999, 50_000, 119_999):
        one_low, one_high = cv_plus([(values[[i]], residuals)])
        assert (low[i], high[i]) == (one_low[0], one_high[0])
        assert low[i] < math.exp(values[i]) < high[i]
