"""Where a search's numbers come from: what told each objective and limited quantity, and how far that may be off."""

from mnas_evo.report.elements import rows_html
from mnas_evo.report.folders import RunPart
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import axis, limit, percent, text
from mnas_evo.search.objectives import MAXIMISED, is_latency

_PIN_LETTERS = 12  # of a fingerprint: enough to tell two apart


def provenance_html(run: RunPart, table: TablePart | None) -> str:
    """One row a quantity; `table` is what the search was told by, None where it is not at hand."""
    form = run.form
    names = [*form.objectives, *(name for name in form.limits if name not in form.objectives)]
    rows = [
        [
            text(axis(run.said_as(name))),
            _role(run, name),
            text(_source(run, name)),
            _error(run, name, table),
            _pin(run, name),
        ]
        for name in names
    ]
    header = ("Quantity", "Asked for", "Told by", "How far that is off", "Pinned")
    caption = (
        "Where the numbers come from. What is pinned (fingerprints; counts follow from the space) must be the same for "
        "a search to be gone on with."
    )
    return rows_html(header, rows, caption=caption)


def _role(run: RunPart, name: str) -> str:
    said = []
    if name in run.form.objectives:
        said.append("as high as can be" if name in MAXIMISED else "as low as can be")
    if name in run.form.limits:
        said.append(text(limit(run.said_as(name), run.form.limits[name])))
    return ", ".join(said)


def _source(run: RunPart, name: str) -> str:
    told = (candidate.tell.values[name].source for candidate in run.evaluated if name in candidate.tell.values)
    return next(told, run.form.accuracy if name == "top1" else "not told yet")


def _error(run: RunPart, name: str, table: TablePart | None) -> str:
    if name in ("params", "macs"):
        return "exact"
    if is_latency(name) and table and table.fit:
        fit = table.fit
        noise = "" if fit.noise_percent is None else f"; noise of a time {percent(fit.noise_percent)}"
        return f"{percent(fit.methods[fit.chosen].whole.mape)} on networks held back{noise}"
    return "not told here" if is_latency(name) else "mnas-evo rank-check tells"


def _pin(run: RunPart, name: str) -> str:
    if is_latency(name) and run.form.device is not None:
        facts = [f"{what} {pin}" for what, pin in run.form.pins.items() if what.startswith("device")]
        return text("; ".join(facts))
    device = name.partition(":")[2]
    kind = "accuracy" if name == "top1" else f"table {device}".strip() if is_latency(name) else "space"
    pin = run.form.pins.get(kind)
    return f"<code>{text(pin[:_PIN_LETTERS])}</code>" if pin else ""
