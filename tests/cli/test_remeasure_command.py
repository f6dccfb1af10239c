"""`mnas-evo remeasure`: what it says of predictions and budgets, in words and as JSON, and its refit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.searched_folder import build, copied, searched, slower, steady

from mnas_evo.cli.main import run
from mnas_evo.latency.table import read_table

Capture = pytest.CaptureFixture[str]
OUTPUT_KEYS = {"network", "predicted_ms", "low_ms", "high_ms", "measured_ms", "off_percent", "interval"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("finished") / "job")
    searched(folder)
    return folder


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path / "job")


@pytest.fixture
def device(job: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every target a device on which what the table did not sample takes 20 % longer than predicted."""
    known = frozenset(entry.network for entry in read_table(job / "table").networks)

    def become(**faults: Any) -> None:
        found = steady(slower(1.0, sampled=known, front=1.2), **faults)
        monkeypatch.setattr("mnas_evo.devices.target.open_device", lambda *target, **how: found)

    become()
    return become


def said(job: Path, *options: str, capsys: Capture) -> tuple[int, str, str]:
    status = run(["remeasure", str(job / "run"), "--top", "8", "--minutes", "0", *options])
    out, err = capsys.readouterr()
    return status, out, err


def document(job: Path, *options: str, capsys: Capture) -> dict[str, Any]:
    status, out, _ = said(job, *options, "--json", capsys=capsys)
    assert status == 0
    return dict(json.loads(out))


def test_every_network_stands_in_the_json_with_its_interval_and_verdict(
    job: Path, device: object, capsys: Capture
) -> None:
    found = document(job, capsys=capsys)
    assert found["count"] == len(found["networks"]) == 8
    for one in found["networks"]:
        assert one.keys() >= OUTPUT_KEYS and "missed_percent" not in one
        assert one["off_percent"] == pytest.approx(100 * (one["measured_ms"] / one["predicted_ms"] - 1))
    outside = {one["network"] for one in found["networks"] if one["interval"] != "inside"}
    assert outside == set(found["outside_interval"]) != set()
    assert found["inside_interval"] == 8 - len(outside)
    assert {
        "noise_percent",
        "error_percent",
        "bias_percent",
        "anchors_bias_percent",
        "fold_bias_percent",
    } < found.keys()
    best = found["front"]
    assert [one["rank"] for one in best] == list(range(1, len(best) + 1))
    assert found["proposed"]["network"] == best[found["proposed"]["rank"] - 1]["network"]
    assert found["refitted"] is None and found["limit_ms"] is None


def test_what_is_out_of_its_interval_is_listed_and_a_refit_is_offered(
    job: Path, device: object, capsys: Capture
) -> None:
    status, out, _ = said(job, capsys=capsys)
    assert status == 0
    for words in (
        "out of their interval",
        "slower by %",
        "with a bias of +",
        "add --refit",
        "is the front's knee; next",
    ):
        assert words in out, words


def test_a_missed_budget_is_named_with_the_percentage(job: Path, device: object, capsys: Capture) -> None:
    ms = sorted(one["predicted_ms"] for one in document(job, capsys=capsys)["networks"])
    limit = f"{1.05 * ms[4]:.4f}"
    status, out, _ = said(job, "--target-ms", limit, capsys=capsys)
    assert status == 0
    assert "MISSED by " in out and f"the most accurate of this front measured within {float(limit):g} ms" in out
    found = document(job, "--target-ms", limit, capsys=capsys)
    missed = [one for one in found["networks"] if one["missed_percent"] is not None]
    assert len(missed) == out.count("MISSED by ") > 0
    (proposed,) = [one for one in found["networks"] if one["network"] == found["proposed"]["network"]]
    assert proposed["measured_ms"] <= float(limit)


def test_where_nothing_meets_the_budget_all_is_told_and_then_the_error(
    job: Path, device: object, capsys: Capture
) -> None:
    status, out, err = said(job, "--target-ms", "0.001", "--json", capsys=capsys)
    assert status == 2 and "nothing on the front runs within 0.001 ms; the fastest takes" in err
    assert json.loads(out)["proposed"] is None and len(json.loads(out)["networks"]) == 8


def test_a_device_that_dies_is_one_line_and_the_same_command_goes_on(
    job: Path, device: Callable[..., None], capsys: Capture
) -> None:
    device(dies_after=40)
    status, out, err = said(job, capsys=capsys)
    assert (status, out) == (2, "") and "told to die" in err
    device()
    assert document(job, capsys=capsys)["count"] == 8


def test_a_refit_says_the_bias_before_and_after_and_what_becomes_of_the_run(
    job: Path, device: object, capsys: Capture
) -> None:
    status, out, _ = said(job, "--refit", "--into", str(job / "copy"), capsys=capsys)
    assert status == 0
    for words in (
        "before: predictions of the front were off by",
        "after: networks left out of the fit, a fifth at a time, are off by",
        "random networks, held back: off by",
        f"a new search uses the refitted predictor: mnas-evo search --table {job / 'copy'} --run ANOTHER",
    ):
        assert words in out, words
    found = document(job, "--refit", "--into", str(job / "copy"), capsys=capsys)["refitted"]
    assert found["before"]["bias_percent"] > found["after"]["bias_percent"]
    assert found["within"] == (abs(found["after"]["settled_bias_percent"]) <= 3)


def test_a_folder_for_a_refit_that_is_not_asked_for_is_refused(job: Path, device: object, capsys: Capture) -> None:
    status, _, err = said(job, "--into", str(job / "copy"), capsys=capsys)
    assert status == 2 and "give --refit too" in err


def test_a_search_for_several_devices_is_measured_on_one_of_them(job: Path, device: object, capsys: Capture) -> None:
    other = copied(job / "table", job / "other")
    searched(job, "both", tables=(str(job / "table"), str(other)), objectives="top1,latency:table,latency:other")
    arguments = ["remeasure", str(job / "both"), "--top", "4", "--minutes", "0"]
    assert run(arguments) == 2
    assert "--table table or other" in capsys.readouterr().err
    assert run([*arguments, "--table", "other"]) == 0
    out = capsys.readouterr().out
    assert "ms on other" in out and "next: mnas-evo train 16x16x1/" in out


@pytest.mark.parametrize("target", ["0", "-3", "nan"])
def test_a_budget_that_is_none_is_refused(job: Path, device: object, capsys: Capture, target: str) -> None:
    status, _, error = said(job, "--target-ms", target, capsys=capsys)
    assert status == 2 and "a latency budget is a positive number of ms" in error
