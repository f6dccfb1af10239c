"""The page of several finalists' trainings: who leads, and whether by more than chance; each training and its curve."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mnas_evo.files import read_form
from mnas_evo.finalists.final_training import LAST, MODEL, TrainingForm
from mnas_evo.finalists.several import SUMMARY, Finalist, TrainingsForm, leader, training_folder
from mnas_evo.report.elements import network_html, rows_html
from mnas_evo.report.folders import MARKS, read_training
from mnas_evo.report.section import Section, row
from mnas_evo.report.trainings_figures import Curve, Tested, by_latency_plot, by_network_plot, curves_plot
from mnas_evo.report.words import count, ms, percent, plain_ms, several, sizes, text
from mnas_evo.shipping.evaluation import EvaluationForm

_CHILD = re.compile(r"(?P<name>.+)-seed(?P<seed>\d+)")
_ABSENT = '<span class="absent">&ndash;</span>'


@dataclass(frozen=True, slots=True)
class _Training:
    """One training as far as it has come; one that failed early has no form."""

    name: str
    seed: int
    form: TrainingForm | None
    tested: EvaluationForm | None
    ended: bool
    failure: str | None

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.form.epochs) if self.form else 0

    @property
    def top1(self) -> float | None:
        """Of the best epoch so far, percent."""
        best = self.form.best if self.form else None
        return best.top1 if best else None

    @property
    def state(self) -> str:
        """Where it stands, in words."""
        return "ended" if self.ended else "failed" if self.failure is not None else "not ended"


@dataclass(frozen=True, slots=True)
class _Trainings:
    """What a folder holds, network by network in the order asked for, where that is known."""

    folder: Path
    finalists: tuple[Finalist, ...]
    trainings: tuple[_Training, ...]

    def of(self, finalist: Finalist) -> list[_Training]:
        """The trainings of a finalist."""
        return [one for one in self.trainings if one.name == finalist.name]

    @property
    def best(self) -> tuple[Finalist, str] | None:
        """Who leads, and what is to be said of it; None where none was trained to the end."""
        return leader(self.finalists) if any(one.top1 for one in self.finalists) else None

    @property
    def place(self) -> tuple[str, str] | None:
        """Device and data of most tests: latencies of others cannot be compared with theirs, nor top-1."""
        places = Counter((one.tested.device, one.tested.data) for one in self.trainings if one.tested)
        return places.most_common(1)[0][0] if places else None

    @property
    def tested(self) -> list[Tested]:
        """The tests at that place."""
        found = []
        for one in self.trainings:
            if one.tested is not None and (one.tested.device, one.tested.data) == self.place:
                found.append(Tested(one.name, one.seed, one.tested))
        return found


def is_trainings(folder: Path) -> bool:
    """Whether a folder holds several trainings; while they run only their own folders tell."""
    if (folder / SUMMARY).is_file():
        return True
    is_job = any((place / mark).is_file() for kind, mark in MARKS.items() for place in (folder, folder / kind))
    return not is_job and bool(_children(folder))


def trainings_sections(folder: Path) -> list[Section]:
    """The page's sections.

    Raises:
        DamagedFile, OtherFormat: a file cannot be read.
    """
    found = _read(folder)
    sections = [_summary(found), _figures(found), _table(found), _networks(found)]
    return [section for section in sections if not section.is_empty]


def _children(folder: Path) -> dict[tuple[str, int], Path]:
    """Folders of trainings by network and seed, in the order of their numbers: rank2 before rank10."""
    found = {}
    for path in folder.glob("*-seed*/training.json"):
        if match := _CHILD.fullmatch(path.parent.name):
            found[match["name"], int(match["seed"])] = path.parent
    return dict(sorted(found.items(), key=lambda each: (_natural(each[0][0]), each[0][1])))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read(folder: Path) -> _Trainings:
    told = read_form(folder / SUMMARY, TrainingsForm).finalists if (folder / SUMMARY).is_file() else ()
    failures = {(one.name, seed): why for one in told for seed, why in one.failed.items()}
    asked = {(one.name, seed): training_folder(folder, one.name, seed) for one in told for seed in one.top1}
    places = {**asked, **{key: training_folder(folder, *key) for key in failures}, **_children(folder)}
    networks = {one.name: one.network for one in told}
    trainings = [_read_one(*key, place, failures.get(key)) for key, place in places.items()]
    order = list(dict.fromkeys([*networks, *(one.name for one in trainings)]))
    trainings.sort(key=lambda one: (order.index(one.name), one.seed))
    networks |= {one.name: one.form.network for one in trainings if one.form}
    return _Trainings(folder, tuple(_finalist(name, networks[name], trainings) for name in order), tuple(trainings))


def _read_one(name: str, seed: int, folder: Path, failure: str | None) -> _Training:
    if failure is not None and not (folder / MARKS["training"]).is_file():
        return _Training(name, seed, None, None, False, failure)
    part = read_training(folder)
    ended = (folder / LAST).is_file()
    return _Training(name, seed, part.form, part.evaluation, ended, None if ended else failure)


def _finalist(name: str, network: str, trainings: list[_Training]) -> Finalist:
    own = [one for one in trainings if one.name == name]
    top1 = {one.seed: one.top1 for one in own if one.ended and one.top1 is not None}
    return Finalist(name, network, top1, {one.seed: one.failure for one in own if one.failure is not None})


def _summary(found: _Trainings) -> Section:
    states = Counter(one.state for one in found.trainings)
    said = [
        f"{several(len(found.finalists), 'network')}, {several(len(found.trainings), 'training')} of them: "
        f"{', '.join(f'{states[state]:,} {state}' for state in ('ended', 'failed', 'not ended') if states[state])}."
    ]
    said += _recipe_sentences(found)
    html = f"<p>{' '.join(said)}</p>"
    if found.best is None:
        return Section("summary", "Summary", (f"{html}<p>None has been trained to the end yet.</p>",))
    best, words = found.best
    so_far = "So far, on" if states["not ended"] else "On"
    html += f"<p>{so_far} the validation images, {text(words or f'{best.name} alone was trained to the end')}.</p>"
    return Section("summary", "Summary", (f"{html}{_tested_html(found, best)}",))


def _recipe_sentences(found: _Trainings) -> list[str]:
    """What each was trained on, which all have in common."""
    form = next((one.form for one in found.trainings if one.form), None)
    if form is None:
        return []
    recipe, split = form.recipe, form.split
    return [
        f"Each was trained on <code>{text(form.data)}</code>, {several(split.train, 'image')}, with recipe "
        f"{text(recipe.name)} for {several(recipe.epochs, 'epoch')}; {several(split.validation, 'image')} validate. "
        "The validation top-1 of a training is that of its best epoch."
    ]


def _tested_html(found: _Trainings, best: Finalist) -> str:
    """The best test so far, or the command that tests the leader."""
    tests = found.tested
    html = ""
    if tests:
        top = max(tests, key=lambda one: one.form.metrics.top1)
        html = (
            f"<p>{several(len(tests), 'training')} of them {'was' if len(tests) == 1 else 'were'} tested. The best, "
            f"<strong>{text(top.name)}</strong> with seed {top.seed}, reaches {percent(top.form.metrics.top1)} on "
            f"{several(top.form.images, 'test image')} (95&nbsp;%: {top.form.metrics.top1_low:.2f} to "
            f"{top.form.metrics.top1_high:.2f}) and runs in {ms(top.form.latency_ms)}.</p>"
        )
    if best.name in {one.name for one in tests}:
        return html
    place = training_folder(found.folder, best.name, max(best.top1, key=lambda seed: best.top1[seed]))
    data = next(one.form.data for one in found.of(best) if one.form)
    words = ["mnas-evo", "evaluate", str(place / MODEL), "--data", data, "--out", str(place)]
    command = text(shlex.join(words))
    return f"{html}<p>Next, test <strong>{text(best.name)}</strong> and measure its latency: <code>{command}</code></p>"


def _figures(found: _Trainings) -> Section:
    tests = found.tested
    beside = _not_drawn(found, tests) if tests else ""
    curves = [
        Curve(one.name, one.seed, one.form.epochs) for one in found.trainings if one.form is not None and one.epochs
    ]
    drawn = row(by_latency_plot(tests) if tests else None, by_network_plot(found.finalists))
    return Section("accuracy", "Accuracy", (drawn, beside, row(curves_plot(curves))))


def _not_drawn(found: _Trainings, tests: list[Tested]) -> str:
    """Why a network is not in the figure of latencies."""
    drawn = {one.name for one in tests}
    elsewhere = {one.name for one in found.trainings if one.tested} - drawn
    missing = [one.name for one in found.finalists if one.name not in drawn | elsewhere]
    html = ""
    if missing:
        html += f"<p>Without a latency, for they were not tested: {text(', '.join(missing))}.</p>"
    if elsewhere:
        html += (
            f"<p>Not drawn, for they were tested on other devices or data: {text(', '.join(sorted(elsewhere)))}.</p>"
        )
    return html


def _table(found: _Trainings) -> Section:
    best = found.best
    of_tests = ("Best test top-1, %", "Latency, ms") if found.tested else ()
    header = ("Network", "Top-1, %", "Deviation", "Seeds", *of_tests, "Parameters", "MACs")
    tests = {finalist.name: [one for one in found.tested if one.name == finalist.name] for finalist in found.finalists}
    finalists = rows_html(
        header,
        [_finalist_row(one, found, tests) for one in found.finalists],
        caption="Top-1 on the validation images: mean and standard deviation over the seeds.",
        marked=found.finalists.index(best[0]) if best else None,
    )
    return Section("finalists", "The finalists", (finalists, _each_html(found), _failures_html(found)))


def _finalist_row(finalist: Finalist, found: _Trainings, tests: Mapping[str, list[Tested]]) -> list[str]:
    own, tested = found.of(finalist), tests[finalist.name]
    of_tests = [_ABSENT, _ABSENT] if found.tested else []
    if tested:
        best = max(tested, key=lambda one: one.form.metrics.top1)
        of_tests = [_test_cell(best), plain_ms(median(one.form.latency_ms for one in tested))]
    is_best = found.best is not None and found.best[0] == finalist
    totals = sizes(finalist.network)
    return [
        text(finalist.name) + (' <span class="chip">best mean</span>' if is_best else ""),
        f"{finalist.mean:.2f}" if finalist.top1 else _ABSENT,
        f"{finalist.deviation:.2f}" if len(finalist.top1) > 1 else _ABSENT,
        f"{len(own)}" if len(finalist.top1) == len(own) else f"{len(finalist.top1)} of {len(own)}",
        *of_tests,
        *(f'<span title="{total:,}">{count(total)}</span>' for total in totals or ()),
        *([_ABSENT] * 2 if totals is None else []),
    ]


def _test_cell(best: Tested) -> str:
    found = best.form.metrics
    return f'{found.top1:.2f} <span class="interval">{found.top1_low:.2f} to {found.top1_high:.2f}</span>'


def _each_html(found: _Trainings) -> str:
    has_tests = any(one.tested for one in found.trainings)
    rows = [
        [
            text(one.name),
            str(one.seed),
            f"{one.epochs} of {one.form.recipe.epochs}" if one.form else _ABSENT,
            _ABSENT if one.top1 is None else f"{one.top1:.2f}",
            *([_ABSENT if one.tested is None else f"{one.tested.metrics.top1:.2f}"] if has_tests else []),
            one.state,
        ]
        for one in found.trainings
    ]
    header = ("Training of", "Seed", "Epochs", "Top-1, %", *(("Test top-1, %",) if has_tests else ()), "State")
    return rows_html(header, rows, caption="Every training; top-1 is that of its best epoch so far.")


def _failures_html(found: _Trainings) -> str:
    items = "".join(
        f"<li>{text(one.name)}, seed {one.seed}: {text(one.failure)}</li>" for one in found.trainings if one.failure
    )
    return f"<p>Why trainings failed:</p><ul>{items}</ul>" if items else ""


def _networks(found: _Trainings) -> Section:
    html = "".join(f"<h3>{text(one.name)}</h3><p>{network_html(one.network)}</p>" for one in found.finalists)
    return Section("networks", "The networks", (html,))
