"""The page's section on predicted latency: how good each method is and where, what it stands on, what went back."""

from collections.abc import Sequence

from mnas_evo.files import read_form
from mnas_evo.finalists.refitting import REFITTED, RefittedForm
from mnas_evo.finalists.verdicts import REMEASURED, Interval, RemeasuredForm, Verdict
from mnas_evo.latency.form import HeldOut, PredictorForm
from mnas_evo.latency.judging import METHODS, Method
from mnas_evo.latency.scoring import Quality
from mnas_evo.report.elements import rows_html, unfolding_html
from mnas_evo.report.folders import RunPart
from mnas_evo.report.latency_figures import agreement_plot, off_percent, remeasured, residual_plot
from mnas_evo.report.learning import learning_plot, learning_words
from mnas_evo.report.section import Body, Section, row
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import inside, percent, plain_ms, several, text

WORST = 10
_METHOD_WORDS: dict[Method, str] = {
    "macs": "multiply-adds alone",
    "sum": "sum of the rows",
    "calibrated": "calibrated sum",
    "lightgbm": "LightGBM alone",
    "combined": "calibrated sum, corrected by LightGBM",
}
_METHOD_WORDS_WITHOUT_ROWS = _METHOD_WORDS | {
    "sum": "sums over the graph",
    "calibrated": "layers priced from networks",
    "combined": "layers priced from networks, corrected by LightGBM",
}


def prediction_section(table: TablePart, run: RunPart | None) -> Section:
    """Predicted against measured, out of fold and of networks of the search."""
    drawn = row(agreement_plot(table, run), residual_plot(table, run))
    if table.fit is None:
        body: Body = (f"<p>{_without_fit(table)}</p>", drawn)
    else:
        body = (drawn, *_fit_body(table, table.fit), _worst_table(table.held_out))
    return Section("prediction", "Predicted latency", (*body, _again_words(run)))


def _without_fit(table: TablePart) -> str:
    if not table.bare:
        return "No predictor has been fitted to this table yet."
    return (
        "The table holds no sampled network to fit a predictor on: latencies are the bare sums of its "
        f"{several(len(table.table.rows), 'row')}, without an interval, and how far they are off is not known here."
    )


def _fit_body(table: TablePart, fit: PredictorForm) -> Body:
    return (_fit_words(table, fit), _methods_table(fit), row(_fifths_table(fit), learning_plot(fit)))


def _fit_words(table: TablePart, fit: PredictorForm) -> str:
    said = [
        f"The predictor was fitted on {several(fit.networks, 'network')}.",
        text(_rows_words(table, fit)),
        fit.correction_words,
        f"The 90&nbsp;% intervals of networks left out held {percent(fit.coverage_percent, digits=1)} of their times.",
    ]
    if ceiling := _ceiling_words(fit):
        said.append(ceiling)
    if table.measured_since:
        said.append("The table has been measured anew since the fit; the figures are those of the older measurements.")
    return f"<p>{' '.join(said)}</p><p>{learning_words(table, fit)}</p>"


def _ceiling_words(fit: PredictorForm) -> str:
    """The chosen method's error beside the least that any can have: a sentence.

    A mean absolute error of values with independent noise of mean 0 is never below that of the noise (Jensen), so that
    their difference is the most that a better model takes off; how much less it is depends on how errors are spread.
    """
    error, noise = fit.methods[fit.chosen].whole.mape, fit.noise_percent
    if noise is None:
        return "How much of its error is noise of the times is not known."
    beside = f"The chosen method is off by {percent(error)} on average, where the times carry {percent(noise)} of noise"
    if error <= noise:
        return f"{beside}: a better model could not be told from it."
    return f"{beside}: no model can take more than {error - noise:.2f} points off that."


def _rows_words(table: TablePart, fit: PredictorForm) -> str:
    """What stands in the sums of rows."""
    if fit.rows == "own":
        return "Its sums are of the table's own rows."
    if fit.rows == "none":
        return f"Its sums hold no rows; {fit.rows_note or 'why is not recorded'}."
    own = len(table.table.rows)
    but = f", but for the {several(own, 'row')} that the table has of its own" if own else ""
    return f"Its sums are of rows borrowed from {' and '.join(fit.sources)}, rescaled to this device{but}."


def _method_names(fit: PredictorForm) -> list[str]:
    words = _METHOD_WORDS_WITHOUT_ROWS if fit.rows == "none" else _METHOD_WORDS
    mark = ' <span class="chip">chosen</span>'
    return [f"{text(words[name])}{mark if name == fit.chosen else ''}" for name in METHODS]


def _methods_table(fit: PredictorForm) -> str:
    shares = [f"Within {limit}&nbsp;% (%)" for limit in (1, 5, 10)]
    header = ("Method", "Mean error (%)", *shares, "RMSE (ms)", "Kendall", "Spearman")
    rows = [
        [words, *_figures(fit.methods[name].whole)] for name, words in zip(METHODS, _method_names(fit), strict=True)
    ]
    if fit.noise_percent is not None:
        noise = ["noise of the times", f"{fit.noise_percent:.2f}"]
        rows.append([*noise, *[""] * (len(header) - len(noise))])
    caption = "How well each method predicts networks it never saw. No method can do better than the noise."
    return rows_html(header, rows, caption=caption, marked=METHODS.index(fit.chosen))


