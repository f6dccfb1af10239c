"""The report: one HTML file that needs nothing but a browser, written from a folder of results."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from mnas_evo.errors import RequestError
from mnas_evo.files import write_text
from mnas_evo.latency.predictor import LatencyPredictor
from mnas_evo.report.comparison import comparison_sections, is_comparison
from mnas_evo.report.folders import read_job
from mnas_evo.report.networks import Networks
from mnas_evo.report.palette import dark_by_light
from mnas_evo.report.plot import script_json
from mnas_evo.report.scaling import is_scaling, scaling_sections
from mnas_evo.report.section import Section, section_html
from mnas_evo.report.sections import sections
from mnas_evo.report.summary import summary_section
from mnas_evo.report.supernet import is_supernet, supernet_sections
from mnas_evo.report.trainings import is_trainings, trainings_sections
from mnas_evo.report.words import text

_SCRIPTS = ("figures.js", "card.js", "tables.js", "page.js")  # one module, in this order

# What a folder may be beside a job or a part of one, and what is told of it.
_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], list[Section]]], ...] = (
    (is_comparison, comparison_sections),
    (is_scaling, scaling_sections),
    (is_trainings, trainings_sections),
    (is_supernet, supernet_sections),
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a page tells, and the predictor that prices the blocks of its networks, where there is one."""

    sections: tuple[Section, ...]
    predictor: LatencyPredictor | None = None


def write_report(folder: Path, out: Path) -> Path:
    """Writes the report on what a folder holds (`read_content`).

    Nothing in the folder is changed, and a search that is running is not held up.

    Raises:
        RequestError: the folder holds nothing to report on, or `out` is a folder.
        DamagedFile, OtherFormat: a file in it cannot be read.
    """
    return write_page(folder, read_content(folder), out)


def write_page(folder: Path, content: Content, out: Path) -> Path:
    """Writes what was read of a folder.

    Raises:
        RequestError: `out` is a folder.
    """
    if out.is_dir():
        raise RequestError(f"{out} is a folder; give the report a file, such as {out / 'report.html'}")
    write_text(out, page_html(folder, body_html(content)))
    return out


def read_content(folder: Path) -> Content:
    """What there is to tell of a job folder, a table, run or training alone, or one of the other kinds.

    Raises:
        RequestError: the folder holds none of these.
        DamagedFile, OtherFormat: a file in it cannot be read.
    """
    for is_of_kind, sections_of in _KINDS:
        if is_of_kind(folder):
            return Content(tuple(sections_of(folder)))
    job = read_job(folder)
    return Content((summary_section(job), *sections(job)), job.predictor)


def body_html(content: Content) -> str:
    """All of the page that its folder decides."""
    networks = Networks(content.predictor)
    links = "".join(f'<li><a href="#{part.name}">{text(part.title)}</a></li>' for part in content.sections)
    body = "".join(section_html(part, networks) for part in content.sections)
    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"""<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
<noscript><p><strong>The figures need JavaScript. All else can be read without.</strong></p></noscript>
{body}
</main>
<footer><p>Written {written} by mnas_evo {text(version("mnas-evo"))}. Times are in milliseconds, one image at a time
unless the batch says otherwise.</p></footer>
<script type="application/json" id="architectures">{script_json(networks.packed())}</script>"""


def policy(*, is_watched: bool) -> str:
    """The page's Content-Security-Policy: it loads nothing, but one that is watched asks where it came from."""
    loads = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    own = "base-uri 'none'; form-action 'none'"
    return f"{loads}; {own}; connect-src 'self'" if is_watched else f"{loads}; {own}"


def page_html(folder: Path, body: str, *, watched: tuple[int, str] | None = None) -> str:
    """The page around a body; one that is watched has its tag and what is wrong, and asks for bodies of another tag."""
    name = text(folder.resolve().name)
    scripts = "\n".join(map(_bundled, (*_SCRIPTS, "watch.js") if watched else _SCRIPTS))
    live = ""
    if watched:
        tag, trouble = watched
        live = f'<p class="kind" id="live" role="status" data-tag="{tag}" data-trouble="{text(trouble)}"></p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy(is_watched=bool(watched))}">
<title>{name} - mnas_evo report</title>
<link rel="icon" href="data:,">
<style>{_bundled("page.css")}</style>
</head>
<body>
<a class="skip" href="#summary">Skip to the summary</a>
<header>
<div><p class="kind">mnas_evo report</p><h1>{name}</h1>{live}</div>
<button type="button" id="theme">Dark</button>
</header>
<div id="page">
{body}
</div>
<p class="unseen" role="status" aria-live="polite" id="said"></p>
<div id="card" role="tooltip" hidden></div>
<script type="application/json" id="palette">{script_json(dark_by_light())}</script>
<script>{get_plotlyjs()}</script>
<script type="module">{scripts}</script>
</body>
</html>
"""


def _bundled(name: str) -> str:
    return (files("mnas_evo.report") / name).read_text(encoding="utf-8")
