"""The head of the page: what was found, in sentences and in a few figures, and the network that was chosen."""

from mnas_evo.accuracy.contract import is_speed
from mnas_evo.report.elements import blocks_html, network_html, shares_words
from mnas_evo.report.folders import Chosen, Job, RunPart, TrainingPart
from mnas_evo.report.networks import block_times
from mnas_evo.report.section import Section
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import count, ms, percent, several, sizes, text


def summary_section(job: Job) -> Section:
    """What a reader in haste needs."""
    paragraphs = [
        _table_sentences(job.table) if job.table else [],
        [*(_run_sentences(job.run) if job.run else ()), *_chosen_sentences(job)],
        [f"A campaign has not come to its end. {text(job.campaign.in_words)}."] if job.campaign else [],
        _missing_sentences(job),
    ]
    words = "".join(f"<p>{' '.join(sentences)}</p>" for sentences in paragraphs if sentences)
    chosen = _chosen_html(job, job.chosen) if job.chosen else ""
    return Section("summary", "Summary", (words, _tiles(job), chosen))


def device_words(table: TablePart) -> str:
    """Device, runtime and settings of a table, escaped."""
    device = table.table.device
    return (
        f"<strong>{text(device.name)}</strong> ({text(device.soc)}; {text(device.os)}) with {text(device.runtime)} "
        f"{text(device.runtime_version)}, {several(device.threads, 'thread')}, {text(device.precision)}, "
        f"batch {device.batch}"
    )


def _table_sentences(part: TablePart) -> list[str]:
    table = part.table
    said = [
        f"On {device_words(part)}, {several(len(table.rows), 'row')} and "
        f"{several(len(table.networks), 'whole network')} were measured."
    ]
    if table.campaigns:
        last = table.campaigns[-1]
        said.append(
            f"The last campaign was on {text(last.date)}: {several(last.passes, 'pass', 'passes')}, "
            f"{last.device_seconds:,.0f} s on the device."
        )
    noise = table.noise_percent
    if noise is not None:
        said.append(f"The time of a network carries {percent(noise)} of noise.")
    else:
        why = "there were too few passes" if table.campaigns else "they were imported"
        said.append(f"The noise of its times is not known: {why}.")
    if part.bare:
        said.append("The table prices networks by the bare sum of its rows, for it holds none to fit a predictor on.")
    elif part.fit is None:
        said.append("No predictor has been fitted yet.")
    else:
        error = part.fit.methods[part.fit.chosen].whole.mape
        said.append(
            f"The latency predictor ({text(part.fit.chosen)}) is off by {percent(error)} on average, on networks it "
            "never saw."
        )
    return said


def _run_sentences(run: RunPart) -> list[str]:
    said = [f"The search ({text(run.form.algorithm)}) of space {text(run.form.space)}"]
    if not run.paid:
        return [f"{said[0]} has evaluated nothing yet."]
    end = "came to an end within the limits" if run.form.limits else "came to an end"
    front = f"{len(run.front):,} of them form the front" if run.front else f"none of them {end}"
    short = f" of the {run.form.evaluations:,} asked for" if len(run.paid) < run.form.evaluations else ""
    said[0] += f" evaluated {several(len(run.paid), 'architecture')}{short}; {front}."
    if failed := sum(tell.kind == "failure" for tell in run.paid):
        said.append(f"{several(failed, 'evaluation')} failed.")
    if is_speed(run.form.accuracy):
        said.append("It judged networks by the speed of training, which ranks them and is no top-1.")
    return said


def _chosen_sentences(job: Job) -> list[str]:
    chosen = job.chosen
    if chosen is None:
        return []
    known = chosen.candidate
    within = "" if chosen.limit_ms is None else f"The most accurate measured within {ms(chosen.limit_ms)}"
    said = ["The network trained in the end" if chosen.trained else within or "The knee of the front"]
    if known and known.measured_ms is not None:
        said[0] += f" runs in {ms(known.measured_ms)}, measured."
    elif known and known.predicted_ms is not None:
        said[0] += f" is predicted to run in {ms(known.predicted_ms)}; it was not measured as a whole."
    elif job.training and job.training.evaluation:
        said[0] += f" runs in {ms(job.training.evaluation.latency_ms)}, measured when it was tested."
    else:
        said[0] += " has no known latency here."
    if job.training and (best := job.training.form.best):
        said.append(f"Its best validation top-1 is {percent(best.top1)}, after epoch {best.number}.")
        if (tested := job.training.evaluation) is not None:
            said.append(f"On {several(tested.images, 'test image')} it reaches {percent(tested.metrics.top1)}.")
    return said


