"""The page of a comparison: the answer, figures of every algorithm, fronts, curves, tests, what controllers drew."""

from collections.abc import Sequence
from pathlib import Path

from mnas_evo.comparing.forms import COMPARISON, DRAWING, Comparison, Drawing
from mnas_evo.comparing.statistics import Figure, PairTest
from mnas_evo.comparing.words import corner, quantity, reward_words
from mnas_evo.files import read_form
from mnas_evo.report.comparison_figures import (
    attained_plot,
    entropy_plot,
    fronts_plot,
    hypervolume_plots,
    sample_plots,
)
from mnas_evo.report.elements import rows_html
from mnas_evo.report.section import Body, Section, row
from mnas_evo.report.words import several, text

_SPACE = "\u00a0"


def is_comparison(folder: Path) -> bool:
    """Whether a folder holds a comparison."""
    return (folder / COMPARISON).is_file()


def comparison_sections(folder: Path) -> list[Section]:
    """The page's sections.

    Raises:
        DamagedFile, OtherFormat: a file cannot be read.
    """
    found, drawing = read_form(folder / COMPARISON, Comparison), read_form(folder / DRAWING, Drawing)
    sections = [_summary(found), _fronts(found, drawing), _curves(found, drawing), _tests(found)]
    if found.rewards:
        sections.append(_rewards(found))
    if drawing.samples or drawing.entropy:
        sections.append(_controllers(found, drawing))
    return [*sections, _runs(found)]


def _summary(found: Comparison) -> Section:
    one = next(iter(found.algorithms.values()))
    limits = [quantity(found.cost or "", float(at)) for at in one.best_top1_at]
    header = (
        "Algorithm",
        "Hypervolume, %",
        "In the box, %",
        "IGD+",
        *(f"At {text(limit)}" for limit in limits),
        "Draws",
    )
    rows = [
        [
            text(name),
            _cell(one.hypervolume_percent),
            _cell(one.box_hypervolume_percent),
            _cell(one.igd_plus, digits=4),
            *(_cell(best) for best in one.best_top1_at.values()),
            _cell(one.draws, digits=0),
        ]
        for name, one in found.algorithms.items()
    ]
    best = max(found.algorithms.values(), key=lambda each: each.hypervolume.mean or 0.0)
    marked = list(found.algorithms.values()).index(best)
    best_at = " At a limit: best top-1 within it, %." if limits else ""
    caption = f"Mean and standard deviation over {several(found.seeds, 'seed')}; percent of {found.against}.{best_at}"
    words = (
        f"<p>Reference points: the whole front, {text(corner(found.whole.point))}; the box, "
        f"{text(corner(found.box.point))}. IGD+ is the mean distance from {text(found.against)}, in shares of its "
        "range: less is better.</p>"
    )
    table = rows_html(header, rows, caption=caption, marked=marked if len(rows) > 1 else None)
    return Section("summary", "Summary", (f"<p>{text(found.answer)}</p>", table, words))


def _cell(figure: Figure, *, digits: int = 2) -> str:
    if figure.mean is None:
        return '<span class="absent">none</span>'
    spread = f' <span class="absent">±{_SPACE}{figure.sd:,.{digits}f}</span>' if figure.sd else ""
    return f"{figure.mean:,.{digits}f}{spread}"


def _fronts(found: Comparison, drawing: Drawing) -> Section:
    return Section("fronts", "Fronts", (row(attained_plot(drawing, found)), row(fronts_plot(drawing, found))))


def _curves(found: Comparison, drawing: Drawing) -> Section:
    return Section("curves", "Hypervolume as the search goes on", (row(*hypervolume_plots(drawing, found)),))


def _tests(found: Comparison) -> Section:
    if not found.tests:
        return Section("tests", "Is the difference certain?", ("<p>One algorithm alone leaves nothing to test.</p>",))
    words = (
        "<p>Mann-Whitney's U test, two-sided, on the hypervolume within the whole front's reference point, one value a "
        "seed. A12 (Vargha and Delaney) is the share of pairs of runs in which the first of the two covers more: "
        "at 0.5 neither is ahead, at 0 or 1 one always is.</p>"
    )
    return Section("tests", "Is the difference certain?", (words, _tests_html(found.tests, "Hypervolume")))


def _tests_html(tests: Sequence[PairTest], what: str) -> str:
    rows = [
        [
            f"{text(test.a)} against {text(test.b)}",
            *("none" if value is None else f"{value:.3g}" for value in (test.p, test.p_alone, test.effect)),
            "significant" if test.significant else "",
        ]
        for test in tests
    ]
    caption = f"{what}: p after Holm's correction over these pairs, and alone."
    return rows_html(("Pair", "p, corrected", "p, alone", "A12", "At 5 %"), rows, caption=caption)


def _rewards(found: Comparison) -> Section:
    html = (
        "<p>What a scalarised search maximises is its own measure: here every algorithm's networks are judged by it, "
        "and the best of each run counts.</p>"
    )
    for one in found.rewards:
        words = f"Best reward, {reward_words(one, found.cost)}, that of {', '.join(one.of)}"
        rows = [[text(name), _cell(best, digits=4)] for name, best in one.best.items()]
        html += rows_html(("Algorithm", "Best reward"), rows, caption=f"{words}.")
        html += _tests_html(one.tests, words) if one.tests else ""
    return Section("rewards", "By their own reward", (html,))


def _controllers(found: Comparison, drawing: Drawing) -> Section:
    drawn = [row(*sample_plots(samples, number, drawing)) for number, samples in enumerate(drawing.samples)]
    body: Body = (*drawn, row(entropy_plot(drawing)))
    facts = [
        [text(name), text(fact), _cell(figure, digits=3)]
        for name, one in found.algorithms.items()
        for fact, figure in one.facts.items()
    ]
    if facts:
        caption = "What searchers said of themselves after their last batch."
        body = (*body, rows_html(("Algorithm", "Figure", "Value"), facts, caption=caption))
    return Section("controllers", "What controllers drew", body)


def _runs(found: Comparison) -> Section:
    limits = "; ".join(f"{text(name)} {value:g}" for name, value in found.limits.items()) or "none"
    judged = f" All is judged by <code>{text(found.judge)}</code>." if found.judge else ""
    versions = ", ".join(f"{text(name)} {text(version)}" for name, version in found.versions.items())
    asked = (
        f"<p>Space {text(found.space)}; objectives {text(', '.join(found.objectives))}; limits {limits}; top-1 of "
        f"<code>{text(found.accuracy)}</code>; {found.evaluations:,} distinct networks a run.{judged} "
        f"Versions: {versions}.</p>"
    )
    rows = [
        [text(run.folder), text(run.ended), f"{run.evaluations:,}", f"{run.draws:,}", text(run.message)]
        for run in found.runs
    ]
    header = ("Run", "Ended by", "Distinct", "Draws", "")
    return Section(
        "runs", "Runs", (asked, rows_html(header, rows, caption="Each is a search that mnas-evo can report on."))
    )
