"""What the page says of a predictor: how good each method is, what it stands on, its worst, what would help."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pytest import approx
from support.page_text import Page, read_page
from support.sample_job import build_run, build_table

from mnas_evo.files import read_form, write_form
from mnas_evo.finalists.refitting import REFITTED, Off, RefittedForm
from mnas_evo.finalists.verdicts import REMEASURED, RemeasuredForm
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.foreign import import_table
from mnas_evo.latency.form import CurvePoint, PredictorForm
from mnas_evo.latency.judging import METHODS
from mnas_evo.latency.scoring import Quality
from mnas_evo.latency.table import read_table
from mnas_evo.report.learning import last_doubling_percent
from mnas_evo.report.page import write_report
from mnas_evo.space.architecture import Frame
from mnas_evo.space.notation import format_architecture, parse_network

ROWS = """
Conv-input:224x224x3-output:112x112x32:
  count: 4
  mean: 2.5
  var: 0.25
expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0:
  count: 4
  mean: 3.5
  var: 0.25
"""


def report(folder: Path) -> Page:
    """The page on a folder, written beside it."""
    return read_page(write_report(folder, folder.parent / "page.html"))


def read_fit(job: Path) -> PredictorForm:
    return PredictorForm.model_validate_json((job / "table" / "predictor.json").read_text())


def change_fit(job: Path, **values: object) -> None:
    path = job / "table" / "predictor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def curve(errors: dict[int, float]) -> tuple[CurvePoint, ...]:
    """A learning curve of such errors, percent by number of networks."""
    return tuple(
        CurvePoint(networks=networks, quality=Quality(error, 1.0, 5.0, 10.0, 0.1, 0.9, 0.99))
        for networks, error in errors.items()
    )


@pytest.fixture(scope="module")
def known(finished_job: Path) -> PredictorForm:
    return read_fit(finished_job)


@pytest.fixture(scope="module")
def page(finished_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read_page(write_report(finished_job, tmp_path_factory.mktemp("pages") / "page.html"))


# Methods


def test_every_method_stands_there_with_its_figures_and_below_them_the_noise(page: Page, known: PredictorForm) -> None:
    *rows, noise = page.table("Method", "Mean error (%)")
    assert [row[0].endswith("chosen") for row in rows] == [name == known.chosen for name in METHODS]
    for row, name in zip(rows, METHODS, strict=True):
        whole = known.methods[name].whole
        shares = [f"{share:.1f}" for share in (whole.w1, whole.w5, whole.w10)]
        assert row[1:5] == [f"{whole.mape:.2f}", *shares]
        assert float(row[5]) == pytest.approx(whole.rmse_ms, rel=1e-3)
        assert row[6:] == [f"{whole.kendall:.3f}", f"{whole.spearman:.3f}"]
    assert noise[:3] == ["noise of the times", f"{known.noise_percent:.2f}", ""]


def test_the_fastest_and_the_slowest_fifth_have_their_own_errors(page: Page, known: PredictorForm) -> None:
    rows = page.table("Method", "Fastest: error (%)")
    for row, name in zip(rows, METHODS, strict=True):
        ends = known.methods[name].fastest, known.methods[name].slowest
        assert row[1:] == [said for end in ends for said in (f"{end.mape:.2f}", f"{end.w5:.1f}")]


# The ceiling


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (0.001, "where the times carry 0.00 % of noise: no model can take more than"),
        (50.0, "where the times carry 50.00 % of noise: a better model could not be told from it."),
        (None, "How much of its error is noise of the times is not known."),
    ],
)
def test_the_error_stands_beside_the_least_that_any_model_can_have(
    job: Path, known: PredictorForm, noise: float | None, words: str
) -> None:
    change_fit(job, noise_percent=noise)
    found = report(job)
    assert words in found.words
    if noise is not None:
        assert f"The chosen method is off by {known.methods[known.chosen].whole.mape:.2f} % on average" in found.words


# The correction


def test_a_correction_is_not_tried_on_few_networks(page: Page, known: PredictorForm) -> None:
    assert known.networks == 30
    assert "A LightGBM correction is not tried on fewer than 40 networks." in page.words


@pytest.mark.parametrize(
    ("share", "gain", "words"),
    [
        (
            0.5,
            0.62,
            "50 % of the LightGBM correction is used, to take 0.62 points off the error (standard",
        ),
        (
            1.0,
            0.62,
            "100 % of the LightGBM correction is used, to take 0.62 points off the error (standard",
        ),
        (0.0, 0.12, "correction is not used: it would take 0.12 points off the error (standard error 0.11)."),
        (0.0, -0.04, "correction is not used: it would add 0.04 points to the error (standard error 0.11)."),
    ],
)
def test_a_correction_is_said_with_what_it_earned(job: Path, share: float, gain: float, words: str) -> None:
    change_fit(job, networks=100, correction={"share": share, "gain_percent": gain, "noise_percent": 0.11})
    assert words in report(job).words


# The learning curve


def test_the_learning_curve_is_drawn_over_a_log_axis_beside_the_noise(page: Page, known: PredictorForm) -> None:
    figure = page.figures["figure-learning"]
    error, noise = figure["data"]
    assert error["x"] == [10, 20, 24] and figure["layout"]["xaxis"]["type"] == "log"
    assert error["y"] == approx([point.quality.mape for point in known.curve], rel=1e-5)
    assert (noise["name"], noise["x"]) == ("noise of a time", [10, 24])
    assert noise["y"] == approx([known.noise_percent] * 2, rel=1e-5)


@pytest.mark.parametrize(
    ("errors", "gain"),
    [
        ({10: 8.0, 20: 4.0}, 50.0),
        ({10: 8.0, 40: 4.0, 160: 2.0}, 100 * (1 - 0.5**0.5)),  # half of the last lies between two points
        ({10: 8.0, 20: 8.0}, 0.0),
        ({10: 8.0, 20: 4.0, 40: 5.0}, -25.0),
        ({10: 8.0, 16: 4.0}, None),
        ({8: 4.0}, None),
    ],
)
def test_the_last_doubling_is_read_off_the_curve(
    known: PredictorForm, errors: dict[int, float], gain: float | None
) -> None:
    found = last_doubling_percent(known.model_copy(update={"curve": curve(errors)}))
    assert found is None if gain is None else found == pytest.approx(gain, abs=1e-9)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({10: 8.0, 40: 5.0, 80: 4.0}, "to 80, took 20 % off the error: more networks would still lower it. Measure"),
        ({10: 8.0, 40: 5.0, 80: 4.8}, "to 80, took 4 % off the error: more networks would hardly lower it."),
        ({10: 8.0, 40: 5.0, 80: 5.5}, "to 80, took nothing off the error: more networks would hardly lower it."),
        ({10: 8.0, 16: 5.0}, "With 30 networks it cannot be told yet whether more would lower the error."),
    ],
)
def test_whether_more_networks_would_help_is_said(job: Path, errors: dict[int, float], words: str) -> None:
    change_fit(job, curve=[point.model_dump() for point in curve(errors)])
    assert words in report(job).words


# The worst


def test_the_networks_furthest_off_stand_there_with_their_layers(page: Page, known: PredictorForm, job: Path) -> None:
    networks = [entry.network for entry in read_table(job / "table").networks if entry.role == "sampled"]
    off = {
        network: 100 * (predicted / measured - 1)
        for network, predicted, measured in zip(networks, known.predicted_ms, known.measured_ms, strict=True)
    }
    worst = sorted(off, key=lambda network: -abs(off[network]))[:10]
    rows = page.table("Measured (ms)", "Predicted (ms)", "Off by (%)", "Layers")
    assert [row[2] for row in rows] == [f"{off[network]:+.2f}" for network in worst]
    for row, network in zip(rows, worst, strict=True):
        at = networks.index(network)
        assert float(row[0]) == pytest.approx(known.measured_ms[at], rel=1e-3)
        assert float(row[1]) == pytest.approx(known.predicted_ms[at], rel=1e-3)
        assert row[3].startswith(format_architecture(parse_network(network)))
        assert "1: 1 x " in row[3] and "head 16, 4 classes" in row[3]


def test_networks_that_are_no_longer_known_are_not_called_the_worst(job: Path) -> None:
    change_fit(job, measurements="0" * 64)
    found = report(job)
    assert "furthest off" not in found.words
    assert "The table has been measured anew since the fit" in found.words


# The rows


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Its sums are of the table's own rows."),
        (
            {"rows": "borrowed", "sources": ["pixel", "<laptop>"]},
            "Its sums are of rows borrowed from pixel and <laptop>, rescaled to this device, but for the {} rows that "
            "the table has of its own.",
        ),
        (
            {"rows": "none", "sources": [], "rows_note": "3 of 30 networks have layers without a row"},
            "Its sums hold no rows; 3 of 30 networks have layers without a row.",
        ),
    ],
)
def test_what_stands_in_the_sums_is_said(job: Path, form: dict[str, object], words: str) -> None:
    change_fit(job, **form)
    found = report(job)
    assert words.format(len(read_table(job / "table").rows)) in found.words
    names = [row[0] for row in found.table("Method", "Mean error (%)")]
    assert ("sum of the rows" in names) == (form.get("rows") != "none")


def test_a_table_of_imported_rows_alone_has_a_page(tmp_path: Path) -> None:
    source = tmp_path / "foreign.yaml"
    source.write_text(ROWS)
    import_table(source, tmp_path / "table", format="proxylessnas", task=Frame())
    found = report(tmp_path / "table")
    for words in (
        "2 rows and 0 whole networks were measured. The noise of its times is not known: they were imported. The table "
        "prices networks by the bare sum of its rows",
        "latencies are the bare sums of its 2 rows, without an interval",
        "The times were measured elsewhere and imported; their noise is not known.",
    ):
        assert words in found.words, words
    assert set(found.figures) == {"figure-rows", "figure-spread"}


def test_a_fit_on_a_few_imported_networks_has_a_page(job: Path) -> None:
    with (job / "table" / "networks.csv").open(encoding="utf-8", newline="") as file:
        networks = [row for row in csv.DictReader(file) if row["role"] == "sampled"][:12]
    source = job / "measured.csv"
    source.write_text("network,ms\n" + "".join(f"{row['network']},{row['ms']}\n" for row in networks))
    import_table(source, job / "imported", format="networks", task=Frame())
    fit(job / "imported")
    found = report(job / "imported")
    for words in (
        "The predictor was fitted on 12 networks. Its sums hold no rows; the table has no rows: layers are priced from "
        "measured networks alone.",
        "With 12 networks it cannot be told yet whether more would lower the error.",
    ):
        assert words in found.words, words
    assert "figure-learning" not in found.figures and "noise of the times" not in found.words.split("Method")[1]
    assert len(found.table("Measured (ms)")) == 10


def test_a_search_on_bare_sums_has_a_page(tmp_path: Path) -> None:
    job = tmp_path / "job"
    build_table(job / "table", networks=0)
    build_run(job, job / "run", evaluations=10)
    found = report(job)
    assert "The table prices networks by the bare sum of its rows" in found.words
    assert "evaluated 10 architectures" in found.words and "nan" not in found.words


# What went back to the device


def test_every_network_that_went_back_stands_there_with_its_verdict(finished_job: Path, page: Page) -> None:
    record = read_form(finished_job / "run" / REMEASURED, RemeasuredForm)
    rows = page.table("Predicted (ms)")
    ordered = [*record.outside, *(one for one in record.verdicts if one.interval == "inside")]
    words = {"inside": "as predicted", "below": "faster than its interval", "above": "slower than its interval"}
    assert [(row[3], row[4]) for row in rows] == [(f"{one.off_percent:+.2f}", words[one.interval]) for one in ordered]
    assert "so much is the device's. With their median, " in page.words


def test_a_missed_budget_and_a_refit_stand_on_the_page(job: Path) -> None:
    path = job / "run" / REMEASURED
    record = read_form(path, RemeasuredForm)
    one = record.verdicts[0]
    limit_ms = one.predicted_ms * 1.0001
    late = replace(one, measured_ms=1.35 * limit_ms)
    lucky = replace(record.verdicts[1], measured_ms=0.9 * limit_ms)
    verdicts = (late, lucky, *record.verdicts[2:])
    write_form(path, record.model_copy(update={"verdicts": verdicts, "limit_ms": limit_ms}))
    off = Off(4.0, 3.5, 2.5, 1.5)
    write_form(
        path.with_name(REFITTED),
        RefittedForm(
            table="mine",
            networks=4,
            shift_percent=2.0,
            before=off,
            after=off,
            random_before_percent=1.5,
            random_after_percent=1.4,
            versions={},
        ),
    )
    found = report(job)
    for words in (
        "1 of 1 predicted to run within it takes longer.",
        "slower than its interval, misses the limit by 35.0 %",
        "meets the limit after all",
        "The bias that is left, +1.5 %, is within 3 %.",
        "Random networks, held back: off by 1.40 %, 1.50 % before.",
    ):
        assert words in found.words, words