def _missing_sentences(job: Job) -> list[str]:
    parts = {"latency table": job.table, "search": job.run, "final training": job.training}
    missing = [name for name, part in parts.items() if part is None]
    said = [f"Not in this folder: {', '.join(missing)}."] if missing else []
    if job.table and job.run and not job.table.folder.resolve().is_relative_to(job.folder.resolve()):
        said.append(f"The table shown is the one that the search names, <code>{text(job.table.folder)}</code>.")
    if job.table_changed:
        said.append(
            "<strong>The table shown is not what the search was started with</strong>: it was measured or fitted anew, "
            "so that predictions of the search do not follow from it."
        )
    return said


def _tiles(job: Job) -> str:
    """The headline figures, each with its unit and what it is of."""
    tiles = [*_table_tiles(job.table), *_run_tiles(job.run), *_chosen_tiles(job.chosen), *_training_tiles(job.training)]
    found = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(number)} <small>{text(unit)}</small></dd>"
        f"<dd class='note'>{text(note)}</dd></div>"
        for name, (number, _, unit), note in ((name, value.partition("\u00a0"), note) for name, value, note in tiles)
    )
    return f'<dl class="tiles">{found}</dl>'


_Tile = tuple[str, str, str]


def _table_tiles(part: TablePart | None) -> list[_Tile]:
    tiles: list[_Tile] = []
    if part and part.table.noise_percent is not None:
        tiles.append(("Noise of a time", percent(part.table.noise_percent), "mean error of a network's time"))
    if part and part.fit:
        quality = part.fit.methods[part.fit.chosen].whole
        tiles.append(("Predictor's error", percent(quality.mape), f"mean, out of fold; method {part.fit.chosen}"))
    return tiles


def _run_tiles(run: RunPart | None) -> list[_Tile]:
    if run is None or not run.paid:
        return []
    measured = sum(candidate.measured_ms is not None for candidate in run.front)
    again = " again" if run.form.device is None else ""
    note = f"{measured} of them measured{again}" if "latency_ms" in run.form.objectives else "not to be beaten"
    return [
        ("Evaluated", f"{len(run.paid):,}", f"distinct architectures, {run.form.algorithm}"),
        ("On the front", f"{len(run.front):,}", note),
    ]


def _chosen_tiles(chosen: Chosen | None) -> list[_Tile]:
    known = chosen.candidate if chosen else None
    if known is None:
        return []
    tiles: list[_Tile] = []
    if known.latency_ms is not None:
        how = "measured" if known.measured_ms is not None else "predicted"
        tiles.append(("Latency of the chosen", ms(known.latency_ms), how))
    if known.top1 is not None:
        tiles.append(("Its top-1 in the search", percent(known.top1), known.tell.values["top1"].source))
    return tiles


def _training_tiles(training: TrainingPart | None) -> list[_Tile]:
    best = training.form.best if training else None
    if training is None or best is None:
        return []
    of = f"of {several(len(training.form.epochs), 'epoch')}"
    tiles = [("Final training", percent(best.top1), f"validation top-1, epoch {best.number} {of}")]
    if (tested := training.evaluation) is not None:
        tiles.append(("On test images", percent(tested.metrics.top1), f"top-1 on {several(tested.images, 'image')}"))
    return tiles


def _chosen_html(job: Job, chosen: Chosen) -> str:
    within = "" if chosen.limit_ms is None else f"It is the most accurate measured within {ms(chosen.limit_ms)}."
    how = "It was trained to the end." if chosen.trained else within or "It is the knee of the front."
    if chosen.trained and chosen.candidate is None:
        how += " The search here did not evaluate it."
    totals = sizes(chosen.network)
    times = block_times(job.predictor, [chosen.network]).get(chosen.network, ()) if job.predictor else ()
    said = f" It has {count(totals[0])} parameters and {count(totals[1])} multiply-adds." if totals else ""
    return f"""
<div class="chosen"><h3>The chosen network</h3>
<p>{how}{said}</p>
{shares_words(job.predictor) if times else ""}
{blocks_html(chosen.network, times)}
{network_html(chosen.network)}</div>"""
