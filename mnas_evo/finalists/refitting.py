"""Offers what a front was measured to take to its table's predictor, and says out of fold what that changes there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mnas_evo.bundled import is_bundled
from mnas_evo.devices.campaign import Progress
from mnas_evo.errors import RequestError
from mnas_evo.files import Form, only_process, read_form, read_text, versions, write_form, write_text
from mnas_evo.finalists.remeasure import latency_of
from mnas_evo.finalists.verdicts import REMEASURED, RemeasuredForm, Verdict, off_percent
from mnas_evo.latency.fitting import Ground, fit, ground
from mnas_evo.latency.form import PREDICTOR, PredictorForm, read_predictor_form
from mnas_evo.latency.model import fit_model
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, find_table, read_table, write_table
from mnas_evo.search.run import open_run

REFITTED = "refit.json"
WANTED_BIAS_PERCENT = 3.0
PARTS = 5  # in which networks of the front are left out

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Off:
    """How far prices of the front are off, percent, bias > 0: slower than priced; `settled_*` without the shift."""

    error_percent: float
    bias_percent: float
    settled_error_percent: float
    settled_bias_percent: float

    def in_words(self) -> str:
        """Both, as they stand and settled."""
        return (
            f"{self.error_percent:.1f} % with a bias of {self.bias_percent:+.1f} % ({self.settled_error_percent:.1f} % "
            f"and {self.settled_bias_percent:+.1f} % with the device's own shift taken out)"
        )


class RefittedForm(Form):
    """refit.json in a run's folder: a table's predictor fitted with the run's front, and what that changed.

    `before` are the search's predictions of the front, `after` prices by models that had not seen the network they
    price. `random_*` are the predictor's errors on sampled networks held back, before and after, where known.
    """

    table: str
    networks: int
    shift_percent: float
    before: Off
    after: Off
    random_before_percent: float
    random_after_percent: float
    versions: dict[str, str]

    @property
    def within(self) -> bool:
        """Whether the bias that is left is within 3 %, but for what the device has moved by."""
        return abs(self.after.settled_bias_percent) <= WANTED_BIAS_PERCENT

    def in_words(self) -> list[str]:
        """What it changed and what to do next, a sentence or two a line."""
        moved = f"at its level, the device's shift of {self.shift_percent:+.1f} % since taken out"
        level = "as they were measured" if math.isnan(self.shift_percent) else moved
        said = [
            f"{self.networks} networks of the front were added to {self.table} {level}; the predictor is fitted again",
            f"before: predictions of the front were off by {self.before.in_words()}",
            f"after: networks left out of the fit, a fifth at a time, are off by {self.after.in_words()}",
        ]
        if not math.isnan(self.random_after_percent):
            before = "" if math.isnan(self.random_before_percent) else f", {self.random_before_percent:.2f} % before"
            said.append(f"random networks, held back: off by {self.random_after_percent:.2f} %{before}")
        bias = self.after.settled_bias_percent
        if self.within:
            said.append(f"the bias that is left, {bias:+.1f} %, is within {WANTED_BIAS_PERCENT:g} %")
        else:
            said.append(
                f"the bias that is left, {bias:+.1f} %, is beyond {WANTED_BIAS_PERCENT:g} %: measure more of the front "
                "(--top, --minutes), or profile the table again with more --networks and search anew"
            )
        if self.within and abs(self.after.bias_percent) > WANTED_BIAS_PERCENT:
            said.append(
                f"but the device has moved by {self.shift_percent:+.1f} % since its table was measured: where today's "
                "level counts, profile it into a new table"
            )
        return said


def refit(
    run: Path,
    *,
    into: Path | None = None,
    table: str | None = None,
    seed: int = 0,
    progress: Progress = lambda share, text: None,
) -> RefittedForm:
    """Adds a run's re-measured networks to its table with the role `front`, and fits the predictor again.

    They enter at the table's level: divided by what the table's own networks, measured again beside them, moved by.
    The predictor speaks of the hour of the table's campaign. Entered as measured, an hour's shift of the whole device
    would be taken for a property of networks that searches find, and stay when the hour is over. A shift moves all
    networks alike, within 1 % of each (benchmarks/README.md). A table of today's level is one that is profiled today.

    Into `into`, a copy of the table is refitted instead, or added to, and the run may be gone on with. Done again, it
    changes nothing but what was measured again.

    Raises:
        RequestError: nothing was re-measured, the search measured itself, or the table came with mnas-evo.
        InUse: another process works on the table.
    """
    found = _read(run)
    form, archive = open_run(run)
    archive.close()
    quantity, known = latency_of(run, form, table)
    if known is None or found.as_searched:
        raise RequestError(f"{run} measured latency as it searched: there is no predictor to fit")
    if quantity != found.quantity:
        raise RequestError(f"{run} was last measured for {found.quantity}, not {quantity}; measure that first")
    source, target = known.folder, _target(run, known, into)
    old = _fit_of(source)
    sources = [find_table(name) for name in old.sources] if old is not None and old.rows == "borrowed" else []
    with only_process(target, doing="adding to"):
        has = (target / "device.json").is_file()
        grown, names = _grown(read_table(target) if has else replace(known, folder=target), known, found)
        offered = [one for one in found.verdicts if one.network in names]
        progress(0.0, "leaving out fifths of the front")
        with threadpool_limits(1):
            after = _left_out_ms(ground(grown, sources=sources), [one.network for one in offered], seed=seed)
        write_table(target, grown)
        if not has and (source / "README.md").is_file():
            write_text(target / "README.md", read_text(source / "README.md"))
    now = fit(target, sources=sources, seed=seed, progress=progress).form
    level = found.found.level
    priced = [(one, ms) for one, ms in zip(offered, after, strict=True) if math.isfinite(ms)]
    refitted = RefittedForm(
        table=str(target),
        networks=len(offered),
        shift_percent=found.found.shift_percent,
        before=_off([(one.predicted_ms, one.measured_ms) for one, _ in priced], level),
        after=_off([(ms, one.measured_ms) for one, ms in priced], level),
        random_before_percent=_random_percent(old),
        random_after_percent=_random_percent(now),
        versions=versions(),
    )
    write_form(run / REFITTED, refitted)
    return refitted


def _read(run: Path) -> RemeasuredForm:
    if not (run / REMEASURED).is_file():
        raise RequestError(f"nothing of {run} was measured yet; run: mnas-evo remeasure {run}")
    return read_form(run / REMEASURED, RemeasuredForm)


def _target(run: Path, table: Table, into: Path | None) -> Path:
    """The folder that is written to.

    Raises:
        RequestError: it came with mnas-evo, or holds a table of another device.
    """
    target = into or table.folder
    if is_bundled(target):
        raise RequestError(
            f"{target} came with mnas-evo and is read-only; refit a copy: mnas-evo remeasure {run} --refit --into DIR"
        )
    if (target / "device.json").is_file() and (differences := read_table(target).device.differences(table.device)):
        raise RequestError(f"{target} is a table of another device ({'; '.join(differences)}); give another --into")
    return target


def _grown(table: Table, searched: Table, found: RemeasuredForm) -> tuple[Table, set[str]]:
    """The table with the front's networks at its level, and their names; those it has for other reasons stay.

    Raises:
        RequestError: it has all of them for other reasons, or an unlike table's times.
    """
    there = {entry.network: entry for entry in table.networks}
    if missing := [one.network for one in searched.networks if one.role == "sampled" and one.network not in there]:
        raise RequestError(
            f"{table.folder} is no copy of {searched.folder}: it lacks {len(missing)} of its sampled networks, "
            f"{missing[0]} first; give another --into"
        )
    new = [_entry(one, found.found.level) for one in found.verdicts if _is_free(there.get(one.network))]
    if not new:
        raise RequestError(f"{table.folder} has all of the networks that were measured again; there is nothing to add")
    networks = {**there, **{entry.network: entry for entry in new}}
    return replace(table, networks=tuple(networks.values())), {entry.network for entry in new}


def _is_free(entry: MeasuredNetwork | None) -> bool:
    return entry is None or entry.role == "front"


def _entry(one: Verdict, level: float) -> MeasuredNetwork:
    return MeasuredNetwork(one.network, "front", Measured(one.measured_ms / level, one.spread_percent, one.visits))


def _left_out_ms(stand: Ground, networks: Sequence[str], *, seed: int) -> Matrix:
    """Prices of networks, each by a model that did not see it or others of its fifth, ms (n,); nan where rows lack."""
    at = {entry.network: row for row, entry in enumerate(stand.entries)}
    rows = np.array([at.get(name, -1) for name in networks])
    prices = np.full(len(stand.entries) + 1, np.nan)  # the last for those without rows
    order = np.random.default_rng([seed, 7]).permutation(rows[rows >= 0])
    for part in np.array_split(order, min(PARTS, len(order))) if len(order) else ():
        rest = np.setdiff1d(np.arange(len(stand.entries)), part)
        model, _ = fit_model(stand.design.take(rest), stand.ms[rest], seed=seed)
        prices[part] = model.ms(model.of_design(stand.design.take(part)))
    return np.asarray(prices[rows])


def _off(pairs: Sequence[tuple[float, float]], level: float) -> Off:
    as_is, settled = off_percent(pairs), off_percent([(price * level, ms) for price, ms in pairs])
    return Off(*(float(value) for off in (as_is, settled) for value in (np.abs(off).mean(), off.mean())))


def _fit_of(folder: Path) -> PredictorForm | None:
    return read_predictor_form(folder) if (folder / PREDICTOR).is_file() else None


def _random_percent(form: PredictorForm | None) -> float:
    """Mean error on sampled networks held back, in shares of the prediction as all figures here."""
    if form is None:
        return float("nan")
    return float(np.abs(off_percent(list(zip(form.predicted_ms, form.measured_ms, strict=True)))).mean())
