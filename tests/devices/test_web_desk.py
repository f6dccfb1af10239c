"""The desk: pages that come, go, come back, and send what they should not. The page is a stand-in."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.page_client import HELLO, TIMES, Ended, Opener, StandInPage, plan, serving

from mnas_evo.devices import web_desk
from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.errors import DeviceError, DeviceGone

RUN = {"type": "run", "slot": 0, "item": "item 0", "times_ns": TIMES, "wall_ns": 9, "state": {}}

Behaviour = Callable[[StandInPage], object]
Serve = Callable[..., tuple[BrowserDevice, Opener]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Makes a device whose address is opened by a page of some behaviour."""
    monkeypatch.setattr(web_desk, "POLL_SECONDS", 0.2)
    with ExitStack() as stack:
        yield lambda page, **options: stack.enter_context(serving(tmp_path / "runtime", page, **options))


@pytest.fixture
def wake_late(monkeypatch: pytest.MonkeyPatch) -> Callable[[threading.Event], None]:
    """Lets a driver that waits see what has come only once an event is set."""

    def until(awake: threading.Event) -> None:
        quick = web_desk.PageDesk._wait_for

        def slow(desk: web_desk.PageDesk, found: Callable[[], object]) -> object:
            assert awake.wait(20)
            return quick(desk, found)

        monkeypatch.setattr(web_desk.PageDesk, "_wait_for", slow)

    return until


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A plan's folder."""
    (tmp_path / "0.onnx").write_text("a model")
    return tmp_path


# Pages that come and go


