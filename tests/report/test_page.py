"""The report: what it says of a job and of parts of one, what it leaves untouched, and that it is escaped."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch
from pytest import approx
from strategies import TINY
from support.page_text import Page, read_page
from support.sample_job import EVALUATIONS, build_run, build_table, build_training

from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import read_form, write_form
from mnas_evo.finalists.choose import knee
from mnas_evo.finalists.final_training import TrainingForm
from mnas_evo.latency.form import PredictorForm
from mnas_evo.report.page import write_report
from mnas_evo.report.palette import dark_by_light
from mnas_evo.search.archive import Archive, Tell
from mnas_evo.search.front import Candidate, candidates, front
from mnas_evo.search.run import archive_path
from mnas_evo.shipping.evaluation import EvaluationForm
from mnas_evo.space.named import LANDMARKS
from mnas_evo.training.metrics import Answers, metrics

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


def report(folder: Path) -> Page:
    """The page on a folder, written beside it."""
    return read_page(write_report(folder, folder.parent / "page.html"))


def run_front(run: Path) -> list[Candidate]:
    with Archive(archive_path(run)) as archive:
        return front(candidates(archive), ("top1", "latency_ms"))


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.fixture(scope="module")
def page(finished_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read_page(write_report(finished_job, tmp_path_factory.mktemp("pages") / "page.html"))


def test_the_page_is_one_small_file_and_its_path_comes_back(finished_job: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    assert write_report(finished_job, out) == out
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert 3e6 < out.stat().st_size < 8e6


def test_the_page_loads_nothing_from_elsewhere(page: Page) -> None:
    references = [
        found[name]
        for _, found in page.elements
        for name in ("src", "href", "action", "data", "poster")
        if name in found
    ]
    assert references
    assert all(reference.startswith(("#", "data:")) for reference in references)
    assert not [tag for tag, _ in page.elements if tag in ("iframe", "object", "embed", "base", "form")]
    (policy,) = (found["content"] for tag, found in page.elements if tag == "meta" and "http-equiv" in found)
    assert "default-src 'none'" in policy


def test_every_network_of_the_front_stands_there_whole(page: Page, finished_job: Path) -> None:
    networks = [candidate.network for candidate in run_front(finished_job / "run")]
    assert len(networks) > 2
    assert set(networks) <= set(page.codes)
    assert page.codes.count(networks[-1]) == 1


def test_the_summary_says_what_was_found(page: Page, finished_job: Path) -> None:
    fit = PredictorForm.model_validate_json((finished_job / "table" / "predictor.json").read_text())
    with Archive(archive_path(finished_job / "run")) as archive:
        measured = len(archive.measurements("latency_ms"))
    for words in (
        "On table (fake; none) with fake 1, 1 thread, fp32, batch 1",
        f"The time of a network carries {fit.noise_percent:.2f} % of noise",
        f"({fit.chosen}) is off by {fit.methods[fit.chosen].whole.mape:.2f} % on average",
        f"evaluated {EVALUATIONS} architectures",
        "The network trained in the end runs in",
        "Its best validation top-1 is 82.00 %, after epoch 5.",
        f"{measured} networks of the search went back to the device",
        "Of 40 architectures drawn, 40 were evaluated",
    ):
        assert words in page.words, words
    assert "Not in this folder" not in page.words


def test_the_page_is_sound_html(page: Page) -> None:
    assert next(found for tag, found in page.elements if tag == "html") == {"lang": "en"}
    assert len(page.ids()) == len(set(page.ids()))
    targets = {found["href"][1:] for tag, found in page.elements if tag == "a"}
    assert targets <= set(page.ids())
    assert [tag for tag, _ in page.elements].count("h1") == 1
    canvases = [found for _, found in page.elements if found.get("class") == "canvas"]
    assert len(canvases) == len(page.figures) == 12
    assert all(found["role"] == "img" and found["aria-label"] for found in canvases)


def test_every_axis_has_a_title_and_its_unit(page: Page) -> None:
    counted = {
        "Evaluations",
        "Networks fitted on",
        "Epoch",
        "Hypervolume (% x ms)",
        "Visit to the reference network",
        "Multiply-adds (MACs)",
    }
    for name, figure in page.figures.items():
        for axis in ("xaxis", "yaxis"):
            title = figure["layout"][axis]["title"]["text"]
            assert title in counted or title.endswith(("(ms)", "(%)", "(nats)")), f"{name}: {title}"


def test_every_colour_has_one_for_the_dark(page: Page) -> None:
    def colours(value: object) -> set[str]:
        if isinstance(value, dict):
            return set().union(*map(colours, value.values()))
        if isinstance(value, list):
            return set().union(*map(colours, value))
        return {value} if isinstance(value, str) and value.startswith(("#", "rgb")) else set()

    assert colours(list(page.figures.values())) <= set(dark_by_light())


def test_the_front_is_drawn_where_it_was_measured(page: Page, finished_job: Path) -> None:
    found = run_front(finished_job / "run")
    traces = {trace["name"]: trace for trace in page.figures["figure-front"]["data"]}
    assert traces["front"]["x"] == approx([c.latency_ms for c in found], rel=1e-5)
    assert traces["front"]["y"] == approx([c.top1 for c in found], rel=1e-5)
    assert traces["measured"]["x"] == approx([c.measured_ms for c in found if c.measured_ms is not None], rel=1e-5)
    assert len(traces["evaluated"]["x"]) == EVALUATIONS
    assert traces["published"]["text"] == list(LANDMARKS)
    assert set(traces["predicted"]["x"]) >= {float(f"{c.predicted_ms:.6g}") for c in found}
    assert "measured" in traces["measured"]["hovertext"][0]
    pointed = [page.networks[number]["string"] for number in traces["measured"]["customdata"]]
    assert pointed == [c.network for c in found if c.measured_ms is not None]


def test_without_a_training_the_knee_is_chosen(job: Path) -> None:
    shutil.rmtree(job / "training")
    found = report(job)
    assert "The knee of the front runs in" in found.words or "The knee of the front is predicted" in found.words
    assert "Not in this folder: final training." in found.words
    chosen = knee(run_front(job / "run"))
    assert found.codes.count(chosen.network) == 2
    assert "training" not in found.ids()


@pytest.mark.parametrize(
    ("part", "sections"),
    [
        ("table", {"summary", "device", "rows", "prediction", "noise"}),
        ("training", {"summary", "training"}),
        ("run", {"summary", "front", "device", "rows", "prediction", "noise", "search", "networks"}),
    ],
)
def test_a_part_alone_has_a_page_and_a_run_finds_its_table(job: Path, part: str, sections: set[str]) -> None:
    found = report(job / part)
    assert {found["id"] for tag, found in found.elements if tag == "section"} == sections
    assert ("The table shown is the one that the search names" in found.words) == (part == "run")


def test_a_run_whose_table_is_gone_shows_what_it_knows(job: Path) -> None:
    change_json(job / "run" / "run.json", tables=[str(job / "moved")])
    found = report(job / "run")
    assert "Not in this folder: latency table, final training." in found.words
    assert "published" not in {trace["name"] for trace in found.figures["figure-front"]["data"]}
    assert f"Not drawn, for their top-1 or latency is not known here: {', '.join(LANDMARKS)}." in found.words


def test_a_folder_of_nothing_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RequestError, match=r"device\.json.*run\.json.*training\.json"):
            write_report(folder, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_place_for_the_page(finished_job: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="give the report a file"):
        write_report(finished_job, tmp_path)


def test_what_is_unfinished_is_said(tmp_path: Path) -> None:
    job = tmp_path / "job"
    build_table(job / "table", networks=3)
    shutil.rmtree(job / "table" / "raw")
    build_training(job / "training", TINY.strings(TINY.sizes[None] * 0)[0], epochs=0)
    found = report(job)
    for words in (
        "No predictor has been fitted yet.",
        "No predictor has been fitted to this table yet.",
        "The raw runs of the newest campaign are not here",
        "The training has not come to its end yet.",
        "The network trained in the end has no known latency here.",
        "Not in this folder: search.",
    ):
        assert words in found.words, words
    assert set(found.figures) == {"figure-rows", "figure-spread"}


def test_a_search_that_has_told_nothing_yet_is_said(job: Path) -> None:
    shutil.rmtree(job / "training")
    archive_path(job / "run").unlink()
    without_archive = report(job)
    Archive(archive_path(job / "run"), create=True).close()
    for found in (without_archive, report(job)):
        assert "has evaluated nothing yet." in found.words
        assert "there is no front" in found.words


def test_a_search_of_failures_says_why(job: Path) -> None:
    archive_path(job / "run").unlink()
    with Archive(archive_path(job / "run"), create=True) as archive:
        name = TINY.strings(TINY.sizes[None] * 0)[0]
        archive.add_tells([Tell(0, 0, name, (0,), "failure", message="TrainingFailed: the loss became nan")])
    found = report(job)
    assert (
        "evaluated 1 architecture of the 40 asked for; none of them came to an end. 1 evaluation failed." in found.words
    )


def test_a_front_of_one_has_a_page(job: Path) -> None:
    shutil.rmtree(job / "run")
    build_run(job, job / "run", evaluations=1)
    found = report(job)
    assert "evaluated 1 architecture; 1 of them form the front" in found.words
    assert "figure-hypervolume" in found.figures


@pytest.mark.parametrize("objectives", ["top1,params", "top1,latency,macs"])
def test_other_objectives_have_a_page(job: Path, objectives: str) -> None:
    build_run(job, job / "other", evaluations=20, objectives=objectives)
    found = report(job / "other")
    figure = found.figures["figure-front"]
    titles = [figure["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
    names = {trace["name"] for trace in figure["data"]}
    if objectives == "top1,params":
        assert titles == ["Parameters", "Top-1 (%)"]
        assert {"front", "on the front"} <= names
    else:
        assert titles == ["Latency (ms)", "Top-1 (%)"]
        assert "front" not in names and "The front is over top-1, latency, multiply-adds" in found.words


def test_limits_are_drawn_and_said(job: Path) -> None:
    run = job / "limited"
    middle = sorted(c.predicted_ms or 0 for c in run_front(job / "run"))[-1]
    build_run(job, run, evaluations=15, limits=(f"latency={middle:.3f}", "top1=60"))
    found = report(run)
    texts = [note["text"].replace("\u00a0", " ") for note in found.figures["figure-front"]["layout"]["annotations"]]
    assert len(texts) == 2 and "at least 60.00 % top-1" in texts
    assert "Limits: " in found.words


def test_a_table_that_changed_since_the_search_is_said(job: Path) -> None:
    assert "is not what the search was started with" not in report(job).words
    change_json(job / "table" / "predictor.json", coverage_percent=12.5)
    assert "The table shown is not what the search was started with" in report(job).words


def test_figures_of_a_fit_older_than_the_measurements_are_called_so(job: Path) -> None:
    change_json(job / "table" / "predictor.json", measurements="0" * 64)
    found = report(job)
    assert "The table has been measured anew since the fit" in found.words
    texts = next(t for t in found.figures["figure-agreement"]["data"] if t["name"] == "table")["hovertext"]
    assert not any("input 16x16x1" in said for said in texts)


def test_the_figures_of_an_evaluation_are_shown(job: Path) -> None:
    labels = torch.tensor([0] * 32 + [1] * 34)
    said = torch.tensor([0] * 30 + [1] * 2 + [0] + [1] * 33)
    figures = metrics(Answers.of(torch.nn.functional.one_hot(said, 2).float(), labels))
    write_form(
        job / "training" / "evaluation.json",
        EvaluationForm(
            network=read_form(job / "training" / "training.json", TrainingForm).network,
            data="digits",
            images=66,
            class_names=("a", "b"),
            classes_said="",
            trained_on="digits",
            torch_latency_ms=7.5,
            torch_latency_iqr_ms=0.25,
            latency_ms=4.2,
            latency_spread_percent=1.0,
            device="y",
            versions={},
            metrics=figures,
        ),
    )
    found = report(job)
    assert "On 66 test images it reaches 95.45 %." in found.words
    assert found.figures["figure-confusion"]["data"][0]["text"] == [["30", "2"], ["1", "33"]]


def test_the_test_of_another_network_is_not_shown_as_this_ones(job: Path) -> None:
    test_the_figures_of_an_evaluation_are_shown(job)
    change_json(job / "training" / "evaluation.json", network="another/x/y")
    assert "66 test images" not in report(job).words


def test_texts_from_files_are_escaped(job: Path) -> None:
    clean = report(job)
    device = json.loads((job / "table" / "device.json").read_text())
    device["device"] |= {"name": HOSTILE, "soc": HOSTILE, "runtime_version": HOSTILE}
    device["campaigns"][0] |= {"date": HOSTILE, "refused": [HOSTILE]}
    (job / "table" / "device.json").write_text(json.dumps(device))
    change_json(job / "run" / "run.json", accuracy=HOSTILE, algorithm=HOSTILE, versions={HOSTILE: HOSTILE})
    change_json(job / "training" / "training.json", network=HOSTILE, data=HOSTILE)
    with sqlite3.connect(archive_path(job / "run")) as archive:
        archive.execute("UPDATE tell_values SET source = ?", (HOSTILE,))
        archive.execute("UPDATE tells SET kind = 'failure', message = ? WHERE slot = 3", (HOSTILE,))
        front_network = run_front(job / "run")[0].network
        for table in ("tells", "measurements"):
            archive.execute(f"UPDATE {table} SET network = ? WHERE network = ?", (f"{HOSTILE}/x/y", front_network))
        archive.execute("UPDATE tells SET network = ? WHERE batch = 0 AND slot = 0", (HOSTILE,))
    archive.close()
    hostile_job = job.rename(job.with_name(HOSTILE.replace("/", "")))
    found = report(hostile_job)
    assert len(found.scripts) == len(clean.scripts)
    assert not [tag for tag, _ in found.elements if tag == "img"]
    assert not [name for _, names in found.elements for name in names if name.startswith("on")]
    assert HOSTILE in found.words and f"{HOSTILE}/x/y" in found.codes
    hover = [t for trace in found.figures["figure-front"]["data"] for t in trace.get("hovertext") or []]
    assert hover and not any("<img" in said for said in hover)
    assert HOSTILE in [network["string"] for network in found.networks]  # which card.js writes as text


def test_reading_changes_nothing_in_the_folder(job: Path) -> None:
    (log,) = (job / "table" / "raw").glob("[0-9a-f]*[0-9a-f]/runs.jsonl")
    with log.open("a", encoding="utf-8") as file:
        file.write('{"pass": 9, "slot"')  # a campaign that is just writing
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in job.rglob("*") if path.is_file()}
    report(job)
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in job.rglob("*") if path.is_file()}
    assert after == before


def test_a_search_that_is_writing_is_read_as_far_as_it_has_come(job: Path) -> None:
    shutil.rmtree(job / "training")
    path = archive_path(job / "run")
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("DELETE FROM measurements")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM tell_values WHERE batch > 0")
        writer.execute("DELETE FROM tells WHERE batch > 0")
        assert f"evaluated {EVALUATIONS} architectures" in report(job).words
        writer.execute("COMMIT")
        assert "evaluated 20 architectures" in report(job).words
    writer.close()


def test_a_damaged_archive_is_named(job: Path) -> None:
    archive_path(job / "run").write_bytes(os.urandom(4096))
    with pytest.raises(DamagedFile, match=r"archive\.sqlite"):
        report(job)
