"""The page as a browser runs it: it measures, pauses, comes back, and is fit to be looked at."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from strategies import TINY
from support.chromium import NEEDED, complaints, hand, needs_the_web_runtime, shown, wait_for_state
from support.page_client import Opener, StandInPage, stub_runtime
from support.small_space import TEXT

from mnas_evo.devices import web_server
from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.devices.web_desk import PageDesk
from mnas_evo.devices.web_runtime import VERSION
from mnas_evo.devices.web_server import Reply
from mnas_evo.errors import DeviceError, DeviceGone
from mnas_evo.latency.runs import Plan, Run, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import parse_space

pytestmark = [*NEEDED, pytest.mark.xdist_group("chromium: devices")]
SHAPE = (1, TINY.frame.channels, TINY.frame.height, TINY.frame.width)

Serve = Callable[..., BrowserDevice]


@pytest.fixture(scope="module", autouse=True)
def _web_runtime() -> None:
    needs_the_web_runtime()


@pytest.fixture
def serve(browser: webdriver.Chrome) -> Iterator[Serve]:
    """Makes a device whose address the browser opens."""
    with ExitStack() as stack:

        def make(**options: Any) -> BrowserDevice:
            opener = Opener(browser.get)
            device = BrowserDevice(**{"say": opener, "page_seconds": 60.0, **options})
            stack.callback(browser.get, "about:blank")
            stack.callback(opener.join)
            stack.callback(device.close)
            return device

        yield make


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of the tiny space, and one that no runtime reads."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    graphs = [lower(network) for network in TINY.networks(TINY.sample(3, rng=rng))]
    weights = SharedWeights(graphs)
    weights.write(folder, rng=rng)
    for number, graph in enumerate(graphs):
        (folder / f"{number}.onnx").write_bytes(onnx_model(graph, weights=weights).SerializeToString())
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def plan(folder: Path, *models: str, visit_ns: int = 0, max_repeats: int = 9) -> Plan:
    visits = tuple(Visit(slot, f"item {slot}", f"{name}.onnx", SHAPE) for slot, name in enumerate(models))
    return Plan(folder, visits, visit_ns, min_repeats=3, max_repeats=max_repeats)


def script(browser: webdriver.Chrome, text: str) -> Any:
    return browser.execute_script(text)


def in_thread(runs: Iterator[Run]) -> tuple[threading.Thread, list[Run]]:
    """Takes runs in a thread, so that something can happen to the page meanwhile."""
    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.extend(runs))
    thread.start()
    return thread, found


def wait_for_visits(browser: webdriver.Chrome, count: int) -> None:
    until = time.monotonic() + 60
    while int(shown(browser, "visits") or 0) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


# Measuring


def test_an_isolated_page_measures_and_refuses_what_is_broken(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve()
    facts = device.facts()
    assert (facts.runtime, facts.runtime_version) == ("onnxruntime-web", VERSION)
    assert (facts.threads, facts.precision, facts.batch, facts.protocol) == (1, "fp32", 1, 1)
    assert facts.soc and facts.os and facts.name
    assert facts.agent.startswith("mnas_evo web agent 1, isolated, ")
    assert script(browser, "return [crossOriginIsolated, isSecureContext]") == [True, True]
    runs = list(device.run(plan(models, "0", "broken", "1", "gone", "2", "0")))
    assert [(run.slot, run.item) for run in runs] == [(slot, f"item {slot}") for slot in range(6)]
    assert [run.refusal is None for run in runs] == [True, False, True, False, True, True]
    assert "the host has no gone.onnx" in (runs[3].refusal or "")
    for run in runs:
        if run.refusal is None:
            assert len(run.times_ns) == 3 and min(run.times_ns) > 0
            assert run.wall_ns >= sum(run.times_ns)
            assert set(run.state) == {"clock_step_us", "isolated", "group", "hidden"}
            assert run.state["isolated"] == 1 and run.state["hidden"] == 0
            assert run.state["clock_step_us"] <= 5 and run.state["group"] >= 1
    wait_for_visits(browser, 6)


def test_a_visit_ends_with_the_first_time_that_fills_it_or_with_the_last_it_may_take(
    serve: Serve, models: Path
) -> None:
    device = serve()
    visit_ns = 100_000_000
    (run,) = device.run(plan(models, "0", visit_ns=visit_ns, max_repeats=10**6))
    assert run.wall_ns >= visit_ns and len(run.times_ns) < 10**6
    (run,) = device.run(plan(models, "0", visit_ns=10**12))
    assert len(run.times_ns) == 9


def test_more_threads_are_there_where_the_page_is_isolated(serve: Serve, models: Path) -> None:
    device = serve(threads=2)
    assert device.facts().threads == 2
    (run,) = device.run(plan(models, "1"))
    assert run.refusal is None


def test_a_page_that_is_not_isolated_says_so_and_times_groups_of_runs(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve(isolate=False, threads=2)
    facts = device.facts()
    assert facts.threads == 1
    assert facts.agent.startswith("mnas_evo web agent 1, not isolated, ")
    assert script(browser, "return crossOriginIsolated") is False
    runs = list(device.run(plan(models, "0", "1", "0", "1", max_repeats=200)))
    assert max(run.state["group"] for run in runs) > 1
    for run in runs:
        assert run.state["isolated"] == 0
        assert run.state["clock_step_us"] > 5
        # A time is a mean over at least 20 steps, and the visit lasts at least 20 ms.
        assert run.wall_ns >= 20_000_000
        assert len(run.times_ns) >= 3 and min(run.times_ns) > 0
    assert shown(browser, "hint").startswith("Not isolated: coarse clock, one thread.")
    assert "no: coarse clock, one thread" in shown(browser, "facts")


def test_over_tls_in_the_network_it_measures_too(
    serve: Serve, browser: webdriver.Chrome, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="https needs mnas-evo[browser]")
    monkeypatch.setattr(web_server, "_address", lambda: "127.0.0.1")
    device = serve(listen=True)
    (run,) = device.run(plan(models, "0"))
    assert run.state["isolated"] == 1
    fingerprint = shown(browser, "fingerprint")
    assert fingerprint.count(":") == 31
    assert script(browser, "return document.getElementById('certificate').checkVisibility()")


def test_the_numbers_fed_are_normal_and_the_same_after_a_reload(serve: Serve, browser: webdriver.Chrome) -> None:
    serve().facts()
    call = "import('./numbers.js').then(({normalNumbers}) => arguments[0]([...normalNumbers([1, 2, 50, 50])]))"
    first = browser.execute_async_script(call)
    browser.refresh()
    assert browser.execute_async_script(call) == first
    assert len(first) == 5000
    assert abs(np.mean(first)) < 0.05 and abs(np.std(first) - 1) < 0.05


def test_a_browser_that_cannot_run_the_runtime_says_so_on_both_ends(
    serve: Serve, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    device = serve(runtime_folder=stub_runtime(tmp_path))
    with pytest.raises(
        DeviceError, match="the device's agent says: this browser cannot run onnxruntime-web: TypeError"
    ):
        device.facts()
    wait_for_state(browser, "error")
    assert shown(browser, "words").startswith("This browser cannot run onnxruntime-web: TypeError")


def test_a_whole_campaign_runs_in_the_page(serve: Serve, browser: webdriver.Chrome, tmp_path: Path) -> None:
    device = serve()
    shares = []

    def progress(share: float, text: str) -> None:
        shares.append(share)
        device.show_progress(share, text)

    space = parse_space(TEXT, source="few-rows")
    request = ProfileRequest(space, networks=3)
    table, campaign = profile(tmp_path / "mine", device, request, target="browser", minutes=0.0, progress=progress)
    assert campaign is not None and campaign.passes == 4
    assert table.missing(space.layers()) == []
    assert (table.device.name, table.device.runtime) == ("mine", "onnxruntime-web")
    assert {entry.role for entry in table.networks} == {"landmark", "sampled"}
    assert all(row.ms > 0 and row.visits == 4 for row in table.rows.values())
    assert shares[-1] == 1.0
    assert shown(browser, "text").startswith("pass ")
    assert shown(browser, "percent").endswith(" %")
    assert complaints(browser) == []


# Reloads, losses, neighbours


def test_a_page_that_is_reloaded_in_the_middle_goes_on_and_each_slot_comes_once(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve()
    device.facts()
    thread, found = in_thread(device.run(plan(models, *["0", "1", "2"] * 20)))
    for _ in range(2):
        wait_for_visits(browser, 3)
        browser.refresh()
    thread.join(timeout=60)
    assert [run.slot for run in found] == list(range(60))
    assert all(run.refusal is None for run in found)


def test_a_page_that_loses_the_network_goes_on_when_it_is_back(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve()
    device.facts()
    thread, found = in_thread(device.run(plan(models, *["0", "1", "2"] * 20)))
    wait_for_visits(browser, 3)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": True})
    wait_for_state(browser, "connecting")
    assert shown(browser, "words").startswith("The host does not answer.")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})
    thread.join(timeout=60)
    browser.execute_cdp_cmd("Network.disable", {})
    assert [run.slot for run in found] == list(range(60))


def test_a_second_page_is_told_and_takes_over_when_the_first_has_gone(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve()
    facts = device.facts().model_dump()
    url = browser.current_url
    wait_for_state(browser, "waiting")
    browser.get("about:blank")
    first = StandInPage(url)
    until = time.monotonic() + 30
    while first.hello(**facts).status != 200:  # the page's goodbye is on its way
        assert time.monotonic() < until
        time.sleep(0.05)
    browser.get(url)
    wait_for_state(browser, "waiting")
    assert shown(browser, "words").startswith("Another page is measuring")
    first.alive(leaving=True)
    (run,) = device.run(plan(models, "0"))
    assert run.refusal is None


def test_a_page_of_another_device_is_told_why_it_is_not_taken(serve: Serve, browser: webdriver.Chrome) -> None:
    device = serve()
    device.facts()
    agent = "Mozilla/5.0 (Another; Machine 7) Browser/1.0"
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent})
    browser.refresh()
    wait_for_state(browser, "error")
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": ""})
    assert shown(browser, "words").startswith("The page that came back is of another device: soc ")
    with pytest.raises(DeviceError, match="is of another device: soc"):
        list(device.run(plan(Path(), "0")))


def test_a_page_of_a_host_that_was_started_anew_says_that_its_address_is_old(
    serve: Serve, browser: webdriver.Chrome
) -> None:
    device = serve()
    device.facts()
    port = StandInPage(browser.current_url).port
    assert device._server is not None
    device._server.close()  # as if it had been killed: nobody tells the page
    wait_for_state(browser, "connecting")
    anew = BrowserDevice(say=lambda text: None, port=port, page_seconds=0.1)
    with pytest.raises(DeviceGone):
        anew.facts()
    wait_for_state(browser, "error")
    assert shown(browser, "words").startswith("This address is no longer valid.")
    anew.close()


# Hidden pages


def hide(browser: webdriver.Chrome, hidden: bool) -> None:
    """Makes the page believe that it was hidden, or brought to the front."""
    browser.execute_script(
        "const hidden = arguments[0];"
        "Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))",
        hidden,
    )


def test_a_hidden_page_pauses_and_what_it_measured_meanwhile_does_not_count(
    serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    device = serve()
    device.facts()
    thread, found = in_thread(device.run(plan(models, *["0"] * 30)))
    wait_for_visits(browser, 3)
    script(browser, "window.lights = 0; navigator.wakeLock.request = async () => { window.lights += 1; return null; }")
    hide(browser, True)
    wait_for_state(browser, "paused")
    assert shown(browser, "words") == "Bring this page to the front: browsers slow hidden pages down."
    visits = shown(browser, "visits")
    time.sleep(0.5)
    assert shown(browser, "visits") == visits and len(found) < 30
    hide(browser, False)
    thread.join(timeout=60)
    assert script(browser, "return window.lights") == 1  # the screen's lock went with the page
    assert [run.slot for run in found] == list(range(30))
    assert (found[0].state["hidden"], found[-1].state["hidden"]) == (0, 1)


def test_a_visit_during_which_the_page_was_hidden_is_made_again(
    serve: Serve, browser: webdriver.Chrome, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    get = PageDesk.get

    def noted(desk: PageDesk, path: str, query: Mapping[str, str]) -> Reply:
        fetched.append(path)
        return get(desk, path, query)

    monkeypatch.setattr(PageDesk, "get", noted)
    device = serve()
    device.facts()
    thread, found = in_thread(device.run(plan(models, "0", visit_ns=10**9, max_repeats=10**6)))
    until = time.monotonic() + 60
    while "models/1/0.onnx" not in fetched:
        assert time.monotonic() < until
        time.sleep(0.01)
    hide(browser, True)
    hide(browser, False)
    thread.join(timeout=60)
    assert fetched.count("models/1/0.onnx") == 2
    assert fetched.count("models/1/weights.bin") == 1
    (run,) = found
    assert run.state["hidden"] == 1


# To be looked at


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_hand_by_day_and_by_night_and_the_console_is_silent(
    scheme: str, serve: Serve, browser: webdriver.Chrome, models: Path
) -> None:
    hand(browser, scheme)
    device = serve()
    device.facts()
    device.show_progress(0.4, "pass 2, 812 items")
    long = "mbconv_k5_e6_se0.25_i112_o112_s1_14x14_relu_identity_b1_fp32"
    asked = plan(models, "0")
    (run,) = device.run(Plan(models, (Visit(0, long, "0.onnx", SHAPE),), asked.visit_ns))
    assert run.refusal is None
    content, window = script(
        browser, "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert content <= window == 390
    assert shown(browser, "item") == long
    assert script(
        browser, "const head = document.querySelector('#item .head'); return head.scrollWidth > head.clientWidth"
    )
    assert script(browser, "return document.querySelector('[role=status]').getAttribute('aria-live')") == "polite"
    wait_for_state(browser, "waiting")
    device.close()
    wait_for_state(browser, "done")
    assert shown(browser, "words").endswith("You can close this page.")
    assert complaints(browser) == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.4 Mobile/15E148 Safari/604.1",
            {"short": "iPhone", "machine": "iPhone", "system": "iPhone OS 17.4", "browser": "Safari 17.4"},
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0",
            {"short": "Android 14", "machine": "Android", "system": "Android 14", "browser": "Firefox 125.0"},
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.4 Safari/605.1.15",
            {
                "short": "Macintosh",
                "machine": "Macintosh",
                "system": "Intel Mac OS X 10.15.7",
                "browser": "Safari 17.4",
            },
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
            {"short": "Linux x86_64", "machine": "Linux x86_64", "system": "Linux x86_64", "browser": "Firefox 125.0"},
        ),
        ("", {"short": "unknown", "machine": "unknown", "system": "unknown", "browser": "unknown browser"}),
    ],
)
def test_a_browser_without_client_hints_is_known_by_its_name(
    agent: str, found: dict[str, str], serve: Serve, browser: webdriver.Chrome
) -> None:
    serve().facts()
    call = "import('./facts.js').then(({fromUserAgent}) => arguments[1](fromUserAgent(arguments[0])))"
    assert browser.execute_async_script(call, agent) == found