def _figures(quality: Quality) -> list[str]:
    shares = (f"{share:.1f}" for share in (quality.w1, quality.w5, quality.w10))
    ranks = (f"{rank:.3f}" for rank in (quality.kendall, quality.spearman))
    return [f"{quality.mape:.2f}", *shares, plain_ms(quality.rmse_ms), *ranks]


def _fifths_table(fit: PredictorForm) -> str:
    figures = ("error (%)", "within 5&nbsp;% (%)")
    header = ("Method", *(f"{part}: {figure}" for part in ("Fastest", "Slowest") for figure in figures))
    rows = []
    for name, words in zip(METHODS, _method_names(fit), strict=True):
        parts = (fit.methods[name].fastest, fit.methods[name].slowest)
        rows.append([words, *(cell for part in parts for cell in (f"{part.mape:.2f}", f"{part.w5:.1f}"))])
    caption = "The same among the fastest and the slowest fifth of the networks."
    return rows_html(header, rows, caption=caption, marked=METHODS.index(fit.chosen))


def _worst_table(held_out: Sequence[HeldOut]) -> str:
    """The networks furthest off, with their layers; nothing where it is not known which they are."""
    named = [(one, one.network) for one in held_out if one.network is not None]
    worst = sorted(named, key=lambda pair: -abs(pair[0].off_percent))[:WORST]
    rows = [
        [plain_ms(one.measured_ms), plain_ms(one.predicted_ms), f"{one.off_percent:+.2f}", unfolding_html(network)]
        for one, network in worst
    ]
    header = ("Measured (ms)", "Predicted (ms)", "Off by (%)", '<span class="layers">Layers</span>')
    caption = f"The {several(len(rows), 'network')} furthest off, each predicted by a model that never saw it."
    return rows_html(header, rows, caption=caption) if rows else ""


def _again_words(run: RunPart | None) -> str:
    found = remeasured(run)
    if not found:
        again = _again_record(run)  # of a search for several devices, or one that measured itself
        return again or ("<p>No network of the search has been measured again yet.</p>" if run and run.front else "")
    off = [off_percent(candidate) for candidate in found]
    known = [within for candidate in found if (within := inside(candidate)) is not None]
    bias = sum(off) / len(off)
    direction = "slow" if bias > 0 else "fast"
    return (
        f"<p>{several(len(found), 'network')} of the search went back to the device. Their predictions were off by "
        f"{percent(sum(map(abs, off)) / len(off))} on average and {percent(abs(bias))} too {direction} on the "
        f"whole. {sum(known)} of {len(known)} times lay in their 90&nbsp;% intervals. A search seeks out "
        f"what is predicted too fast, so that this error stands apart from that of the table.</p>{_again_record(run)}"
    )


def _again_record(run: RunPart | None) -> str:
    """What the newest re-measuring recorded: how much is the device's own, each verdict, the limit, a refit."""
    path = run.folder / REMEASURED if run else None
    if path is None or not path.is_file():
        return ""
    record = read_form(path, RemeasuredForm)
    refit = path.with_name(REFITTED)
    learnt = read_form(refit, RefittedForm).in_words() if refit.is_file() else []
    return f"<p>{text(record.found.drift_in_words())}</p>{_limit_words(record)}{_verdicts_table(record)}" + "".join(
        f"<p>{text(f'{words[0].upper()}{words[1:]}')}{'' if words.endswith('.') else '.'}</p>" for words in learnt
    )


def _limit_words(record: RemeasuredForm) -> str:
    """Whether the limit was met, and the networks on its other side than predicted, marked in the table."""
    lines = record.limit_words()
    return f"<p><strong>{text(lines[0][0].upper() + lines[0][1:])}.</strong></p>" if lines else ""


def _verdicts_table(record: RemeasuredForm) -> str:
    """Every network that went back, those out of their interval first."""
    ordered = [*record.outside, *(one for one in record.verdicts if one not in record.outside)]
    rows = [
        [
            plain_ms(one.predicted_ms),
            f"{plain_ms(one.low_ms)} to {plain_ms(one.high_ms)}" if one.low_ms and one.high_ms else "",
            plain_ms(one.measured_ms),
            f"{one.off_percent:+.2f}",
            text(_verdict_words(one, record.limit_ms)),
            unfolding_html(one.network),
        ]
        for one in ordered
    ]
    header = (
        *("Predicted (ms)", "90&nbsp;% interval (ms)", "Measured (ms)", "Slower than predicted (%)", "Verdict"),
        '<span class="layers">Layers</span>',
    )
    caption = f"{several(len(rows), 'network')} of the newest re-measuring, those out of their interval first."
    return rows_html(header, rows, caption=caption) if rows else ""


_INTERVAL_WORDS: dict[Interval, str] = {
    "inside": "as predicted",
    "below": "faster than its interval",
    "above": "slower than its interval",
    "none": "no interval",
}


def _verdict_words(one: Verdict, limit_ms: float | None) -> str:
    said = [_INTERVAL_WORDS[one.interval]]
    if limit_ms is not None and (missed := one.missed_percent(limit_ms)) is not None:
        said.append(f"misses the limit by {missed:.1f} %")
    if limit_ms is not None and one.is_to_be_had(limit_ms):
        said.append("meets the limit after all")
    return ", ".join(said)
