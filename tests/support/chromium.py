"""A headless Chromium: for the report, and for the page of a browser device."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from mnas_evo.devices.web_runtime import web_runtime
from mnas_evo.errors import DeviceError

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver on the PATH"),
]


def needs_the_web_runtime() -> None:
    """Skips where onnxruntime-web is not here and cannot be fetched."""
    try:
        web_runtime()
    except DeviceError as error:
        pytest.skip(str(error))


@contextmanager
def chromium(**capabilities: Any) -> Iterator[webdriver.Chrome]:
    """A browser with a new profile."""
    options = webdriver.ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for name, value in capabilities.items():
        options.set_capability(name, value)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def new_window(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser in a new window, without cookies, stored data or cached files of earlier ones."""
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    try:
        yield browser
    finally:
        for handle in set(browser.window_handles) - {first}:
            browser.switch_to.window(handle)
            browser.close()
        browser.switch_to.window(first)


def reset(browser: webdriver.Chrome) -> None:
    """Takes back what a test asked of the window, and drops what the console has said."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.implicitly_wait(0)
    browser.get_log("browser")


def hand(browser: webdriver.Chrome, scheme: str) -> None:
    """Makes the window that of a telephone, by day or by night."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def shown(browser: webdriver.Chrome, part: str) -> str:
    """Text of a part of the page."""
    return str(browser.execute_script("return document.getElementById(arguments[0])?.textContent ?? ''", part))


def wait_for_state(browser: webdriver.Chrome, *states: str) -> None:
    """Waits until the page is in one of some states."""
    script = "return document.body.dataset.state"
    WebDriverWait(browser, 60, 0.05).until(lambda now: now.execute_script(script) in states)


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser found wrong."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
