"""What the page of a long search weighs, how long it takes to write, and how soon a browser shows it.

    python benchmarks/report.py [--evaluations 10000]

Needs Chromium and its driver on the PATH. The floor is a page of plotly.js with the search's points in one figure and
nothing else, opened in turns with the report in the same browser. A page is ready once what is in the window at first
is drawn; the front is drawn when the reader scrolls to it.
"""

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from plotly.offline import get_plotlyjs
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from mnas_evo.files import write_csv
from mnas_evo.report.folders import read_job
from mnas_evo.report.page import write_report
from mnas_evo.search.objectives import Counted
from mnas_evo.search.run import SearchRequest, search
from mnas_evo.space.space_file import load_space

TABLE, SPACE = "amd-epyc-onnxruntime", "digits"
ROUNDS = 9
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1440,900"),
)
MARKS = """const done = arguments[0];
(function wait() {
  const [mark] = performance.getEntriesByName("ready");
  if (mark) requestIdleCallback(() => done([mark.startTime, performance.now()]));
  else setTimeout(wait, 5);
})();"""
FRONT = """const done = arguments[0], began = performance.now();
const canvas = document.querySelector("#figure-front .canvas");
canvas.scrollIntoView({ behavior: "instant" });
(function wait() {
  if (canvas._fullLayout) requestIdleCallback(() => done(performance.now() - began));
  else setTimeout(wait, 5);
})();"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=10_000)
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = long_search(folder, asked.evaluations)
        began = time.process_time()
        page = write_report(run, folder / "report.html")
        size = page.stat().st_size / 1e6
        print(f"{asked.evaluations:,} evaluations: a page of {size:.2f} MB in {time.process_time() - began:.1f} s")
        floor = bare_page(run, folder / "bare.html")
        with browser(folder / "profile") as driver:
            ready, idle, front, bare = [], [], [], []
            for _ in range(ROUNDS):
                driver.get(floor.as_uri())
                bare.append(driver.execute_async_script(MARKS)[1])
                driver.get(page.as_uri())
                seen, free = driver.execute_async_script(MARKS)
                ready.append(seen)
                idle.append(free)
                front.append(driver.execute_async_script(FRONT))
    said = (("drawn", ready), ("idle after it", idle), ("the front, once scrolled to", front), ("the floor", bare))
    for name, times in said:
        print(f"{name}: {statistics.median(times):,.0f} ms ({min(times):,.0f} to {max(times):,.0f})")
    ratios = [a / b for a, b in zip(idle, bare, strict=True)]
    print(f"idle against the floor: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def long_search(folder: Path, evaluations: int) -> Path:
    """A search told by a surrogate of made-up accuracies: what matters here is how much it leaves."""
    space, rng = load_space(SPACE), np.random.default_rng(0)
    genes = space.sample(200, rng=rng)
    top1 = 60 + 8 * np.log10(Counted(space, "macs").predict(genes).value / 1e6) + rng.normal(0, 0.5, len(genes))
    rows = [(network, float(value)) for network, value in zip(space.strings(genes), top1, strict=True)]
    write_csv(folder / "top1.csv", ("architecture", "top1"), rows)
    request = SearchRequest(
        space=SPACE,
        tables=(TABLE,),
        accuracy=f"surrogate:{folder / 'top1.csv'}",
        algorithm="nsga2",
        evaluations=evaluations,
    )
    search(folder / "run", request, progress=lambda done, what: None)
    return folder / "run"


def bare_page(run: Path, path: Path) -> Path:
    """plotly.js, and every evaluated architecture in one scatter plot."""
    job = read_job(run)
    assert job.run is not None
    found = job.run.evaluated
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(c.quantity("latency_ms"), 6) for c in found],
        "y": [round(c.quantity("top1"), 4) for c in found],
    }
    script = f"Plotly.newPlot('it', [{json.dumps(trace)}]).then(() => performance.mark('ready'))"
    path.write_text(f"<div id=it></div><script>{get_plotlyjs()}</script><script>{script}</script>", encoding="utf-8")
    return path


def browser(profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(executable_path=shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    return driver


if __name__ == "__main__":
    main()
