"""A front back on the device: what is measured, what is kept, and what is said of predictions and budgets."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.known_times import OtherDevice, item_ms
from support.searched_folder import build, copied, quiet, searched, slower, steady

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.errors import DeviceError, RequestError
from mnas_evo.files import read_form
from mnas_evo.finalists.choose import choose
from mnas_evo.finalists.measured_front import measured_front
from mnas_evo.finalists.remeasure import ANCHORS, PASSES, remeasure
from mnas_evo.finalists.verdicts import REMEASURED, RemeasuredForm, Verdict, summarised
from mnas_evo.latency.runs import Device, Plan, Run, RunLog
from mnas_evo.latency.table import read_table
from mnas_evo.search.front import candidates, front
from mnas_evo.search.run import archive_path, open_run

TOP = 8


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("finished") / "job")
    searched(folder)
    return folder


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path / "job")


def sampled(job: Path) -> frozenset[str]:
    return frozenset(entry.network for entry in read_table(job / "table").networks)


def again(run: Path, device: Device | None = None, **asked: object) -> RemeasuredForm:
    given: dict[str, object] = {"top": TOP, "minutes": 0.0, "progress": quiet, **asked}
    return remeasure(run, device or steady(), **given)  # type: ignore[arg-type]


def visits(run: Path) -> Counter[str]:
    logs = [RunLog(path).read() for path in sorted((run / "remeasure").glob("*/runs.jsonl"))]
    return Counter(one.item for log in logs for _, one in log if one.item != "reference")


def tells_and_measurements(run: Path) -> tuple[object, dict[str, float]]:
    _, archive = open_run(run)
    with archive:
        found = archive.measurements("latency_ms")
        return archive.tells(), {name: one.value for name, one in found.items()}


# What is measured and kept


def test_times_stand_beside_the_tells_and_the_front_is_drawn_from_them(job: Path) -> None:
    told, _ = tells_and_measurements(job / "run")
    found = again(job / "run")
    after, measured = tells_and_measurements(job / "run")
    assert after == told
    assert set(measured) == {one.network for one in found.verdicts} and len(measured) == TOP
    for name, ms in measured.items():
        assert ms == pytest.approx(item_ms(name), rel=1e-3)
    form, archive = open_run(job / "run")
    with archive:
        best = measured_front(archive, form.objectives, found.quantity)
        assert best == front(candidates(archive), form.objectives)
    assert {one.network for one in best} <= set(measured)
    assert all(one.latency_ms == measured[one.network] for one in best)
    assert read_form(job / "run" / REMEASURED, RemeasuredForm) == found


def test_more_networks_than_the_front_has_are_measured_where_they_are_asked_for(job: Path) -> None:
    form, archive = open_run(job / "run")
    with archive:
        on_front = len(front(candidates(archive), form.objectives))
    found = again(job / "run", top=30)
    assert on_front < 30 == len(found.verdicts)
    assert len(visits(job / "run")) == 30 + 10  # a third as many of the table's own


def test_an_ended_one_is_not_measured_again_unless_asked_for_more(job: Path) -> None:
    first = again(job / "run")
    device = steady()
    assert again(job / "run", device) == first
    assert device.visits == 0
    _, measured = tells_and_measurements(job / "run")
    again(job / "run", device, top=TOP + 1)
    assert device.visits > 0
    assert measured.items() <= tells_and_measurements(job / "run")[1].items()


def test_what_was_measured_is_not_written_twice_if_the_end_was_cut_off(job: Path) -> None:
    found = again(job / "run")
    (job / "run" / REMEASURED).unlink()
    device = steady()
    assert again(job / "run", device) == found and device.visits == 0
    connection = sqlite3.connect(archive_path(job / "run"))
    assert connection.execute("SELECT count(*) FROM measurements").fetchone() == (TOP,)
    connection.close()


class Interrupted(FakeDevice):
    """A device during whose 30th visit the user presses Ctrl-C."""

    def run(self, plan: Plan) -> Iterator[Run]:
        """Runs a plan up to there."""
        for run in super().run(plan):
            if self.visits == 30:
                raise KeyboardInterrupt
            yield run


def test_ctrl_c_loses_no_more_than_the_visit_it_falls_in(job: Path, tmp_path: Path) -> None:
    cut = copied(job, tmp_path / "cut")
    whole = again(job / "run")
    with pytest.raises(KeyboardInterrupt):
        again(cut / "run", Interrupted(item_ms, noise=0.0))
    assert again(cut / "run").verdicts == whole.verdicts
    assert visits(cut / "run") == visits(job / "run")


@pytest.mark.parametrize("moment", [0, 1, 25, 60, 110])
def test_a_device_that_dies_in_the_middle_loses_nothing_and_no_visit_is_repeated(
    moment: int, job: Path, tmp_path: Path
) -> None:
    cut = copied(job, tmp_path / "cut")
    whole = again(job / "run")
    with pytest.raises(DeviceError, match="told to die"):
        again(cut / "run", steady(dies_after=moment))
    assert again(cut / "run").verdicts == whole.verdicts
    assert visits(cut / "run") == visits(job / "run")
    assert set(visits(cut / "run").values()) == {PASSES}
    assert tells_and_measurements(cut / "run") == tells_and_measurements(job / "run")


def test_what_the_device_refuses_is_named_and_the_others_are_measured(job: Path) -> None:
    names = [one.network for one in again(job / "run").verdicts]
    for path in (job / "run" / "remeasure").iterdir():
        (path / "runs.jsonl").unlink()
    found = again(job / "run", steady(refuses=lambda item: item == names[2]))
    assert found.refused == (names[2],)
    assert [one.network for one in found.verdicts] == [*names[:2], *names[3:]]
    assert f"The device refused 1, {names[2]} first." in found.in_words()
    with pytest.raises(DeviceError, match="refused all 8 networks"):
        again(job / "run", steady(refuses=lambda item: item != "reference"), seed=1)


# What it says


def test_the_devices_own_shift_stands_apart_from_the_error_on_the_front(job: Path) -> None:
    calm = again(job / "run").found
    assert calm.shift_percent == pytest.approx(0, abs=0.1)
    assert calm.bias_percent == pytest.approx(calm.settled_bias_percent, abs=0.1)
    truth = slower(1.1, sampled=sampled(job), front=1.05)
    moved = again(job / "run", steady(truth), seed=1).found
    assert moved.shift_percent == pytest.approx(10, abs=0.1)
    assert moved.anchors_bias_percent == pytest.approx(10, abs=0.1)
    expected = (1 + calm.bias_percent / 100) * 1.1 * 1.05
    assert moved.bias_percent == pytest.approx(100 * (expected - 1), abs=0.3)
    assert moved.settled_bias_percent == pytest.approx(100 * (expected / 1.1 - 1), abs=0.3)
    assert moved.fold_error_percent == calm.fold_error_percent > 0
    words = moved.in_words()
    for said in (
        "a bias of +10.0 %: so much is the device's",
        "With their median, +10.0 % (give or take 0.",
        "held back",
    ):
        assert said in words, said


def test_what_a_fit_made_since_says_of_itself_is_not_said_of_the_search(job: Path) -> None:
    path = job / "run" / "run.json"
    form = json.loads(path.read_text())
    form["pins"]["table"] = "0" * 64
    path.write_text(json.dumps(form))
    found = again(job / "run")
    assert np.isnan(found.found.fold_error_percent) and "held back" not in found.in_words()


def verdict(predicted: float, measured: float, *, half: float | None = 0.05) -> Verdict:
    low, high = (None, None) if half is None else (predicted * (1 - half), predicted * (1 + half))
    return Verdict(f"n{predicted}", predicted, low, high, measured, 0.3, 8)


def test_each_network_is_inside_below_or_above_its_interval() -> None:
    cases = {"inside": 1.02, "above": 1.06, "below": 0.94}
    assert {name: verdict(2.0, 2.0 * factor).interval for name, factor in cases.items()} == {n: n for n in cases}
    assert verdict(2.0, 9.0, half=None).interval == "none"
    assert verdict(2.0, 2.2).off_percent == pytest.approx(10)
    assert verdict(2.0, 2.2).interval_at(1.1) == "inside"


def record(finished: Path, *verdicts: Verdict, limit_ms: float | None = None) -> RemeasuredForm:
    """A record of such verdicts on any device."""
    facts = read_table(finished / "table").device
    found = summarised(verdicts, noise_percent=0.3)
    return RemeasuredForm(
        device=facts, found=found, seed=0, versions={}, verdicts=verdicts, limit_ms=limit_ms,
        quantity="latency_ms", as_searched=False, refused=(), unstable=(),
    )  # fmt: skip


def test_those_out_of_their_interval_are_listed_furthest_off_first(finished: Path) -> None:
    found = record(finished, verdict(1.0, 1.01), verdict(2.0, 2.2), verdict(3.0, 2.4))
    assert [one.network for one in found.outside] == ["n3.0", "n2.0"]
    assert found.found.inside_interval == 1


def test_a_budget_that_is_missed_is_said_loudly_and_one_met_after_all_too(finished: Path) -> None:
    met, missed, late, lucky = verdict(4.0, 4.1), verdict(4.8, 6.75), verdict(5.5, 5.4), verdict(5.2, 4.9)
    found = record(finished, met, missed, late, lucky, limit_ms=5.0)
    assert found.limit_words() == [
        "limit 5 ms: 1 of 2 predicted to run within it takes longer",
        "MISSED by 35.0 %: predicted 4.8 ms, measured 6.75 ms: n4.8",
        "to be had after all: predicted 5.2 ms, measured 4.9 ms: n5.2",
    ]
    assert record(finished, met, late, limit_ms=5.0).limit_words() == [
        "limit 5 ms: none of 1 predicted to run within it takes longer"
    ]
    assert record(finished, met).limit_words() == []
    assert missed.as_json(5.0)["missed_percent"] == pytest.approx(35)
    assert lucky.as_json(5.0)["to_be_had"] and "to_be_had" not in lucky.as_json(None)


# Limits


def middle_ms(job: Path) -> float:
    found = again(job / "run").verdicts
    return float(np.median([one.predicted_ms for one in found])) * 1.001


def test_networks_on_both_sides_of_the_limit_are_measured(job: Path) -> None:
    limit = middle_ms(job)
    found = again(job / "run", target_ms=limit)
    assert found.limit_ms == limit
    predicted = [one.predicted_ms for one in found.verdicts]
    assert min(predicted) < limit < max(predicted) and predicted == sorted(predicted)


def test_no_budget_is_missed_unnoticed_and_what_is_proposed_was_measured_to_meet_it(job: Path) -> None:
    limit = middle_ms(job)
    truth = slower(1.0, sampled=sampled(job), front=1.2)
    found = again(job / "run", steady(truth), target_ms=limit, seed=1)
    beyond = [one for one in found.verdicts if one.predicted_ms <= limit < one.measured_ms]
    assert beyond
    words = "\n".join(found.limit_words())
    assert all(f"ms: {one.network}" in words for one in beyond) and words.count("MISSED by") == len(beyond)
    form, archive = open_run(job / "run")
    with archive:
        proposed = choose(measured_front(archive, form.objectives, "latency_ms"), target_ms=limit)
    assert proposed.measured_ms is not None and proposed.measured_ms <= limit


def test_a_runs_own_limit_is_its_budget_and_what_it_turned_down_for_it_is_measured_too(job: Path) -> None:
    limit = middle_ms(job)
    run = searched(job, "limited", limits=(f"latency={limit}",))
    fast = slower(1.0, sampled=sampled(job), front=0.9)
    found = again(run, steady(fast))
    assert found.limit_ms == limit
    beyond = [one for one in found.verdicts if one.predicted_ms > limit]
    assert beyond, "what was turned down was told its top-1 as well: it costs nothing here"
    assert any(one.is_to_be_had(limit) for one in beyond)
    assert any(line.startswith("to be had after all") for line in found.limit_words())


def test_the_one_target_of_a_reward_is_its_budget(job: Path) -> None:
    one = searched(job, "one", algorithm="evolution", settings={"target": (3.0,)}, evaluations=20)
    two = searched(job, "two", algorithm="evolution", settings={"target": (3.0, 4.0)}, evaluations=20)
    assert again(one, top=2).limit_ms == 3.0
    assert again(one, top=2, target_ms=3.5).limit_ms == 3.5
    assert again(two, top=2).limit_ms is None


# Other runs


def test_of_several_devices_one_is_named_and_the_front_is_drawn_with_its_times(job: Path) -> None:
    other = copied(job / "table", job / "other")
    assert other.name == "other"
    run = searched(job, "both", tables=(str(job / "table"), str(other)), objectives="top1,latency:table,latency:other")
    with pytest.raises(RequestError, match="--table table or other"):
        again(run)
    with pytest.raises(RequestError, match="not searched with table 'third'; its tables: table, other"):
        again(run, table="third")
    found = again(run, table="other", top=5)
    assert found.quantity == "latency_ms:other"
    form, archive = open_run(run)
    with archive:
        assert archive.measurements("latency_ms") == {}
        measured = archive.measurements("latency_ms:other")
        best = measured_front(archive, form.objectives, found.quantity)
    assert len(measured) == 5 and {one.network for one in best} <= set(measured)
    for one in best:
        assert one.quantity("latency_ms:other") == one.measured_ms == measured[one.network].value
        assert one.quantity("latency_ms:table") == pytest.approx(one.predicted_ms or 0)


def test_another_device_is_refused(job: Path) -> None:
    with pytest.raises(RequestError, match=r"for another device \(soc 'fake' against 'another'\)"):
        again(job / "run", OtherDevice(item_ms))


def test_a_search_without_latency_has_nothing_to_measure(job: Path) -> None:
    run = searched(job, "counted", tables=(), objectives="top1,macs")
    with pytest.raises(RequestError, match="no front of top-1 and latency"):
        again(run)


def test_anchors_are_of_the_table_and_spread_over_its_times(job: Path) -> None:
    again(job / "run")
    of_table = [name for name in visits(job / "run") if name in sampled(job)]
    assert len(of_table) >= ANCHORS
    times = sorted(entry.time.ms for entry in read_table(job / "table").networks if entry.role == "sampled")
    known = {entry.network: entry.time.ms for entry in read_table(job / "table").networks}
    assert max(known[name] for name in of_table) >= times[-3]


def test_words_carry_no_figure_that_is_not_known(finished: Path) -> None:
    found = record(finished, verdict(1.0, 1.01, half=None))
    assert not re.search("nan|inf", found.in_words())
    assert "1 network of the front measured" in found.in_words()
