"""A browser as a device, with a stand-in for the page: what it is asked, what it may fetch, how it begins and ends."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.known_times import FACTS
from support.page_client import TIMES, Ended, Opener, StandInPage, plan, serving

from mnas_evo.devices import browser, web_desk, web_server
from mnas_evo.devices.browser import BrowserDevice, qr_code
from mnas_evo.devices.web_runtime import FILES
from mnas_evo.errors import DeviceError, DeviceGone, RequestError
from mnas_evo.latency.runs import Run
from mnas_evo.models.onnx_writer import SharedWeights

Serve = Callable[..., tuple[BrowserDevice, Opener]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Makes a device whose address is opened by a page of some behaviour."""
    monkeypatch.setattr(web_desk, "POLL_SECONDS", 0.2)
    with ExitStack() as stack:
        yield lambda page, **options: stack.enter_context(serving(tmp_path / "runtime", page, **options))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A plan's folder, and beside it what is nobody's business."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("0.onnx", "a b%2f.onnx", SharedWeights.FILE, "campaign.json"):
        (folder / name).write_text(f"content of {name}")
    (tmp_path / "secret").write_text("not to be had")
    return folder


# A plan


def test_visits_come_back_in_order_as_the_page_sent_them(serve: Serve, models: Path) -> None:
    device, _ = serve(StandInPage.measure)
    assert device.facts() == FACTS
    assert device.facts() is device.facts()
    runs = list(device.run(plan(models, "0.onnx", "0.onnx", "0.onnx")))
    assert runs == [Run(slot, f"item {slot}", tuple(TIMES), 9, {}) for slot in range(3)]
    assert list(device.run(plan(models))) == []
    assert len(list(device.run(plan(models, "0.onnx")))) == 1


def test_the_page_hears_the_protocols_plan_of_one_visit_and_where_its_model_lies(serve: Serve, models: Path) -> None:
    heard: list[dict[str, Any]] = []

    def page_of(page: StandInPage) -> None:
        page.hello()
        for _ in range(2):
            asked = page.hear()
            heard.append(asked)
            assert page.model(asked, "a b%2f.onnx").body == b"content of a b%2f.onnx"
            assert page.model(asked, SharedWeights.FILE).body == b"content of weights.bin"
            page.answer(asked)

    device, _ = serve(page_of)
    list(device.run(plan(models, "a b%2f.onnx", "a b%2f.onnx")))
    first, second = heard
    assert first == {
        "type": "plan",
        "protocol": 1,
        "folder": "models/1",
        "visit_ns": 1000,
        "min_repeats": 3,
        "max_repeats": 9,
        "visits": [{"slot": 0, "item": "item 0", "model": "a b%2f.onnx", "in_shape": [1, 3, 8, 8]}],
    }
    assert second["folder"] == first["folder"]  # whose weights the page has


def test_other_weights_lie_in_another_folder(serve: Serve, models: Path) -> None:
    folders = []

    def page_of(page: StandInPage) -> None:
        page.hello()
        for _ in range(2):
            asked = page.hear()
            folders.append(asked["folder"])
            page.answer(asked)

    device, _ = serve(page_of)
    list(device.run(plan(models, "0.onnx")))
    (models / SharedWeights.FILE).write_text("other weights")
    list(device.run(plan(models, "0.onnx")))
    assert folders == ["models/1", "models/2"]


def test_nothing_can_be_fetched_but_the_page_the_runtime_and_the_visits_model(serve: Serve, models: Path) -> None:
    found = {}

    def page_of(page: StandInPage) -> None:
        page.hello()
        asked = page.hear()
        known = ["", "agent.js", "measure.js", "asked", *(f"runtime/{name}" for name in FILES)]
        escapes = ["../secret", "..%2fsecret", "%2e%2e/secret", "models/1/../../secret", "models/1/..%2f..%2fsecret"]
        others = ["models/1/campaign.json", "models/1/1.onnx", "models/2/0.onnx", "models/1/", "models/", "runtime/"]
        others += [
            "index.html",
            "agent.py",
            "../agent.py",
            "runtime/../agent.js",
            "models/1//etc/passwd",
            "%00",
            "hear",
        ]
        for path in [*known, *escapes, *others]:
            found[path] = page.get(path).status
        page.answer(asked)
        assert [found[path] for path in known] == [200] * len(known)
        assert {found[path] for path in [*escapes, *others]} == {404, 409}
        assert page.model(asked, "0.onnx").status == 404  # the visit is over

    device, opener = serve(page_of)
    list(device.run(plan(models, "0.onnx")))
    opener.join()


def test_a_model_that_is_refused_is_told_and_the_visits_go_on(serve: Serve, models: Path) -> None:
    def page_of(page: StandInPage) -> None:
        page.hello()
        page.hear()
        page.say({"type": "refused", "slot": 0, "item": "item 0", "message": "no such op"}, {"type": "done"})
        page.measure()

    device, _ = serve(page_of)
    first, second = device.run(plan(models, "0.onnx", "0.onnx"))
    assert (first.refusal, first.times_ns) == ("no such op", ())
    assert second.times_ns == tuple(TIMES)


