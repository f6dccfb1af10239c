"""The report as a browser shows it: drawn, without a complaint, at the width of a desk and of a hand."""

import sqlite3
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from support.chromium import NEEDED
from support.opened_page import SIZES, draw, drawn_figures, open_page, overhang, point_at, prefers, severe

from mnas_evo.report.page import write_report
from mnas_evo.search.run import archive_path

pytestmark = [*NEEDED, pytest.mark.xdist_group("chromium: one page")]


@pytest.fixture(scope="module")
def page(finished_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a whole job."""
    return write_report(finished_job, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(params=SIZES)
def shown(browser: webdriver.Chrome, page: Path, request: pytest.FixtureRequest) -> webdriver.Chrome:
    """The browser with the page open."""
    open_page(browser, page, request.param)
    return browser


def point_at_front(browser: webdriver.Chrome, trace: str, number: int, *, click: bool = False) -> None:
    """Moves the mouse, or a finger, to a point of the front's figure."""
    figure = draw(browser, browser.find_element(By.ID, "figure-front"))
    names = browser.execute_script("return arguments[0].querySelector('.canvas').data.map(({name}) => name)", figure)
    point_at(browser, figure, names.index(trace), number, click=click)


def background(browser: webdriver.Chrome) -> tuple[str, str]:
    """Colours of the page and of a figure."""
    return (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor"),
        browser.execute_script("return getComputedStyle(document.querySelector('.main-svg')).background"),
    )


def column(browser: webdriver.Chrome, name: str) -> list[float]:
    cells = browser.find_elements(By.CSS_SELECTOR, f'#front-table td[data-label="{name}"]')
    return [float(cell.get_attribute("data-key") or "nan") for cell in cells]


def test_every_figure_is_drawn_and_the_console_is_silent(shown: webdriver.Chrome) -> None:
    figures = drawn_figures(shown)
    assert len(figures) == 12
    for figure in figures:
        drawn = figure.find_elements(By.CSS_SELECTOR, "svg.main-svg")
        assert drawn and drawn[0].size["height"] > 200
        assert drawn[0].size["width"] <= figure.size["width"]
    assert severe(shown) == []


def test_the_page_is_no_wider_than_the_window(shown: webdriver.Chrome) -> None:
    assert overhang(shown) <= 0


def test_a_heading_sorts_by_its_column_by_click_and_by_key(shown: webdriver.Chrome) -> None:
    heading = next(
        button
        for button in shown.find_elements(By.CSS_SELECTOR, "#front-table th button")
        if button.text.startswith("Top-1")
    )
    shown.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", heading)
    heading.click()
    rising = column(shown, "Top-1 (%)")
    assert rising == sorted(rising) and len(rising) > 2
    heading.send_keys(Keys.ENTER)
    assert column(shown, "Top-1 (%)") == rising[::-1]
    assert shown.find_element(By.CSS_SELECTOR, "#front-table th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_what_is_not_known_sorts_last_either_way(shown: webdriver.Chrome) -> None:
    shown.execute_script("document.querySelector('#front-table td[data-label=\"Measured (ms)\"]').dataset.key = ''")
    for _ in range(2):
        shown.execute_script(
            "[...document.querySelectorAll('#front-table th button')]"
            ".find((button) => button.textContent.startsWith('Measured')).click()"
        )
        cells = shown.find_elements(By.CSS_SELECTOR, '#front-table td[data-label="Measured (ms)"]')
        assert cells[-1].get_attribute("data-key") == ""


def test_the_theme_changes_page_and_figures(shown: webdriver.Chrome) -> None:
    drawn_figures(shown)
    before = background(shown)
    shown.execute_script("window.scrollTo({top: 0, behavior: 'instant'})")
    button = shown.find_element(By.ID, "theme")
    button.click()
    after = background(shown)
    assert before[0] != after[0] and before[1] != after[1]
    button.send_keys(Keys.ENTER)
    assert background(shown) == before
    assert severe(shown) == []


def test_the_dark_is_what_the_reader_prefers(shown: webdriver.Chrome) -> None:
    drawn_figures(shown)
    light = background(shown)
    for value, same in (("dark", False), ("light", True)):
        prefers(shown, value)

        def as_asked(now: webdriver.Chrome, same: bool = same) -> bool:
            return (background(now) == light) is same

        WebDriverWait(shown, 10).until(as_asked)


def test_views_scales_and_legend_redraw_the_front(shown: webdriver.Chrome) -> None:
    drawn_figures(shown)

    def axis() -> tuple[str, list[float]]:
        found = shown.execute_script(
            "const axis = document.querySelector('#figure-front .canvas')._fullLayout.xaxis;"
            "return [axis.type, axis.range]"
        )
        return found[0], found[1]

    def press(selector: str) -> None:
        shown.execute_script(f"document.querySelector('#figure-front {selector}').click()")

    press("[data-view=everything]")
    everything = axis()[1]
    press("[data-view=close]")
    kind, close = axis()
    assert kind == "linear" and close[1] - close[0] <= everything[1] - everything[0]
    press("[data-scale=log]")
    assert axis()[0] == "log"
    assert [round(10**edge, 6) for edge in axis()[1]] == [round(edge, 6) for edge in close]
    points = "return document.querySelectorAll('#figure-front .scatterlayer .trace').length"
    before = shown.execute_script(points)
    press(".legend button")
    assert shown.execute_script(points) == before - 1
    assert severe(shown) == []


def test_a_network_can_be_copied(shown: webdriver.Chrome) -> None:
    shown.execute_script("document.querySelector('#front-table button.copy').click()")
    said = WebDriverWait(shown, 10).until(lambda now: now.find_element(By.ID, "said").get_attribute("textContent"))
    assert said == "The network is in the clipboard."


def test_paper_gets_light_figures_that_fit_it(shown: webdriver.Chrome) -> None:
    shown.execute_script(
        "document.documentElement.dataset.theme = 'dark'; window.dispatchEvent(new Event('beforeprint'))"
    )
    widths = shown.execute_script(
        "return [...document.querySelectorAll('.canvas')].map((canvas) => canvas._fullLayout.width)"
    )
    assert set(widths) == {660}
    assert "254, 254, 254" in background(shown)[1]
    shown.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert "254, 254, 254" not in background(shown)[1]


def test_a_point_shows_its_network_block_by_block_with_the_time_of_each(shown: webdriver.Chrome) -> None:
    point_at_front(shown, "measured", 1)
    card = shown.find_element(By.ID, "card")
    values = card.find_element(By.CSS_SELECTOR, ".values").text
    assert "top-1" in values and "measured" in values and "predicted" in values
    rows = [row.text for row in card.find_elements(By.CSS_SELECTOR, ".blocks li")]
    assert rows[0].startswith("16x16x1, stem") and rows[1].startswith("1: ") and all("ms" in row for row in rows)
    predicted = float(values.split("predicted ")[1].split()[0])
    assert sum(float(row.split("\n")[-1].split()[0]) for row in rows) == pytest.approx(predicted, rel=0.01)
    box = shown.execute_script(
        "const {left, right, bottom} = arguments[0].getBoundingClientRect(); return [left, right, bottom]", card
    )
    width, height = shown.execute_script("return [document.documentElement.clientWidth, window.innerHeight]")
    assert box[0] >= 0 and box[1] <= width and box[2] <= height
    assert severe(shown) == []


def test_a_click_keeps_the_network_to_be_copied_and_escape_puts_it_away(shown: webdriver.Chrome) -> None:
    point_at_front(shown, "measured", 0, click=True)
    WebDriverWait(shown, 10).until(lambda now: now.find_elements(By.CSS_SELECTOR, "#card.pinned button.copy"))
    shown.find_element(By.CSS_SELECTOR, "#card button.copy").click()
    said = WebDriverWait(shown, 10).until(lambda now: now.find_element(By.ID, "said").get_attribute("textContent"))
    assert said == "The network is in the clipboard."
    shown.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert shown.find_element(By.ID, "card").get_attribute("hidden")


def test_arrow_keys_go_from_network_to_network(shown: webdriver.Chrome) -> None:
    draw(shown, shown.find_element(By.ID, "figure-front"))
    canvas = shown.find_element(By.CSS_SELECTOR, "#figure-front .canvas")
    shown.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'}); arguments[0].focus()", canvas
    )
    told = []
    for _ in range(3):
        canvas.send_keys(Keys.ARROW_RIGHT)
        told.append(shown.find_element(By.ID, "said").get_attribute("textContent"))
    assert len(set(told)) > 1 and all(one is not None and "top-1" in one for one in told)


def test_a_network_with_markup_in_it_stays_text(browser: webdriver.Chrome, job: Path) -> None:
    hostile = "<img src=x onerror=document.title='broken'>"
    with sqlite3.connect(archive_path(job / "run")) as archive:
        archive.execute("UPDATE tells SET network = ? || network", (hostile,))
        archive.execute("UPDATE measurements SET network = ? || network", (hostile,))
    archive.close()
    browser.get(write_report(job, job / "report.html").as_uri())
    point_at_front(browser, "measured", 0, click=True)
    card = browser.find_element(By.ID, "card")
    assert hostile in card.text and not card.find_elements(By.TAG_NAME, "img")
    assert not browser.find_elements(By.TAG_NAME, "img") and browser.title != "broken"
