"""What the page says of a table's rows: every row in its family, what a family and a choice cost, what is not known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY
from support.known_times import FACTS, empty_table
from support.page_text import Page, read_page

from mnas_evo.latency.features import family
from mnas_evo.latency.foreign import import_table
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, parse_row_key, read_table, row_key, write_table
from mnas_evo.report import rows_figure
from mnas_evo.report.known_rows import family_words, known_rows, network_shares, swaps
from mnas_evo.report.page import write_report
from mnas_evo.report.rows_figure import rows_plot
from mnas_evo.space.architecture import Frame
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

HOSTILE = "</script><img src=x onerror=alert(2)>'\"&"


def report(folder: Path) -> Page:
    """The page on a folder, written beside it."""
    return read_page(write_report(folder, folder.parent / "page.html"))


def priced(layer: Layer) -> float:
    """A time, ms, of which all is known: a GMAC/s of each family, and half as much again for an SE."""
    rate = {"conv": 20.0, "mbconv_e1": 2.0}.get(family(layer), 10.0)
    return layer.macs / rate / 1e6 * (1.5 if layer.spec.se_ratio else 1.0)


def table_of(folder: Path, *, space: SearchSpace = TINY, networks: int = 0, batch: int = 1) -> Table:
    """A table of such times of a space, written."""
    facts = FACTS.model_copy(update={"batch": batch})
    rows = {row_key(layer, device=facts): Measured(batch * priced(layer), 0.5, 4) for layer in space.layers()}
    sampled = space.networks(space.sample(4 * networks, rng=np.random.default_rng(0))) if networks else []
    strings = list(dict.fromkeys(map(format_network, sampled)))[:networks]
    measured = tuple(MeasuredNetwork(string, "sampled", Measured(0.05, 0.5, 4)) for string in strings)
    table = replace(empty_table(facts=facts), folder=folder, rows=rows, networks=measured)
    write_table(folder, table)
    return table


@pytest.fixture(scope="module")
def page(finished_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read_page(write_report(finished_job, tmp_path_factory.mktemp("pages") / "page.html"))


def test_every_row_is_drawn_in_its_family(page: Page, finished_job: Path) -> None:
    table = read_table(finished_job / "table")
    traces = [trace for trace in page.figures["figure-rows"]["data"] if trace.get("mode") == "markers"]
    drawn = {
        said.split("<br>")[0]: (trace["name"].split(" (")[0], x, y)
        for trace in traces
        for said, x, y in zip(trace["hovertext"], trace["x"], trace["y"], strict=True)
    }
    assert set(drawn) == set(table.rows)
    for key, (name, macs, ms) in drawn.items():
        layer = lower_layer(parse_row_key(key)[0])
        assert (name, macs) == (family_words(family(layer)), layer.macs)
        assert ms == pytest.approx(table.rows[key].ms)


def test_no_two_families_look_alike(page: Page) -> None:
    traces = [trace for trace in page.figures["figure-rows"]["data"] if trace.get("mode") == "markers"]
    assert len(traces) > 2
    for look in ("color", "symbol"):
        assert len({trace["marker"][look] for trace in traces}) == len(traces)


def test_the_axes_of_the_rows_are_logarithmic_and_have_units(page: Page) -> None:
    layout = page.figures["figure-rows"]["layout"]
    assert [layout[axis]["type"] for axis in ("xaxis", "yaxis")] == ["log", "log"]
    titles = [layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
    assert titles == ["Multiply-adds (MACs)", "Time (ms)"]


def test_the_table_of_families_has_their_medians_and_their_shares(page: Page, finished_job: Path) -> None:
    table = read_table(finished_job / "table")
    cells = {row[0]: row[1:] for row in page.table("Family", "Rows")}
    keys = [key for key in table.rows if key.startswith("mbconv_e3_k5")]
    found = cells["mbconv e3 5x5"]
    assert found[0] == str(len(keys))
    assert float(found[1]) == pytest.approx(np.median([table.rows[key].ms for key in keys]), rel=1e-3)
    rates = [lower_layer(parse_row_key(key)[0]).macs / table.rows[key].ms / 1e6 for key in keys]
    assert float(found[2]) == pytest.approx(np.median(rates), rel=1e-2)
    assert sum(int(row[0]) for row in cells.values()) == len(table.rows)
    for column in (4, 5):
        assert sum(float(row[column]) for row in cells.values()) == pytest.approx(100, abs=0.5)


def test_the_best_and_the_worst_family_are_named_with_what_they_differ_by(tmp_path: Path) -> None:
    table_of(tmp_path / "table")
    words = report(tmp_path / "table").words
    conv, dconv = (
        np.median([layer.macs / priced(layer) / 1e6 for layer in TINY.layers() if family(layer) == name])
        for name in ("conv", "mbconv_e1")
    )
    assert f"most multiply-adds a second in conv 3x3, {conv:.1f} billion in the median over rows, and fewest" in words
    assert f"in dconv 3x3, {dconv:.2f} billion: a multiply-add there costs {conv / dconv:.2g} times as much." in words


def test_what_a_choice_costs_is_told_from_pairs_that_differ_in_nothing_else(tmp_path: Path) -> None:
    paper = load_space("paper")
    found = {one.choice: one for one in swaps(known_rows(table_of(tmp_path / "paper", space=paper)))}
    se = found["SE"]
    assert se.pairs == sum(layer.spec.se_ratio > 0 for layer in paper.layers())
    assert se.time_ratio / se.macs_ratio == pytest.approx(1.5, rel=0.01)
    for choice in ("conv 5x5", "dconv 5x5", "mbconv 5x5", "mbconv e6", "pool skip", "identity skip"):
        assert found[choice].time_ratio == pytest.approx(found[choice].macs_ratio)
    assert found["conv 5x5"].macs_ratio > found["mbconv 5x5"].macs_ratio > 1
    assert found["mbconv e3"].time_ratio / found["mbconv e3"].macs_ratio == pytest.approx(0.2, rel=0.01)
    (se,) = (one for one in swaps(known_rows(table_of(tmp_path / "table"))) if one.choice == "SE")
    page = report(tmp_path / "table")
    cells = {row[0]: row[1:] for row in page.table("Choice", "Instead of")}
    assert cells["SE"] == ["no SE", str(se.pairs), f"{se.time_ratio:.2f}", f"{se.macs_ratio:.2f}"]
    assert "Dearest for its multiply-adds is SE instead of no SE" in page.words


def test_shares_are_of_the_rows_of_measured_networks(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table", networks=6)
    shares = network_shares(table)
    assert np.sum(list(shares.values()), axis=0) == pytest.approx([100, 100])
    layers = [layer for entry in table.networks for layer in lower(parse_network(entry.network)).layers]
    deep = [layer for layer in layers if family(layer) == "mbconv_e1"]
    assert shares[("mbconv_e1", 3)] == pytest.approx(
        (
            100 * sum(map(priced, deep)) / sum(map(priced, layers)),
            100 * sum(layer.macs for layer in deep) / sum(layer.macs for layer in layers),
        )
    )


def test_a_network_without_all_its_rows_has_no_share(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table", networks=3)
    assert network_shares(replace(table, rows={})) == {}


def test_a_batch_multiplies_the_work(tmp_path: Path) -> None:
    one, four = (known_rows(table_of(tmp_path / f"{batch}", batch=batch)) for batch in (1, 4))
    assert [row.macs for row in four] == [4 * row.macs for row in one]
    assert [row.giga_macs_per_s for row in four] == pytest.approx([row.giga_macs_per_s for row in one])
    plot = rows_plot(four, batch=4)
    assert plot is not None and "for a batch of 4 images" in plot.caption


def test_a_table_of_networks_alone_says_so(tmp_path: Path) -> None:
    write_table(tmp_path / "table", replace(table_of(tmp_path / "other", networks=4), rows={}))
    found = report(tmp_path / "table")
    assert "The table holds no rows: what it knows, it knows of whole networks." in found.words
    assert "figure-rows" not in found.figures


def test_a_table_of_nothing_has_a_page(tmp_path: Path) -> None:
    write_table(tmp_path / "table", empty_table())
    assert "The table holds no rows" in report(tmp_path / "table").words


def test_an_imported_table_has_its_rows_drawn(tmp_path: Path) -> None:
    source = tmp_path / "times.yaml"
    source.write_text(
        "Conv-input:224x224x3-output:112x112x32:\n  count: 4\n  mean: 2.5\n  var: 0.25\n"
        "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0:\n"
        "  count: 4\n  mean: 3.5\n  var: 0.25\n",
        encoding="utf-8",
    )
    import_table(source, tmp_path / "table", format="proxylessnas", task=Frame())
    found = report(tmp_path / "table")
    rows = {row[0]: row[1] for row in found.table("Family", "Rows", "Time (ms)")}
    assert rows == {"conv 3x3": "1", "mbconv e3 5x5": "1"}
    assert len(found.table("Family", "Rows", "Time (ms)")[0]) == 5  # no networks, so no shares


def test_keys_of_no_layer_known_here_are_named_and_become_no_markup(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table")
    write_table(tmp_path / "table", replace(table, rows={**table.rows, HOSTILE: Measured(1.0, 0.1, 4)}))
    found = report(tmp_path / "table")
    assert f"1 row is of a layer not known here, {HOSTILE} first." in found.words
    assert not [tag for tag, _ in found.elements if tag == "img"]
    drawn = [trace for trace in found.figures["figure-rows"]["data"] if trace.get("mode") == "markers"]
    assert sum(len(trace["x"]) for trace in drawn) == len(table.rows)


def test_a_large_table_is_drawn_in_part_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = known_rows(table_of(tmp_path / "table"))
    monkeypatch.setattr(rows_figure, "MOST_DRAWN", 20)
    plot = rows_plot(rows, batch=1)
    assert plot is not None and "One row in" in plot.caption
    drawn = sum(len(trace.x) for trace in plot.figure.data if trace.mode == "markers")
    assert drawn <= 20 + len(plot.figure.data)


def test_a_row_takes_few_bytes_of_the_page(page: Page, finished_job: Path) -> None:
    figure = json.dumps(page.figures["figure-rows"])
    assert len(figure) < 6000 + 250 * len(read_table(finished_job / "table").rows)


def test_rows_without_any_work_are_not_drawn() -> None:
    assert rows_plot([], batch=1) is None