def test_the_host_says_where_to_go_and_a_code_that_the_page_shows_too(serve: Serve) -> None:
    codes = []

    def page_of(page: StandInPage) -> None:
        asked = json.loads(page.get("asked").body)
        codes.append(asked.pop("code"))
        wanted = {"protocol": 1, "runtime": "onnxruntime-web", "threads": 4, "precision": "fp32", "fingerprint": None}
        assert asked == wanted
        page.hello()

    device, opener = serve(page_of, threads=4)
    device.facts()
    assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/[\w-]{22}/ in the browser .* code [A-Z2-9]{4}", opener.said[0])
    assert opener.said[0].endswith(codes[0])
    assert "4 threads were asked for; the page has 1" in opener.said


def test_the_page_is_told_how_far_the_campaign_is(serve: Serve, models: Path) -> None:
    heard = []

    def page_of(page: StandInPage) -> None:
        page.hello()
        for _ in range(2):
            lines = page.get(f"hear?page={page.id}").lines
            heard.append({**lines[0]})
            page.turn = lines[0]["turn"]
            page.answer(lines[1])

    device, _ = serve(page_of)
    runs = device.run(plan(models, "0.onnx", "0.onnx"))
    next(runs)
    device.show_progress(0.25, "pass 2, 8 items")
    assert len(list(runs)) == 1
    assert heard[0] == {"type": "turn", "turn": 1, "share": None, "text": ""}
    assert heard[1]["turn"] == 2  # it may have asked before the progress was told


# Its life


def test_closing_tells_the_page_and_stops_serving(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_desk, "END_SECONDS", 20.0)
    ended = []

    def page_of(page: StandInPage) -> None:
        page.hello()
        with pytest.raises(Ended):
            page.hear()
        ended.append(page)

    device, opener = serve(page_of)
    device.facts()
    device.close()
    opener.join()
    (page,) = ended
    with pytest.raises(OSError):
        page.get("")
    device.close()


def test_a_device_that_was_closed_is_served_anew_at_another_address(serve: Serve, models: Path) -> None:
    device, opener = serve(StandInPage.measure)
    device.facts()
    first = opener.url
    device.close()
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    assert opener.url != first


def test_nothing_is_served_before_it_is_asked_for(serve: Serve) -> None:
    device, opener = serve(StandInPage.measure)
    device.show_progress(0.5, "early")
    device.close()
    assert opener.said == []


def test_where_the_page_can_be_opened_from_here_it_is(serve: Serve) -> None:
    opened = Opener(lambda url: StandInPage(url).measure())
    device, said = serve(StandInPage.measure, opener=lambda url: opened(f"open {url}"))
    device.facts()
    assert said.said[0].startswith(f"opened {opened.url} there; its page shows the code ")
    device.close()
    opened.join()


def test_where_it_cannot_be_opened_nothing_is_served_and_it_is_tried_again(serve: Serve) -> None:
    urls = []

    def fails(url: str) -> None:
        urls.append(url)
        raise DeviceError("no phone here")

    device, said = serve(StandInPage.measure, opener=fails)
    for _ in range(2):
        with pytest.raises(DeviceError, match="no phone here"):
            device.facts()
    for url in urls:
        with pytest.raises(OSError):
            StandInPage(url).get("")
    assert len(set(urls)) == 2 and said.said == []


def test_a_plan_that_is_left_in_the_middle_is_no_trouble_for_the_next(serve: Serve, models: Path) -> None:
    device, _ = serve(StandInPage.measure)
    runs = device.run(plan(models, "0.onnx", "0.onnx"))
    next(runs)
    del runs
    asked = plan(models, "0.onnx")
    (run,) = device.run(replace(asked, visits=(replace(asked.visits[0], item="other"),)))
    assert run.item == "other"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "int8"}, "onnxruntime-web here runs fp32, not 'int8'"),
        ({"threads": 0}, "threads is a positive number, not 0"),
    ],
)
def test_what_the_runtime_does_not_have_is_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        BrowserDevice(say=print, **options)


def test_in_the_network_the_fingerprint_is_said_and_the_address_drawn(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="https needs mnas-evo[browser]")
    monkeypatch.setattr(web_server, "_address", lambda: "127.0.0.1")
    monkeypatch.setattr(browser, "qr_code", lambda text: f"drawn {text}")
    device, opener = serve(lambda page: None, listen=True, page_seconds=0.1)
    with pytest.raises(DeviceGone):
        device.facts()
    first, second, third = opener.said
    assert first.startswith("open https://127.0.0.1:")
    assert re.search(r"its SHA-256 is (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$", second)
    assert third == f"drawn {opener.url}"


def test_a_drawing_is_square_and_framed_in_light() -> None:
    pytest.importorskip("segno", reason="drawn with mnas-evo[browser]")
    drawn = qr_code("https://192.168.1.20:45123/AAAAAAAAAAAAAAAAAAAAAA/")
    assert drawn is not None
    lines = drawn.splitlines()
    assert {len(line) for line in lines} == {33} and len(lines) == 17
    assert lines[0] == "█" * 33 and {line[:2] for line in lines[:-1]} == {"██"}
    assert set(drawn) == set("█▀▄ \n")


def test_without_the_package_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    assert qr_code("https://127.0.0.1/") is None


def test_the_weights_are_called_as_the_writer_calls_them() -> None:
    assert web_desk.WEIGHTS == SharedWeights.FILE
