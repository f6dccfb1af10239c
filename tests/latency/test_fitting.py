"""Fitting a table: what it learns from, what it falls back on, and what it says of itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY
from support.known_times import FACTS, change_lines, known_table, network_ms
from support.predictor_form import form_of

import mnas_evo
from mnas_evo.errors import DamagedFile, InUse, RequestError, UnmeasuredOp
from mnas_evo.files import only_process
from mnas_evo.latency.fitting import CURVE, FEWEST_NETWORKS, fit
from mnas_evo.latency.predictor import LatencyPredictor, load_predictor
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, row_key, write_table
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

GENES = TINY.sample(300, rng=np.random.default_rng(99))
TRUTH = np.array([network_ms(network) for network in TINY.networks(GENES)])
OUTSIDE = "16x16x1/stem8/r1_k3_e2_o8/r3_k3_s22_e2_o32/head16/4"  # a third layer in the second block
FAR = "16x16x1/stem8/r1_k7_e2_o8/r1_k7_s22_e2_o64/head16/4"  # layers that the table has no rows of


def written(folder: Path, table: Table) -> Path:
    """A table's folder."""
    write_table(folder, replace(table, folder=folder))
    return folder


def error_percent(predictor: LatencyPredictor) -> float:
    """MAPE on networks never seen."""
    return 100 * float(np.mean(np.abs(predictor.for_space(TINY).value(GENES) / TRUTH - 1)))


# What it learns from


def test_too_few_networks_are_refused_with_both_numbers(tmp_path: Path) -> None:
    folder = written(tmp_path / "known", known_table(TINY, networks=FEWEST_NETWORKS - 1))
    with pytest.raises(RequestError, match=r"holds 9 sampled networks, a fit needs at least 10.*mnas-evo profile"):
        fit(folder)


def test_the_fewest_networks_that_can_be_fitted_are_fitted(tmp_path: Path) -> None:
    predictor = fit(written(tmp_path / "known", known_table(TINY, networks=FEWEST_NETWORKS)))
    assert error_percent(predictor) < 5


def with_asked(table: Table, network: str, *, ms: float) -> Table:
    """A table with one network more, that was asked for."""
    return replace(table, networks=(*table.networks, MeasuredNetwork(network, "asked", Measured(ms, 0.1, 4))))


@pytest.mark.parametrize("rows", [True, False])
def test_networks_that_were_not_sampled_are_fitted_on_and_never_judged(rows: bool, tmp_path: Path) -> None:
    table = known_table(TINY, networks=20)
    table = table if rows else replace(table, rows={})
    truth = network_ms(parse_network(OUTSIDE))
    prices = []
    for name, ms in (("once", truth), ("thrice", 3 * truth)):
        predictor = fit(written(tmp_path / name, with_asked(table, OUTSIDE, ms=ms)))
        form = form_of(predictor)
        assert form.networks == len(form.measured_ms) == len(form.predicted_ms) == 20
        assert np.isfinite(form.predicted_ms).all()
        assert max(form.measured_ms) == pytest.approx(max(entry.time.ms for entry in table.networks), rel=1e-5)
        prices.append(predictor.predict_networks([parse_network(OUTSIDE)]).value[0])
    assert prices[0] == pytest.approx(truth, rel=0.2)
    assert prices[1] > prices[0]


def test_one_that_was_not_sampled_and_has_no_rows_is_left_out_of_a_table_that_has(tmp_path: Path) -> None:
    table = known_table(TINY, networks=20)
    one = fit(written(tmp_path / "one", table))
    more = fit(written(tmp_path / "more", with_asked(table, FAR, ms=3.0)))
    assert form_of(more).rows == "own"
    assert more.model.additive == one.model.additive


