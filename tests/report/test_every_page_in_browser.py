"""Every kind of page in a browser: drawn in silence, in every size and theme, and its points say what they are."""

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from support.chromium import NEEDED
from support.comparisons import asked_for, write_space, write_top1
from support.opened_page import drawn_figures, open_page, overhang, point_at, severe
from support.report_folders import (
    SCALING_REQUEST,
    TRAINING_REQUESTS,
    break_off,
    build_supernet,
    evaluation_of,
    known_scalings,
    put_test,
)
from support.sample_job import build_run, build_table, fake_device, quiet

from mnas_evo.comparing.compare import Asked, compare
from mnas_evo.files import write_form
from mnas_evo.finalists.final_training import train_final
from mnas_evo.finalists.remeasure import remeasure
from mnas_evo.finalists.several import train_several
from mnas_evo.latency.fitting import fit
from mnas_evo.report.page import write_report
from mnas_evo.scaling.study import begin
from mnas_evo.space.notation import format_network

pytestmark = NEEDED


def table(folder: Path) -> Path:
    build_table(folder / "table", networks=30)
    fit(folder / "table")
    return folder / "table"


def search(folder: Path) -> Path:
    build_run(table(folder).parent, folder / "run", evaluations=20, limits=("latency=3.5",))
    remeasure(folder / "run", fake_device(seed=1), top=4, minutes=0.0, progress=quiet)
    return folder / "run"


def campaign(folder: Path) -> Path:
    break_off(folder / "table", after=400)
    return folder / "table"


def training(folder: Path) -> Path:
    request = TRAINING_REQUESTS["rank2"]
    train_final(folder / "training", request)
    form = evaluation_of([f"class {number}" for number in range(10)])
    network = format_network(request.network)
    write_form(folder / "training" / "evaluation.json", form.model_copy(update={"network": network}))
    return folder / "training"


def trainings(folder: Path) -> Path:
    train_several(folder / "finalists", {name: TRAINING_REQUESTS[name] for name in ("rank2", "rank10")}, seeds=[0, 1])
    for name, latency_ms in (("rank2-seed0", 1.5), ("rank10-seed0", 2.0), ("rank10-seed1", 2.1)):
        put_test(folder / "finalists", name, latency_ms=latency_ms)
    return folder / "finalists"


def supernet(folder: Path) -> Path:
    return build_supernet(folder / "supernet")


def comparison(folder: Path) -> Path:
    write_space(folder)
    write_top1(folder / "top1.csv")
    compare(folder / "out", asked_for(folder, "nsga2", "rl", "random"), Asked(), report=quiet)
    return folder / "out"


def scaling(folder: Path) -> Path:
    return known_scalings(begin(folder / "out", SCALING_REQUEST)).folder


KINDS: tuple[Callable[[Path], Path], ...] = (
    *(table, search, campaign, training, trainings, supernet, comparison, scaling),
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, id=kind.__name__, marks=pytest.mark.xdist_group(kind.__name__)) for kind in KINDS],
)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one kind of folder."""
    folder = request.param(tmp_path_factory.mktemp(request.param.__name__))
    return write_report(folder, folder / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "hand"])
def test_a_page_is_drawn_in_silence_and_fits_the_window(
    browser: webdriver.Chrome, page: Path, size: str, scheme: str
) -> None:
    open_page(browser, page, size, scheme)
    figures = drawn_figures(browser)
    assert figures
    for figure in figures:
        drawn = figure.find_element(By.CSS_SELECTOR, "svg.main-svg").size
        assert drawn["height"] > 200 and drawn["width"] <= figure.size["width"]
    assert overhang(browser) <= 0
    assert cut_labels(browser) == []
    assert severe(browser) == []


def cut_labels(browser: webdriver.Chrome) -> list[str]:
    """Texts of axes and marks that reach out of their figures."""
    return list(
        browser.execute_script(
            """return [...document.querySelectorAll(".canvas")].flatMap((canvas) => {
              const box = canvas.getBoundingClientRect();
              return [...canvas.querySelectorAll("svg.main-svg text")].filter((text) => {
                const { left, right, top, bottom, width } = text.getBoundingClientRect();
                const across = left < box.left - 1 || right > box.right + 1;
                return width > 0 && (across || top < box.top - 1 || bottom > box.bottom + 1);
              }).map((text) => `${canvas.parentElement.id}: ${text.textContent}`);
            })"""
        )
    )


def test_points_of_every_figure_say_what_they_are(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, "desk")
    told = 0
    for figure in drawn_figures(browser):
        place = browser.execute_script(
            """const canvas = arguments[0].querySelector(".canvas"), { xaxis, yaxis } = canvas._fullLayout;
            const isSeen = (trace, i) => typeof trace.x[i] === "number" && typeof trace.y[i] === "number" &&
              xaxis.d2p(trace.x[i]) > 0 && xaxis.d2p(trace.x[i]) < xaxis._length &&
              yaxis.d2p(trace.y[i]) > 0 && yaxis.d2p(trace.y[i]) < yaxis._length;
            for (const [curve, trace] of canvas._fullData.entries()) {
              if (trace.type !== "scatter" || trace.hoverinfo === "skip") continue;
              const number = [...trace.x].findIndex((_, i) => isSeen(trace, i));
              if (number >= 0) return [curve, number];
            }
            return null;""",
            figure,
        )
        if place is not None:
            point_at(browser, figure, *place)
            told += 1
    assert told
    assert severe(browser) == []


def test_the_theme_of_every_page_can_be_switched(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, "desk")
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(ground)
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(ground) != before
    assert severe(browser) == []