def test_a_page_that_reloads_gets_the_visit_that_it_was_at(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        page.answer(page.hear())
        lost = page.hear()
        page.alive(leaving=True)
        again = StandInPage(opener.url)
        assert again.hello().status == 200
        assert again.hear() == lost
        assert page.answer(lost).status == 409  # the page that left measured it after all
        again.measure()

    device, opener = serve(page_of)
    runs = list(device.run(plan(models, "0.onnx", "0.onnx", "0.onnx")))
    assert [run.slot for run in runs] == [0, 1, 2]


def test_a_late_second_answer_is_ignored_even_where_the_same_is_asked_again(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        first = page.hear()
        assert page.answer(first).status == 200
        late = page.turn
        second = page.hear()
        assert second == first
        assert page.say({**RUN, "times_ns": [9] * 5}, turn=late).status == 200
        page.answer(second)
        page.answer(second)

    device, opener = serve(page_of)
    asked = plan(models, "0.onnx")
    assert [run.times_ns for run in (*device.run(asked), *device.run(asked))] == [tuple(TIMES)] * 2
    opener.join()


def test_a_second_page_is_told_of_the_first_until_that_has_gone(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        page.hello()  # the answer to the first may have been lost
        second = StandInPage(opener.url)
        got = second.hello()
        assert (got.status, got.lines[0]["type"]) == (409, "busy")
        assert "another page is measuring" in got.lines[0]["message"]
        assert second.get(f"hear?page={second.id}").status == 409
        assert second.say({"type": "error", "message": "meddling"}).status == 409
        assert second.alive().status == 409
        page.alive(leaving=True)
        second.measure()

    device, opener = serve(page_of)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1


def test_a_page_that_fell_silent_makes_room(serve: Serve, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_desk, "SILENT_SECONDS", 0.1)

    def page_of(page: StandInPage) -> None:
        page.hello()
        page.hear()
        until = time.monotonic() + 20
        while not any(text.startswith("no word from the page: bring it to the front") for text in opener.said):
            assert time.monotonic() < until
            time.sleep(0.05)
        StandInPage(opener.url).measure()

    device, opener = serve(page_of)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    assert opener.said[-1] == "the page is back"


def test_a_page_of_another_device_is_a_device_error_and_the_right_one_may_come_back(serve: Serve, models: Path) -> None:
    may_come = threading.Event()

    def page_of(page: StandInPage) -> None:
        page.hello()
        page.answer(page.hear())
        page.alive(leaving=True)
        other = StandInPage(opener.url)
        got = other.hello(soc="another")
        assert (got.status, got.lines[0]["type"]) == (409, "error")
        assert may_come.wait(20)
        StandInPage(opener.url).measure()

    device, opener = serve(page_of)
    found = []
    with pytest.raises(DeviceError, match=r"of another device: soc 'known' against 'another'.*is kept") as caught:
        for run in device.run(plan(models, "0.onnx", "0.onnx")):
            found.append(run)
    assert len(found) == 1 and not isinstance(caught.value, DeviceGone)
    may_come.set()
    assert len(list(device.run(plan(models, "0.onnx")))) == 1


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (lambda page: None, r"no page was opened within 0 s: open the address that the host shows"),
        (lambda page: page.hello() and page.alive(leaving=True), "the page has not come back for 0 s: open it again"),
        (
            lambda page: page.hello() and page.alive(hidden=True),
            "the page has been hidden for 0 s: bring it to the front",
        ),
        (lambda page: page.hello() and page.hear(), "the page has not answered for 0 s: reload it"),
    ],
)
def test_without_a_page_that_gets_on_the_device_is_gone(
    behaviour: Behaviour, said: str, serve: Serve, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_desk, "END_SECONDS", 0.2)
    device, opener = serve(behaviour, page_seconds=0.4, stays=True)
    with pytest.raises(DeviceGone, match=rf"{said}.*What was measured is kept; run the command again"):
        list(device.run(plan(models, "0.onnx")))
    opener.join()


def test_a_page_that_cannot_measure_says_why(serve: Serve) -> None:
    device, _ = serve(lambda page: page.say({"type": "error", "message": "this browser cannot"}) and None)
    with pytest.raises(DeviceError, match="the device's agent says: this browser cannot"):
        device.facts()


def test_a_visit_that_is_answered_is_not_handed_out_again_however_late_the_driver_wakes(
    serve: Serve, models: Path, wake_late: Callable[[threading.Event], None]
) -> None:
    awake = threading.Event()
    heard = []

    def page_of(page: StandInPage) -> None:
        page.hello()
        page.answer(page.hear())
        heard.extend(page.get(f"hear?page={page.id}").lines)
        awake.set()

    device, opener = serve(page_of)
    device.facts()
    wake_late(awake)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    opener.join()
    assert heard == []


def test_what_was_answered_before_another_device_came_is_kept_however_late_the_driver_wakes(
    serve: Serve, models: Path, wake_late: Callable[[threading.Event], None]
) -> None:
    awake = threading.Event()

    def page_of(page: StandInPage) -> None:
        page.hello()
        page.answer(page.hear())
        page.alive(leaving=True)
        StandInPage(opener.url).hello(soc="another")
        awake.set()

    device, opener = serve(page_of)
    device.facts()
    wake_late(awake)
    found = []
    with pytest.raises(DeviceError, match="of another device"):
        for run in device.run(plan(models, "0.onnx", "0.onnx")):
            found.append(run)
    assert len(found) == 1
    opener.join()


def test_a_visit_that_no_page_ever_ends_is_a_device_error_and_not_asked_for_ever(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        with contextlib.suppress(Ended, OSError):  # the host ends it
            for _ in range(web_desk.MOST_TRIES + 1):  # each time it dies of it and is opened again
                page.hello()
                page.hear()
                page.alive(leaving=True)

    device, _ = serve(page_of)
    with pytest.raises(DeviceError, match="the page began item 0 10 times and never ended it"):
        list(device.run(plan(models, "0.onnx")))


# Garbage

GARBAGE: list[tuple[object, str]] = [
    ("Segmentation fault", "JSON"),
    (b"\xff\xfe\x00", "JSON"),
    ("[" * 100_000, "JSON"),
    ("[1, 2]", "object"),
    ("null", ""),
    ("{}", "type"),
    ({"type": "plan"}, "type"),
    ({"slot": 1}, r"slot and item are \(1, 1, 'item 0'\) where \(1, 0, 'item 0'\) were asked"),
    ({"item": "item 1"}, r"slot and item are \(1, 0, 'item 1'\) where \(1, 0, 'item 0'\) were asked"),
    ({"slot": None}, "slot"),
    ({"slot": "0"}, "slot"),
    ({"slot": True}, "slot"),
    ({"times_ns": None}, "times_ns"),
    ({"times_ns": 5}, "times_ns"),
    ({"times_ns": ["5", "4", "4"]}, "times_ns"),
    ({"times_ns": [5, 4, 4.5]}, "times_ns"),
    ({"times_ns": [5, 4, True]}, "times_ns"),
    ({"times_ns": [5, 4, -4]}, "times_ns"),
    ({"times_ns": [5, 4, 0]}, "times_ns"),
    ({"times_ns": [5, 4, 2**63]}, "times_ns"),
    ({"times_ns": [5, 4, float("nan")]}, ""),
    ({"times_ns": []}, "0 times for 'item 0'"),
    ({"times_ns": [5, 4]}, "2 times for 'item 0'"),
    ({"times_ns": [5] * 10}, "10 times for 'item 0'"),
    ({"wall_ns": -1}, "wall_ns"),
    ({"wall_ns": None}, "wall_ns"),
    ({"state": [1]}, "state"),
    ({"state": {"load": "high"}}, "state"),
    ({"state": {"load": float("inf")}}, "state"),
    ({"type": "refused"}, "message"),
    ({"type": "refused", "message": "x" * 2000}, "message"),
]


@pytest.mark.parametrize(("garbage", "said"), GARBAGE)
def test_garbage_is_asked_again_and_the_third_time_is_a_device_error(
    garbage: object, said: str, serve: Serve, models: Path
) -> None:
    message = {**RUN, **garbage} if isinstance(garbage, dict) else garbage

    def page_of(page: StandInPage) -> None:
        page.hello()
        for _ in range(3):
            assert page.hear()["visits"][0]["slot"] == 0
            assert page.say(message).status == 400
        page.measure()

    device, _ = serve(page_of)
    asked = plan(models, "0.onnx")
    with pytest.raises(DeviceError, match=rf"(?s)the page sent 3 answers that cannot be read, .*{said}"):
        list(device.run(asked))
    assert len(list(device.run(asked))) == 1  # the failure is told once


def test_garbage_now_and_then_is_asked_again(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        for _ in range(3):
            for _ in range(2):
                page.hear()
                assert page.say("garbage").status == 400
            page.answer(page.hear())

    device, _ = serve(page_of)
    assert [run.slot for run in device.run(plan(models, "0.onnx", "0.onnx", "0.onnx"))] == [0, 1, 2]


@pytest.mark.parametrize(
    "hello", ["hello", {**HELLO, "protocol": 2}, {**HELLO, "facts": {"name": "x"}}, {"type": "hello"}]
)
def test_a_greeting_that_cannot_be_read_is_a_device_error_at_last(hello: object, serve: Serve) -> None:
    device, opener = serve(lambda page: [page.say(hello) for _ in range(3)] and None)
    with pytest.raises(DeviceError, match="the page sent 3 answers that cannot be read"):
        device.facts()
    opener.join()


def test_requests_that_are_no_pages_are_refused_and_harm_nothing(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        for query in (
            "",
            "?page=",
            "?page=short",
            f"?page={'x' * 65}",
            f"?page={page.id}&turn=x",
            f"?page={page.id}&turn=²",
        ):
            assert page.request("POST", f"{page.path}say{query.replace('²', '%C2%B2')}", b"{}").status == 400
        assert page.request("POST", f"{page.path}alive?page={page.id}", b"no").status == 400
        assert page.request("POST", f"{page.path}other?page={page.id}", b"{}").status == 404
        for _ in range(5):
            assert StandInPage(opener.url).say("garbage of a stranger").status == 409
        page.measure()

    device, opener = serve(page_of)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
