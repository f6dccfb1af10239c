"""The report: one HTML file that needs nothing but a browser, written from a folder of results."""

import datetime
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from mnas_evo.errors import RequestError
from mnas_evo.files import write_text
from mnas_evo.report.comparison import comparison_sections, is_comparison
from mnas_evo.report.folders import read_job
from mnas_evo.report.palette import dark_by_light
from mnas_evo.report.plot import script_json
from mnas_evo.report.scaling import is_scaling, scaling_sections
from mnas_evo.report.section import Section, section_html
from mnas_evo.report.sections import sections
from mnas_evo.report.summary import summary_section
from mnas_evo.report.words import text

# The page loads nothing: what is not in it is refused by the browser.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def write_report(folder: Path, out: Path) -> Path:
    """Writes the report on a job folder, a table, run or training alone, a comparison or a study of scalings.

    Nothing in the folder is changed, and a search that is running is not held up.

    Raises:
        RequestError: the folder holds none of these, or `out` is a folder.
        DamagedFile, OtherFormat: a file in it cannot be read.
    """
    if out.is_dir():
        raise RequestError(f"{out} is a folder; give the report a file, such as {out / 'report.html'}")
    write_text(out, _page(folder, _parts(folder)))
    return out


def _parts(folder: Path) -> list[Section]:
    if is_comparison(folder):
        return comparison_sections(folder)
    if is_scaling(folder):
        return scaling_sections(folder)
    job = read_job(folder)
    return [summary_section(job), *sections(job)]


def _page(folder: Path, parts: Sequence[Section]) -> str:
    name = text(folder.resolve().name)
    links = "".join(f'<li><a href="#{part.name}">{text(part.title)}</a></li>' for part in parts)
    body = "".join(section_html(part) for part in parts)
    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{name} - mnas_evo report</title>
<link rel="icon" href="data:,">
<style>{_bundled("page.css")}</style>
</head>
<body>
<a class="skip" href="#summary">Skip to the summary</a>
<header>
<div><p class="kind">mnas_evo report</p><h1>{name}</h1></div>
<button type="button" id="theme">Dark</button>
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
<noscript><p><strong>The figures need JavaScript. All else can be read without.</strong></p></noscript>
{body}
</main>
<p class="unseen" role="status" aria-live="polite" id="said"></p>
<footer><p>Written {written} by mnas_evo {text(version("mnas-evo"))}. Times are in milliseconds, one image at a time
unless the batch says otherwise.</p></footer>
<script type="application/json" id="palette">{script_json(dark_by_light())}</script>
<script>{get_plotlyjs()}</script>
<script>{_bundled("page.js")}</script>
</body>
</html>
"""


def _bundled(name: str) -> str:
    return (files("mnas_evo.report") / name).read_text(encoding="utf-8")
