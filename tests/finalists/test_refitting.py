"""A front's measurements, offered to the predictor: at which level, judged how, and written where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.known_times import item_ms
from support.searched_folder import build, copied, quiet, searched, slower, steady

from mnas_evo.errors import RequestError, RunChanged
from mnas_evo.files import read_form
from mnas_evo.finalists.refitting import REFITTED, RefittedForm, refit
from mnas_evo.finalists.remeasure import remeasure
from mnas_evo.finalists.verdicts import RemeasuredForm
from mnas_evo.latency.predictor import load_predictor
from mnas_evo.latency.table import read_table
from mnas_evo.space.notation import parse_network

TOP = 20


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("finished") / "job")
    searched(folder)
    return folder


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path / "job")


def measured(job: Path, truth_ms: Callable[[str], float] = item_ms, **asked: object) -> RemeasuredForm:
    given: dict[str, object] = {"top": TOP, "minutes": 0.0, "progress": quiet, **asked}
    return remeasure(job / "run", steady(truth_ms), **given)  # type: ignore[arg-type]


def crooked(job: Path, factor: float = 1.0) -> Callable[[str], float]:
    """A device by now `factor` times as slow, on which what the table did not sample takes 8 % longer yet."""
    return slower(factor, sampled=frozenset(entry.network for entry in read_table(job / "table").networks), front=1.08)


def roles(table: Path) -> dict[str, str]:
    return {entry.network: entry.role for entry in read_table(table).networks}


def test_the_front_enters_the_table_is_fitted_on_and_never_judged(job: Path) -> None:
    before = roles(job / "table")
    found = measured(job)
    refitted = refit(job / "run")
    after = roles(job / "table")
    new = {one.network for one in found.verdicts} - set(before)
    assert after == before | dict.fromkeys(new, "front")
    assert refitted.networks == len(new) > 5
    form = load_predictor(job / "table").form
    assert form is not None and form.networks == 30 == len(form.measured_ms)
    assert read_form(job / "run" / REFITTED, RefittedForm) == refitted


def test_the_bias_before_and_after_is_of_networks_that_no_model_saw(job: Path) -> None:
    found = measured(job, crooked(job))
    refitted = refit(job / "run")
    new = [one for one in found.verdicts if roles(job / "table")[one.network] == "front"]
    assert refitted.before.bias_percent == pytest.approx(np.mean([one.off_percent for one in new]))
    assert refitted.before.settled_bias_percent == pytest.approx(8, abs=1)
    # No feature tells what was sampled, so that no model can learn all of it.
    assert 0 < refitted.after.settled_bias_percent < 0.7 * refitted.before.settled_bias_percent
    # Fitted on, they are priced better than by models that left them out.
    seen = load_predictor(job / "table").predict_networks([parse_network(one.network) for one in new]).value
    error = float(np.mean([abs(100 * (one.measured_ms / ms - 1)) for one, ms in zip(new, seen, strict=True)]))
    assert error < refitted.after.settled_error_percent < refitted.before.settled_error_percent


def test_an_hour_in_which_the_whole_device_was_slower_does_not_enter_the_table(job: Path, tmp_path: Path) -> None:
    other = copied(job, tmp_path / "other")
    measured(job, crooked(job))
    measured(other, crooked(job, 1.1))
    calm = refit(job / "run")
    moved = refit(other / "run")
    assert moved.shift_percent == pytest.approx(10, abs=0.1)
    times = [{one.network: one.time.ms for one in read_table(folder / "table").networks} for folder in (job, other)]
    assert times[0].keys() == times[1].keys()
    for name, ms in times[0].items():
        assert times[1][name] == pytest.approx(ms, rel=2e-3)
    assert moved.after.settled_bias_percent == pytest.approx(calm.after.settled_bias_percent, abs=0.2)
    assert moved.after.bias_percent == pytest.approx(calm.after.bias_percent + 10, abs=1.5)


def test_done_again_it_changes_nothing(job: Path) -> None:
    measured(job)
    first = refit(job / "run")
    files = {path.name: path.read_bytes() for path in (job / "table").glob("*.*")}
    second = refit(job / "run")
    assert {path.name: path.read_bytes() for path in (job / "table").glob("*.*")} == files
    assert second.model_copy(update={"random_before_percent": first.random_before_percent}) == first


def test_the_run_is_refused_afterwards_and_a_new_one_uses_the_refitted_predictor(job: Path) -> None:
    measured(job, crooked(job))
    refit(job / "run")
    with pytest.raises(RunChanged, match="table"):
        searched(job, evaluations=70)
    searched(job, "another")


def test_a_copy_is_fitted_where_the_table_is_to_stay(job: Path, tmp_path: Path) -> None:
    measured(job)
    files = {path.name: path.read_bytes() for path in (job / "table").glob("*.*")}
    refitted = refit(job / "run", into=tmp_path / "copy")
    assert {path.name: path.read_bytes() for path in (job / "table").glob("*.*")} == files
    assert refitted.table == str(tmp_path / "copy") and "front" in roles(tmp_path / "copy").values()
    searched(job, evaluations=70)  # goes on
    load_predictor(tmp_path / "copy")
    # What another search found is added to what it has.
    run = searched(job, "second", tables=(str(tmp_path / "copy"),), seed=1)
    remeasure(run, steady(), top=TOP, minutes=0.0, progress=quiet)
    before = len(roles(tmp_path / "copy"))
    refit(run)
    assert len(roles(tmp_path / "copy")) > before


def test_only_a_copy_of_the_searched_table_is_added_to(job: Path, tmp_path: Path) -> None:
    measured(job)
    other = copied(job / "table", tmp_path / "other")
    lines = (other / "networks.csv").read_text().splitlines(keepends=True)
    (other / "networks.csv").write_text("".join(line for line in lines if "sampled" not in line))
    with pytest.raises(RequestError, match=r"is no copy of .* it lacks 30 of its sampled networks"):
        refit(job / "run", into=other)


def test_stock_is_left_alone_and_the_copy_to_make_is_named(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(job)
    table = job / "table"
    monkeypatch.setattr("mnas_evo.finalists.refitting.is_bundled", lambda folder: folder == table)
    files = {path.name: path.read_bytes() for path in table.glob("*.*")}
    with pytest.raises(RequestError, match=r"is read-only; refit a copy: mnas-evo remeasure .*run --refit --into DIR"):
        refit(job / "run")
    assert {path.name: path.read_bytes() for path in table.glob("*.*")} == files
    refit(job / "run", into=job / "mine")


def test_without_measurements_there_is_nothing_to_learn(job: Path) -> None:
    with pytest.raises(RequestError, match=r"nothing of .* was measured yet; run: mnas-evo remeasure"):
        refit(job / "run")


def words(form: RefittedForm) -> str:
    return "\n".join(form.in_words())


def test_what_is_left_of_the_bias_is_judged_and_the_mend_is_named(job: Path) -> None:
    measured(job)
    found = refit(job / "run")
    small = found.after.__class__(4.0, 2.0, 4.0, 2.0)
    within = found.model_copy(update={"after": small})
    assert within.within and "+2.0 %, is within 3 %" in words(within)
    beyond = found.model_copy(update={"after": small.__class__(5.0, 4.0, 5.0, 4.0)})
    assert not beyond.within and "+4.0 %, is beyond 3 %: measure more of the front" in words(beyond)
    moved = found.model_copy(update={"after": small.__class__(7.0, 7.0, 2.0, 1.0), "shift_percent": 6.0})
    assert moved.within and "the device has moved by +6.0 % since" in words(moved)
