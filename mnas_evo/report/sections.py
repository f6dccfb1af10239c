"""The page's sections below its head, each from one part of the job; a part that is not ready is said in a sentence."""

from mnas_evo.latency.table import CampaignFacts
from mnas_evo.report.campaign import campaign_section, device_section, quality_words
from mnas_evo.report.elements import network_html
from mnas_evo.report.evaluation import evaluation_body
from mnas_evo.report.folders import Job, RunPart, TrainingPart
from mnas_evo.report.front_figure import axes, front_plot, published
from mnas_evo.report.front_table import front_section
from mnas_evo.report.latency_figures import reference_plot, spread_plot
from mnas_evo.report.prediction import prediction_section
from mnas_evo.report.progress_figures import cost_plot, hypervolume_plot, proxy_plot, training_plots
from mnas_evo.report.provenance import provenance_html
from mnas_evo.report.rows import rows_section
from mnas_evo.report.section import Section, row
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import axis_words, limit, percent, several, text


def sections(job: Job) -> list[Section]:
    """What the folder gives, in the order in which it is read."""
    found: list[Section] = []
    if job.campaign:
        found.append(campaign_section(job.campaign, table=job.table))
    if job.run:
        found.append(_front(job, job.run))
    if job.table:
        found += [device_section(job.table), prediction_section(job.table, job.run)]
        found += [rows_section(job.table), _noise(job.table)]
    if job.run:
        found.append(_search(job, job.run))
    if job.training:
        found.append(_training(job.training))
    if job.run and job.run.front:
        found.append(front_section(job.run, job))
    return found


def _front(job: Job, run: RunPart) -> Section:
    if not run.front:
        return Section(
            "front", "The front", ("<p>Nothing has been evaluated to an end yet, so there is no front.</p>",)
        )
    plot = front_plot(run, job.table_of_search, job.chosen)
    known = {name for name, _, _, _ in published(run, job.table_of_search)}
    drawn = axes(run) == ("latency_ms", "top1")
    said = [name for name in run.landmark_names.values() if name not in known and drawn]
    beside = f"<p>Not drawn, for their top-1 or latency is not known here: {text(', '.join(said))}.</p>" if said else ""
    return Section("front", "The front", (row(plot), beside))


def _noise(table: TablePart) -> Section:
    words = "<p>The times were measured elsewhere and imported; their noise is not known.</p>"
    if table.table.campaigns:
        words = _campaign_words(table, table.table.campaigns[-1])
    return Section(
        "noise", "Noise of the measurements", (row(reference_plot(table.reference), spread_plot(table)), words)
    )


def _campaign_words(table: TablePart, last: CampaignFacts) -> str:
    html = ""
    if not table.reference:
        html += "<p>The raw runs of the newest campaign are not here, so the reference's course is not drawn.</p>"
    figures = [
        f"{name} {percent(noise)}"
        for name, noise in (("rows", last.noise_rows_percent), ("networks", last.noise_networks_percent))
        if noise is not None
    ]
    if figures:
        html += f"<p>Noise of the times, from random halves of the passes: {', '.join(figures)}.</p>"
    html += quality_words(table, last)
    if last.refused:
        html += f"<p>The device refused {several(len(last.refused), 'item')}: {text(', '.join(last.refused[:3]))}.</p>"
    return html


def _search(job: Job, run: RunPart) -> Section:
    form = run.form
    objectives = text(", ".join(axis_words(run.said_as(name)) for name in form.objectives))
    limits = text(", ".join(limit(run.said_as(name), value) for name, value in form.limits.items())) or "none"
    versions = ", ".join(f"{text(name)} {text(version)}" for name, version in form.versions.items())
    told = (f"{text(name)} {text(value)}" for name, value in form.settings.items() if value not in ([], None))
    settings = f" ({', '.join(told)})" if form.settings else ""
    asked = (
        f"<p>{text(form.algorithm)}{settings} on space {text(form.space)}; objectives {objectives}; limits {limits}; "
        f"seed {form.seed}. Versions: {versions}.</p>"
    )
    if not run.evaluated:
        return Section("search", "The search", (f"{asked}<p>Nothing has been evaluated to an end yet.</p>",))
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
    drawn = (row(hypervolume_plot(run), proxy_plot(run)), row(cost_plot(run)))
    sources = provenance_html(run, None if job.table_changed else job.table_of_search)
    return Section("search", "The search", (*drawn, sources, cost, asked))


def _training(training: TrainingPart) -> Section:
    form, recipe = training.form, training.form.recipe
    asked = (
        f"<p>Recipe {text(recipe.name)} on {text(form.data)}: {several(recipe.epochs, 'epoch')}, "
        f"{text(recipe.optimizer)}, learning rate {recipe.learning_rate:g}, batch {recipe.batch}, seed {form.seed}.</p>"
        f"{network_html(form.network)}"
    )
    drawn = row(*training_plots(training)) if form.epochs else "<p>The training has not come to its end yet.</p>"
    tested = evaluation_body(training.evaluation) if training.evaluation else ()
    return Section("training", "Final training", (drawn, *tested, asked))
