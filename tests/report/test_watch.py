"""The watched page: what its server says, and that an open page follows its folder and keeps the reader's place."""

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from support.chromium import NEEDED, complaints
from support.page_text import Page
from support.sample_job import build_run, build_table

from mnas_evo.devices.web_server import WebServer
from mnas_evo.errors import RequestError
from mnas_evo.latency.fitting import fit
from mnas_evo.report import watch
from mnas_evo.report.page import Content
from mnas_evo.report.section import Section
from mnas_evo.report.watch import Watched


def asked(site: Watched, have: object = "") -> dict[str, object] | None:
    """What the site says to a page that has a tag; None where that is the newest."""
    reply = site.get("body", {"have": str(have)})
    assert isinstance(reply.content, bytes)
    return json.loads(reply.content) if reply.status == 200 else None


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the page anew whenever it is asked for."""
    monkeypatch.setattr(watch, "_SHARE_OF_TIME", 1e9)


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A job whose search has evaluated ten architectures and may go on."""
    build_table(tmp_path / "job" / "table", networks=15)
    fit(tmp_path / "job" / "table")
    build_run(tmp_path / "job", tmp_path / "job" / "run", evaluations=10)
    return tmp_path / "job"


def grow(job: Path, evaluations: int) -> None:
    """Lets the search go on: were it begun anew, a page drawn meanwhile would have no front to keep a place in."""
    build_run(job, job / "run", evaluations=evaluations)


@pytest.mark.usefixtures("eager")
def test_a_newer_body_comes_when_the_folder_has_changed_and_not_before(growing: Path) -> None:
    site = Watched(growing)
    first = asked(site)
    assert first and "evaluated 10 architectures" in str(first["html"]) and not first["trouble"]
    assert asked(site, first["tag"]) is None
    grow(growing, 20)
    second = asked(site, first["tag"])
    assert second and "evaluated 20 architectures" in str(second["html"])
    assert asked(site, second["tag"]) is None


@pytest.mark.usefixtures("eager")
def test_a_folder_with_nothing_yet_is_waited_for(growing: Path, tmp_path: Path) -> None:
    waiting = tmp_path / "later"
    waiting.mkdir()
    site = Watched(waiting)
    first = asked(site)
    assert first and "holds nothing to report on" in str(first["trouble"]) and "<h2" in str(first["html"])
    shutil.copytree(growing / "run", waiting / "run")
    second = asked(site, first["tag"])
    assert second and second["trouble"] == "" and "evaluated 10" in str(second["html"])


@pytest.mark.usefixtures("eager")
def test_a_file_that_cannot_be_read_leaves_the_last_page_with_a_word(growing: Path) -> None:
    site = Watched(growing)
    first = asked(site)
    (growing / "run" / "run.json").write_text("{", encoding="utf-8")
    second = asked(site, first and first["tag"])
    assert first and second and second["html"] == first["html"] and "run.json" in str(second["trouble"])


