"""Networks of a page: their blocks in words, each with its own time; and what a search for several devices tells."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY_TOML
from support.page_text import Page, read_page
from support.sample_job import build_table, write_accuracies

from mnas_evo.latency.fitting import fit
from mnas_evo.report.networks import _in_order
from mnas_evo.report.page import write_report
from mnas_evo.report.words import blocks_of
from mnas_evo.search.run import SearchRequest, search
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space_file import load_space, space_names

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("name", space_names())
def test_every_block_has_its_own_time_those_of_no_layer_too(name: str) -> None:
    space = load_space(name)
    for network in space.networks(space.sample(20, rng=np.random.default_rng(0))):
        words = blocks_of(format_network(network))
        places = {place.split(".")[0]: 0.0 for place in lower(network).places}
        places |= {place: float(place) for place in places if place.isdigit()} | {"overhead": -1.0}
        stem, *blocks, head, rest = _in_order(places, blocks=len(words) - 2)
        assert (stem, head, rest) == (0.0, 0.0, -1.0)
        of_none = [block.kind == "none" for block in words[1:-1]]
        assert blocks == [0.0 if none else float(number) for number, none in enumerate(of_none, start=1)]


def test_a_string_without_input_and_classes_is_told_like_the_whole_one() -> None:
    whole = format_network(parse_network("stem32/r1_k3_s11_e1_o16/head1280"))
    assert blocks_of("stem32/r1_k3_s11_e1_o16/head1280") == blocks_of(whole)
    assert "/".join(block.string for block in blocks_of(whole)) == whole


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a search for two devices, one of whose tables has markup for a name."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    write_accuracies(folder / "top1.csv")
    build_table(folder / "plain", networks=15)
    fit(folder / "plain")
    shutil.copytree(folder / "plain", folder / HOSTILE)
    request = SearchRequest(
        space=str(folder / "tiny.toml"),
        tables=(str(folder / "plain"), str(folder / HOSTILE)),
        accuracy=f"table:{folder / 'top1.csv'}",
        algorithm="random",
        evaluations=20,
        limits=("latency:plain=3.5",),
    )
    search(folder / "run", request, progress=lambda done, what: None)
    return read_page(write_report(folder / "run", folder / "page.html"))


def test_a_tables_name_is_text_everywhere(two_devices: Page) -> None:
    assert not [tag for tag, _ in two_devices.elements if tag == "img"]
    titles = [figure["layout"][axis]["title"]["text"] for figure in two_devices.figures.values() for axis in AXES]
    assert not [title for title in titles if "<img" in title]


AXES = ("xaxis", "yaxis")


def test_a_search_for_two_devices_shows_the_latency_on_each(two_devices: Page) -> None:
    rows = two_devices.table("Rank", "Top-1 (%)", "Latency on plain (ms)", f"Latency on {HOSTILE} (ms)")
    assert rows and all(float(row[2]) > 0 for row in rows)
    front = two_devices.figures["figure-front"]["data"]
    said = [text for trace in front for text in trace.get("hovertext") or []]
    assert said and all("ms on plain" in text and "&lt;img" in text for text in said)
    assert "ms on plain" in two_devices.words


def test_each_quantity_says_what_told_it_and_what_is_pinned(two_devices: Page, finished_job: Path) -> None:
    rows = two_devices.table("Quantity", "Asked for", "Told by", "How far that is off", "Pinned")
    assert [row[0] for row in rows] == ["Top-1 (%)", "Latency on plain (ms)", f"Latency on {HOSTILE} (ms)"]
    assert rows[1][1] == "as low as can be, at most 3.500 ms on plain"
    assert all(len(row[4].split()) == 1 for row in rows) and rows[1][3] == "not told here"
    one = read_page(write_report(finished_job, finished_job.parent / "page.html"))
    top1, latency = one.table("Quantity", "Asked for", "Told by", "How far that is off", "Pinned")
    assert "on networks held back; noise of a time" in latency[3] and latency[4]
    assert top1[2].startswith("table:") and top1[3] == "mnas-evo rank-check tells"
