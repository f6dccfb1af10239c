"""The page of a supernet: what it was trained on, how it learned, and what to do with it next."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnas_evo.accuracy.contract import Score
from mnas_evo.accuracy.cut_out_speed import STEPS
from mnas_evo.accuracy.supernet_training import PATHS, WATCHED, SupernetEpoch, SupernetForm
from mnas_evo.errors import DamagedFile
from mnas_evo.files import read_form, read_text
from mnas_evo.models.foreign_weights import read_torch
from mnas_evo.report.palette import BLUE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, epochs_curve
from mnas_evo.report.section import Section, row
from mnas_evo.report.words import percent, several, text
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import parse_space

FORM, SPACE, WEIGHTS, RESUME = "supernet.json", "space.toml", "supernet.pt", "last.ckpt"
_JUDGES, _JUDGES_EPOCHS = 24, 60  # networks that rank-check's example trains in full, and for how long

_UNFINISHED = (
    "Where it was stopped, the command that began it goes on with it. Once it has come to its end, "
    "<code>mnas-evo rank-check</code> says whether it ranks networks well enough to search with."
)


@dataclass(frozen=True, slots=True)
class _Supernet:
    """A supernet as far as it has come."""

    folder: Path
    form: SupernetForm
    space: SearchSpace
    epochs: tuple[SupernetEpoch, ...]
    ended: bool


def is_supernet(folder: Path) -> bool:
    """Whether a folder holds a supernet, trained or in training."""
    return (folder / FORM).is_file()


def supernet_sections(folder: Path) -> list[Section]:
    """The page's sections.

    Raises:
        DamagedFile, OtherFormat: a file cannot be read.
    """
    found = _read(folder)
    sections = [_summary(found), _learning(found), _next(found), _asked(found)]
    return [section for section in sections if not section.is_empty]


def _read(folder: Path) -> _Supernet:
    form = read_form(folder / FORM, SupernetForm)
    space = parse_space(read_text(folder / SPACE), source=str(folder / SPACE))
    ended = (folder / WEIGHTS).is_file()
    return _Supernet(folder, form, space, form.epochs if ended else _epochs_so_far(folder), ended)


def _epochs_so_far(folder: Path) -> tuple[SupernetEpoch, ...]:
    """Those that a training in progress keeps; none where it has kept none yet, or is writing just now."""
    try:
        kept: Any = read_torch(folder / RESUME)
        return tuple(SupernetEpoch(**epoch) for epoch in kept["mnas_evo_epochs"])
    except (DamagedFile, FileNotFoundError, KeyError):
        return ()


def _summary(found: _Supernet) -> Section:
    form, space = found.form, found.space
    frame = space.frame
    image = f"{frame.height}x{frame.width}x{frame.channels}"
    said = [
        f"Weights that all networks of space <strong>{text(form.space)}</strong> share: "
        f"{space.architectures:,} architectures of {several(len(space.blocks), 'block')} for images of {image} "
        f"and {several(frame.classes, 'class', 'classes')}.",
        f"They {'were' if found.ended else 'are being'} trained on <code>{text(form.data)}</code>, "
        f"{several(form.split.train, 'image')}; {several(form.split.validation, 'image')} validate.",
    ]
    state = f"{len(found.epochs):,} of {several(form.recipe.epochs, 'epoch')} done so far"
    if found.ended:
        state = f"The training came to its end after {several(len(found.epochs), 'epoch')}"
    elif not found.epochs:
        state = f"No epoch of {form.recipe.epochs:,} has been kept yet"
    words = f"<p>{' '.join(said)}</p><p>{state}.{_reached(found)}</p>"
    return Section("summary", "Summary", (words,))


def _reached(found: _Supernet) -> str:
    """What two networks reach after the last epoch."""
    if not found.epochs:
        return ""
    last = found.epochs[-1]
    return (
        f" After epoch {last.number} one of the largest networks reaches {percent(last.largest_top1)} top-1 on the "
        f"validation images, one of the smallest {percent(last.smallest_top1)}, each with the statistics of a batch. "
        "A search estimates the statistics of each network anew before it tests it, which gives other figures."
    )


def _learning(found: _Supernet) -> Section:
    plots = (_loss_plot(found), _top1_plot(found)) if found.epochs else ()
    return Section("learning", "How it learned", (row(*plots),))


def _loss_plot(found: _Supernet) -> Plot:
    figure = empty_figure("Epoch", "Loss (nats)")
    losses = [epoch.train_loss for epoch in found.epochs]
    figure.add_trace(epochs_curve(_numbers(found), losses, name="training", colour=BLUE.light))
    figure.update_yaxes(rangemode="tozero")
    figure.update_traces(showlegend=False)
    smoothing = found.form.recipe.label_smoothing
    smoothed = f", with labels smoothed by {smoothing:g}" if smoothing else ""
    return Plot(
        "losses",
        "Training loss",
        f"Mean cross-entropy of the {PATHS} networks that a step trains{smoothed}. It ends at {losses[-1]:.3f} nats.",
        figure,
        f"Line plot of the training loss over {several(len(losses), 'epoch')}; it ends at {losses[-1]:.3f}.",
    )


def _top1_plot(found: _Supernet) -> Plot:
    figure = empty_figure("Epoch", "Validation top-1 (%)")
    for name, colour, values in (
        ("one of the largest", BLUE.light, [epoch.largest_top1 for epoch in found.epochs]),
        ("one of the smallest", VERMILLION.light, [epoch.smallest_top1 for epoch in found.epochs]),
    ):
        figure.add_trace(epochs_curve(_numbers(found), values, name=name, colour=colour, unit=" %"))
    last = found.epochs[-1]
    watched = min(WATCHED, found.form.split.validation)
    return Plot(
        "top1",
        "Two networks of the space",
        f"Top-1 on {several(watched, 'validation image')}, with shared weights and the statistics of a batch.",
        figure,
        f"Line plot of the validation top-1 of a large and a small network over {several(len(found.epochs), 'epoch')}; "
        f"they end at {percent(last.largest_top1)} and {percent(last.smallest_top1)}.",
    )


def _numbers(found: _Supernet) -> list[int]:
    return [epoch.number for epoch in found.epochs]


def _next(found: _Supernet) -> Section:
    """The commands that follow: whether it ranks, then a search with it."""
    if not found.ended:
        return Section("next", "What to do next", (f"<p>{_UNFINISHED}</p>",))
    space, source = str(found.folder / SPACE), f"supernet:{found.folder},score={Score.SPEED},steps={STEPS}"
    add = ["--add", f"{_JUDGES}", "--by", f"proxy:{found.form.data},epochs={_JUDGES_EPOCHS}"]
    check = ["mnas-evo", "rank-check", "--accuracy", source, "--space", space, *add, "--against", "trained.csv"]
    search = ["mnas-evo", "search", "--space", space, "--accuracy", source, "--table", "TABLE", "--run", "RUN"]
    html = (
        "<p>First, whether it ranks networks as training them in full does, beside what parameters and multiply-adds "
        "alone would tell; a source that ranks worse than these would lead a search astray. This trains "
        f"{_JUDGES} networks of the space in full, {_JUDGES_EPOCHS} epochs each, and goes on where it was stopped; "
        "with a CSV of such networks that is there, leave out --add and --by. By speed a network is judged by how "
        f"quickly the layers it is made of learnt here, and by {STEPS} steps of its own once it is cut "
        f"out; without <code>,steps={STEPS}</code> by the former alone, at no cost, and without "
        f"<code>,score={Score.SPEED}</code> as well it is cut out and tested:</p>"
        f"<p><code>{text(shlex.join(check))}</code></p>"
        f"<p>Then a search with it:</p><p><code>{text(shlex.join(search))}</code></p>"
    )
    return Section("next", "What to do next", (html,))


def _asked(found: _Supernet) -> Section:
    form, recipe = found.form, found.form.recipe
    versions = ", ".join(f"{text(name)} {text(version)}" for name, version in form.versions.items())
    return Section(
        "asked",
        "How it was trained",
        (
            f"<p>Recipe {text(recipe.name)}: {several(recipe.epochs, 'epoch')}, {text(recipe.optimizer)}, learning "
            f"rate {recipe.learning_rate:g}, batch {recipe.batch}, seed {form.seed}; {PATHS} networks a step. "
            f"Versions: {versions}.</p>",
        ),
    )
