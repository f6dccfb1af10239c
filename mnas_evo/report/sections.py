"""The page's sections below its head, each from one part of the job; a part that is not ready is said in a sentence."""

from mnas_evo.files import read_form
from mnas_evo.finalists.evaluation import EvaluationForm
from mnas_evo.finalists.remeasure import RemeasuredForm
from mnas_evo.latency.predictor import METHODS
from mnas_evo.latency.scoring import Quality
from mnas_evo.report.folders import Job, RunPart, TablePart, TrainingPart
from mnas_evo.report.front_figure import front_plot, published
from mnas_evo.report.front_table import front_section
from mnas_evo.report.latency_figures import (
    agreement_plot,
    off_percent,
    reference_plot,
    remeasured,
    residual_plot,
    spread_plot,
)
from mnas_evo.report.plot import Plot, plot_html
from mnas_evo.report.progress_figures import confusion_plot, hypervolume_plot, proxy_plot, training_plots
from mnas_evo.report.summary import Section, network_html, rows_html
from mnas_evo.report.words import axis_words, inside, limit, ms, percent, several, text

_METHOD_WORDS = {
    "macs": "multiply-adds alone",
    "sum": "sum of the rows",
    "calibrated": "calibrated sum",
    "lightgbm": "LightGBM alone",
    "combined": "calibrated sum, corrected by LightGBM",
}


def sections(job: Job) -> list[Section]:
    """What the folder gives, in the order in which it is read."""
    found: list[Section] = []
    if job.run:
        found.append(_front(job, job.run))
    if job.table:
        found += [_prediction(job.table, job.run), _noise(job.table)]
    if job.run:
        found.append(_search(job.run))
    if job.training:
        found.append(_training(job.training))
    if job.run and job.run.front:
        found.append(front_section(job.run, job.chosen))
    return found


def _plots(*plots: Plot | None) -> str:
    drawn = [plot_html(plot) for plot in plots if plot is not None]
    return f'<div class="plots n{len(drawn)}">{"".join(drawn)}</div>' if drawn else ""


def _front(job: Job, run: RunPart) -> Section:
    if not run.front:
        return Section("front", "The front", "<p>Nothing has been evaluated to an end yet, so there is no front.</p>")
    plot = front_plot(run, job.table, job.chosen)
    known = {name for name, _, _, _ in published(run, job.table)}
    said = [name for name in run.landmark_names.values() if name not in known]
    beside = f"<p>Not drawn, for their top-1 or latency is not known here: {text(', '.join(said))}.</p>" if said else ""
    return Section("front", "The front", _plots(plot) + beside)


def _prediction(table: TablePart, run: RunPart | None) -> Section:
    html = _plots(agreement_plot(table, run), residual_plot(table, run))
    if table.fit is None:
        html = f"<p>No predictor has been fitted to this table yet.</p>{html}"
    else:
        html += _fit_words(table) + _methods_table(table)
    return Section("prediction", "Predicted latency", html + _again_words(run))


def _fit_words(table: TablePart) -> str:
    assert table.fit is not None
    fit = table.fit
    said = [
        f"The predictor was fitted on {several(fit.networks, 'network')}.",
        f"The 90&nbsp;% intervals of networks left out held {percent(fit.coverage_percent, digits=1)} of their times.",
        f"The LightGBM correction takes {fit.correction_gain_percent:.2f} points off the error (standard error "
        f"{fit.correction_gain_noise_percent:.2f}); it is {'used' if fit.corrected else 'not used'}.",
    ]
    if not table.fitted:
        said.append("The table has been measured anew since the fit; the figures are those of the older measurements.")
    return f"<p>{' '.join(said)}</p>"


def _methods_table(table: TablePart) -> str:
    assert table.fit is not None
    fit = table.fit
    names = [name for name in (*METHODS, *sorted(set(fit.methods) - set(METHODS))) if name in fit.methods]
    rows = [_method_row(name, fit.methods[name], chosen=name == fit.chosen) for name in names]
    noise = fit.noise_percent
    if noise is not None:
        rows.append(["the noise of the times themselves", f"{noise:.2f}", "", "", "", ""])
    header = ("Method", "Mean error (%)", "Within 1 % (%)", "Within 5 % (%)", "Within 10 % (%)", "Kendall's tau")
    caption = "How well each method predicts networks it never saw. No method can do better than the noise."
    return rows_html(header, rows, caption=caption, marked=names.index(fit.chosen) if fit.chosen in names else None)


def _method_row(name: str, quality: Quality, *, chosen: bool) -> list[str]:
    mark = ' <span class="chip">chosen</span>' if chosen else ""
    shares = (f"{share:.1f}" for share in (quality.w1, quality.w5, quality.w10))
    words = text(_METHOD_WORDS.get(name, name))
    return [f"{words}{mark}", f"{quality.mape:.2f}", *shares, f"{quality.kendall:.3f}"]