def test_rows_that_networks_lack_are_left_out_with_a_note(tmp_path: Path) -> None:
    table = known_table(TINY, networks=60)
    layer = next(layer for layer in TINY.layers() if layer.spec.key.startswith("mbconv_e2"))
    key = row_key(layer, device=FACTS)
    lacking = sum(layer in lower(parse_network(entry.network)).layers for entry in table.networks)
    assert 0 < lacking < 60
    folder = written(tmp_path / "known", replace(table, rows={k: row for k, row in table.rows.items() if k != key}))
    for predictor in (fit(folder), load_predictor(folder)):
        form = form_of(predictor)
        assert (form.rows, form.sources) == ("none", ())
        assert form.rows_note is not None
        assert form.rows_note.startswith(f"{lacking} of 60 networks have layers without a row, {key} first")
        assert "mnas-evo profile TARGET --missing" in form.rows_note
        assert error_percent(predictor) < 6


def test_a_table_of_networks_alone_says_so_and_prices_them(tmp_path: Path) -> None:
    folder = written(tmp_path / "known", replace(known_table(TINY, networks=60), rows={}))
    predictor = fit(folder)
    form = form_of(predictor)
    assert (form.rows, form.rows_note) == (
        "none",
        "the table has no rows: layers are priced from measured networks alone",
    )
    assert error_percent(predictor) < 6
    with_rows = fit(written(tmp_path / "rows", known_table(TINY, networks=60)))
    form = form_of(with_rows)
    assert (form.rows, form.rows_note, form.sources) == ("own", None, ("rows",))
    assert error_percent(with_rows) < error_percent(predictor) / 3


def test_a_row_that_no_network_needs_may_be_lacking(tmp_path: Path) -> None:
    table = known_table(TINY, networks=12)
    used = {row_key(layer, device=FACTS) for e in table.networks for layer in lower(parse_network(e.network)).layers}
    assert used < set(table.rows)
    predictor = fit(written(tmp_path / "known", replace(table, rows={key: table.rows[key] for key in used})))
    assert form_of(predictor).rows == "own"
    with pytest.raises(UnmeasuredOp):
        predictor.for_space(TINY)


def test_a_measured_network_that_cannot_be_read_is_named_with_its_file(tmp_path: Path) -> None:
    folder = written(tmp_path / "known", known_table(TINY, networks=12))
    change_lines(folder / "networks.csv", lambda lines: [*lines[:-1], lines[-1].replace("head16", "tail16")])
    with pytest.raises(DamagedFile, match=r"networks\.csv.*tail16"):
        fit(folder)


def test_what_came_with_the_package_is_not_fitted_again() -> None:
    stock = Path(mnas_evo.__file__).parent / "_bundled" / "latency_tables" / "known"
    with pytest.raises(RequestError, match="read-only; give a folder of your own"):
        fit(stock)


def test_a_table_that_is_in_use_is_not_fitted(tmp_path: Path) -> None:
    folder = written(tmp_path / "known", known_table(TINY, networks=12))
    with only_process(folder, doing="measuring"), pytest.raises(InUse, match="another process is fitting"):
        fit(folder)
    assert not (folder / "predictor.json").exists()


# What it says of itself


def test_the_learning_curve_ends_with_all_but_a_fifth_of_the_networks(tmp_path: Path) -> None:
    form = form_of(fit(written(tmp_path / "known", known_table(TINY, networks=63))))
    assert [point.networks for point in form.curve] == [10, 20, 50]  # 63 less 13
    assert set(CURVE) > {10, 20}
    errors = [point.quality.mape for point in form.curve]
    assert errors[0] > errors[-1]
    assert form.curve[-1].quality == form.methods["combined"].whole


def test_progress_runs_from_nothing_to_all_and_never_back(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    fit(written(tmp_path / "known", known_table(TINY, networks=30)), progress=lambda *step: told.append(step))
    shares = [share for share, _ in told]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert 0.8 <= shares[-1] <= 1
    assert dict.fromkeys(text for _, text in told) == dict.fromkeys(
        ["pricing networks held back", "fitting 10 networks", "fitting 20 networks"]
    )


def test_another_seed_is_another_fit_of_the_same_device(tmp_path: Path) -> None:
    folder = written(tmp_path / "known", known_table(TINY, networks=30))
    one, other = (fit(folder, seed=seed) for seed in (0, 1))
    assert (form_of(one).seed, form_of(other).seed) == (0, 1)
    assert form_of(one).folds != form_of(other).folds
    assert one.for_space(TINY).value(GENES) == pytest.approx(other.for_space(TINY).value(GENES), rel=0.01)
