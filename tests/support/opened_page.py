"""A page in the browser, at the size of a desk or a hand, by day or by night; its figures, and points of them."""

import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SIZES = {"desk": (1440, 900), "hand": (390, 844)}
PATIENCE_S = 60.0

_PLACE = """const [canvas, curve, number] = arguments, { xaxis, yaxis } = canvas._fullLayout;
const trace = canvas._fullData[curve], box = canvas.getBoundingClientRect();
return [box.left + xaxis._offset + xaxis.d2p(trace.x[number]), box.top + yaxis._offset + yaxis.d2p(trace.y[number])];"""


def open_page(browser: webdriver.Chrome, page: Path, size: str, scheme: str = "light") -> None:
    """Opens a page and waits until what is in the window is drawn."""
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "hand"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": size == "hand"})
    prefers(browser, scheme)
    browser.get(page.as_uri())
    ready = "return document.documentElement.dataset.ready"
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda now: now.execute_script(ready))


def prefers(browser: webdriver.Chrome, scheme: str) -> None:
    """Makes light or dark what the reader prefers."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def drawn_figures(browser: webdriver.Chrome) -> list[WebElement]:
    """Goes through the page as a reader does: figures are drawn as they come into sight."""
    figures = browser.find_elements(By.CSS_SELECTOR, "figure.plot")
    return [draw(browser, figure) for figure in figures]


def draw(browser: webdriver.Chrome, figure: WebElement) -> WebElement:
    """Brings one figure into sight, and waits until it is drawn."""
    to_the_middle(browser, figure)
    WebDriverWait(figure, PATIENCE_S, 0.05).until(lambda now: now.find_elements(By.CSS_SELECTOR, "svg.main-svg"))
    return figure


def to_the_middle(browser: webdriver.Chrome, element: WebElement) -> None:
    """Scrolls an element into the middle of the window."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)


def overhang(browser: webdriver.Chrome) -> int:
    """By how many px the page is wider than the window."""
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(browser.execute_script(wide))


def severe(browser: webdriver.Chrome) -> list[str]:
    """What the console has to complain of."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def point_at(browser: webdriver.Chrome, figure: WebElement, curve: int, number: int, *, click: bool = False) -> None:
    """Moves the mouse to a point of a drawn figure until it says something; a finger always presses."""
    to_the_middle(browser, figure)
    canvas = figure.find_element(By.CSS_SELECTOR, ".canvas")
    x, y = browser.execute_script(_PLACE, canvas, curve, number)

    def mouse(kind: str, off: int, clicks: int) -> None:
        event = {"type": kind, "x": x + off, "y": y + off, "clickCount": clicks, "button": "left" if clicks else "none"}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def says_something(now: webdriver.Chrome) -> bool:
        if not browser.execute_script("return matchMedia('(pointer: coarse)').matches"):
            mouse("mouseMoved", 1 - int(time.monotonic() * 10) % 3, 0)  # Plotly passes over moves that come too fast
        labels = canvas.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext")
        return bool(labels) or not now.find_element(By.ID, "card").get_attribute("hidden")

    if browser.execute_script("return matchMedia('(pointer: coarse)').matches"):
        for kind, fingers in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    WebDriverWait(browser, PATIENCE_S).until(says_something)
    if click and not browser.execute_script("return matchMedia('(pointer: coarse)').matches"):
        mouse("mousePressed", 0, 1)
        mouse("mouseReleased", 0, 1)