def test_looking_costs_a_small_share_of_the_time(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    monkeypatch.setattr("mnas_evo.report.watch.time.monotonic", lambda: moment)

    def takes_two_seconds(folder: Path) -> Content:
        nonlocal moment
        moment += 2.0
        return Content((Section("summary", f"Read at {moment} s", ()),))

    monkeypatch.setattr(watch, "read_content", takes_two_seconds)
    site = Watched(growing)
    tag = (asked(site) or {})["tag"]
    for second, changed in ((30.0, True), (60.0, False), (73.0, True)):  # 2 s take 2 s / 5 %, but the first time
        moment = second
        (growing / f"file{second}").touch()
        found = asked(site, tag)
        assert (found is not None) is changed
        tag = found["tag"] if found else tag


def test_a_campaign_that_writes_nothing_more_is_told_by_the_clock(
    growing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, said = 0.0, "running"
    monkeypatch.setattr("mnas_evo.report.watch.time.monotonic", lambda: moment)
    monkeypatch.setattr(watch, "read_content", lambda folder: Content((Section("summary", "Summary", (said,)),)))
    site = Watched(growing)
    first = asked(site)
    said, moment = "broken off", 200.0
    second = asked(site, first and first["tag"])
    assert first and second and "broken off" in str(second["html"])


@pytest.mark.usefixtures("eager")
def test_a_fault_of_the_report_is_told_and_leaves_the_last_page(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Watched(growing)
    first = asked(site)
    broken = lambda folder: 1 / 0  # noqa: E731
    monkeypatch.setattr(watch, "read_content", broken)
    (growing / "more.json").touch()
    second = asked(site, first and first["tag"])
    assert first and second and second["html"] == first["html"] and "ZeroDivisionError" in str(second["trouble"])
    assert 'data-trouble="the report failed' in page_text(site)


def page_text(site: Watched) -> str:
    content = site.get("", {}).content
    assert isinstance(content, bytes)
    return content.decode()


@pytest.mark.usefixtures("eager")
def test_links_are_followed_into_no_folder_twice(growing: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "run").symlink_to(growing / "run")
    (tmp_path / "linked" / "again").symlink_to(tmp_path / "linked")
    before = watch._stamp(tmp_path / "linked")
    assert len(before) == len(watch._stamp(growing / "run")) > 0
    (growing / "run" / "run.json").touch()
    assert watch._stamp(tmp_path / "linked") != before


def test_a_folder_of_far_too_many_files_is_refused(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_MOST_FILES", 3)
    with pytest.raises(RequestError, match="more than 3 files"):
        Watched(growing)


def test_the_pages_own_files_are_no_change(growing: Path) -> None:
    before = watch._stamp(growing)
    (growing / "report.html").write_text("page", encoding="utf-8")
    assert watch._stamp(growing) == before
    (growing / "more.json").write_text("{}", encoding="utf-8")
    assert watch._stamp(growing) != before


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no folder"):
        Watched(tmp_path / "none")


@contextmanager
def served(folder: Path) -> Iterator[WebServer]:
    server = WebServer(Watched(folder), isolate=False)
    try:
        yield server
    finally:
        server.close()


def test_the_page_is_served_to_who_holds_the_token_alone(growing: Path) -> None:
    with served(growing) as server:
        assert server.url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(server.url, timeout=60) as answer:
            policy = answer.headers["Content-Security-Policy"]
            page = Page(answer.read().decode())
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy
        assert "evaluated 10 architectures" in page.words
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(server.url.replace(server.token, "guessed"), timeout=60)


def test_the_folder_is_left_as_it_is(growing: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in growing.rglob("*")}
    asked(Watched(growing))
    assert {path: path.stat().st_mtime_ns for path in growing.rglob("*")} == before


class TestInABrowser:
    pytestmark = NEEDED

    @pytest.mark.usefixtures("eager")
    def test_an_open_page_follows_and_keeps_the_readers_place(self, growing: Path, browser: webdriver.Chrome) -> None:
        def words(part: str) -> str:
            return str(browser.execute_script("return document.querySelector(arguments[0]).textContent", part))

        def wait_for(part: str, said: str) -> None:
            WebDriverWait(browser, 60).until(lambda now: said in words(part))

        with served(growing) as server:
            browser.get(server.url)
            wait_for("#summary", "evaluated 10 architectures")
            browser.execute_script("document.querySelector('#front').scrollIntoView({behavior: 'instant'})")
            canvas = "document.querySelector('#figure-front .canvas')"
            WebDriverWait(browser, 60).until(lambda now: now.execute_script(f"return !!{canvas}._fullLayout"))
            browser.execute_script("document.querySelector('#figure-front [data-scale=log]').click()")
            browser.execute_script("document.querySelector('#figure-front .legend li:nth-child(2) button').click()")
            zoom = f"return Plotly.relayout({canvas}, {{'yaxis.range': [60, 70]}}).then(() => 1)"
            assert browser.execute_script(zoom) == 1
            place = browser.execute_script("return window.scrollY")
            browser.execute_script("document.querySelectorAll('#front-table summary')[1].click()")
            opened = "return [...document.querySelectorAll('details[open]')].map((one) => one.closest('tr').innerText)"
            (unfolded,) = browser.execute_script(opened)
            browser.execute_script(f"{canvas}.focus({{preventScroll: true}})")
            browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
            kept = words("#card .values")

            search = threading.Thread(target=grow, args=(growing, 20))
            search.start()
            search.join()
            wait_for("#summary", "evaluated 20 architectures")
            wait_for("#live", "drawn anew at")
            axes = browser.execute_script(f"return [{canvas}._fullLayout.xaxis.type, {canvas}._fullLayout.yaxis.range]")
            assert axes == ["log", [60, 70]]
            label = browser.execute_script(f"return {canvas}.getAttribute('aria-label')")
            assert "20 evaluated architectures" in label
            assert browser.execute_script(f"return document.activeElement === {canvas}")
            assert words("#card.pinned .values") == kept
            network = unfolded.split("\n")[-2]
            assert all(network in row for row in browser.execute_script(opened))
            hidden = browser.find_element(By.CSS_SELECTOR, "#figure-front .legend li:nth-child(2) button")
            assert hidden.get_attribute("aria-pressed") == "false"
            pressed = browser.find_element(By.CSS_SELECTOR, "#figure-front [data-scale=log]")
            assert pressed.get_attribute("aria-pressed") == "true"
            assert abs(browser.execute_script("return window.scrollY") - place) < 60
            assert complaints(browser) == []
        wait_for("#live", "No longer live")
        port = int(server.url.split(":")[2].split("/")[0])
        other = WebServer(Watched(growing), port=port, isolate=False)
        try:
            wait_for("#live", "another server answers here")
        finally:
            other.close()