def _again_words(run: RunPart | None) -> str:
    found = remeasured(run)
    if not found:
        return "<p>No network of the search has been measured again yet.</p>" if run and run.front else ""
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
    """What the newest re-measuring recorded of itself: how much of the difference is the device's own."""
    path = run.folder / "remeasure.json" if run else None
    if path is None or not path.is_file():
        return ""
    return f"<p>{text(read_form(path, RemeasuredForm).found.drift_in_words())}</p>"


def _noise(table: TablePart) -> Section:
    html = _plots(reference_plot(table), spread_plot(table))
    if not table.reference:
        html += "<p>The raw runs of the newest campaign are not here, so the reference's course is not drawn.</p>"
    if table.table.campaigns:
        last = table.table.campaigns[-1]
        figures = [
            f"{name} {percent(noise)}"
            for name, noise in (("rows", last.noise_rows_percent), ("networks", last.noise_networks_percent))
            if noise is not None
        ]
        if figures:
            html += f"<p>Noise of the times, from random halves of the passes: {', '.join(figures)}.</p>"
        if last.refused:
            html += (
                f"<p>The device refused {several(len(last.refused), 'item')}: {text(', '.join(last.refused[:3]))}.</p>"
            )
    return Section("noise", "Noise of the measurements", html)


def _search(run: RunPart) -> Section:
    form = run.form
    objectives = ", ".join(map(axis_words, form.objectives))
    limits = ", ".join(limit(name, value) for name, value in form.limits.items()) or "none"
    versions = ", ".join(f"{text(name)} {text(version)}" for name, version in form.versions.items())
    asked = (
        f"<p>{text(form.algorithm)} on space {text(form.space)}; objectives {objectives}; limits {limits}; population "
        f"{form.population}; seed {form.seed}. Versions: {versions}.</p>"
    )
    if not run.evaluated:
        return Section("search", "The search", f"{asked}<p>Nothing has been evaluated to an end yet.</p>")
    paid = run.paid
    repeats = sum(tell.repeat for tell in run.tells)
    outside = sum(tell.violation > 0 and not tell.repeat for tell in run.tells)
    failed = [tell for tell in paid if tell.kind == "failure"]
    rest = [
        f"{number:,} {what}"
        for number, what in ((repeats, "repeated"), (outside, "outside the limits"), (len(failed), "failed"))
        if number
    ]
    cost = (
        f"<p>Of {several(len(run.tells), 'architecture')} drawn, {len(paid):,} were evaluated, in "
        f"{sum(tell.seconds for tell in paid):,.0f} s of computing{''.join(f'; {words}' for words in rest)}.</p>"
    )
    if failed:
        cost += f"<p>The first failure: {text(failed[0].message)}</p>"
    return Section("search", "The search", _plots(hypervolume_plot(run), proxy_plot(run)) + cost + asked)


def _training(training: TrainingPart) -> Section:
    form, recipe = training.form, training.form.recipe
    asked = (
        f"<p>Recipe {text(recipe.name)} on {text(form.data)}: {several(recipe.epochs, 'epoch')}, "
        f"{text(recipe.optimizer)}, learning rate {recipe.learning_rate:g}, batch {recipe.batch}, seed {form.seed}.</p>"
        f"{network_html(form.network)}"
    )
    html = _plots(*training_plots(training)) if form.epochs else "<p>The training has not come to its end yet.</p>"
    if training.evaluation is not None:
        confusion = confusion_plot(training)
        table = _evaluation_table(training.evaluation)
        html += f'<div class="plots n2">{table}{plot_html(confusion)}</div>' if confusion else table
    return Section("training", "Final training", html + asked)


def _evaluation_table(tested: EvaluationForm) -> str:
    figures = (
        ("Top-1", percent(tested.metrics.top1)),
        ("Top-5", percent(tested.metrics.top5)),
        ("Loss", f"{tested.metrics.loss:.4g} nats"),
        ("Precision, mean over classes", percent(tested.metrics.precision)),
        ("Recall, mean over classes", percent(tested.metrics.recall)),
        ("F1, mean over classes", percent(tested.metrics.f1)),
        ("Expected calibration error", percent(tested.metrics.ece)),
        (
            f"Latency on {text(tested.device)}",
            f"{ms(tested.latency_ms)} (spread of visits {percent(tested.latency_spread_percent)})",
        ),
    )
    caption = f"The trained network on {several(tested.images, 'test image')} of {tested.data}."
    return rows_html(("Figure", "Value"), [list(row) for row in figures], caption=caption)
