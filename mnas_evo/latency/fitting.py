"""Fits a table's latency predictor on its measured networks, and says out of fold how good it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mnas_evo.errors import RequestError, UnmeasuredOp
from mnas_evo.files import only_process, versions, write_form, write_text
from mnas_evo.latency.additive import Design, design_of
from mnas_evo.latency.borrowing import borrow
from mnas_evo.latency.features import VERSION, features_of
from mnas_evo.latency.form import PREDICTOR, CurvePoint, PredictorForm, RowsKind
from mnas_evo.latency.judging import METHODS, Judged, Method, chosen, judge, mean_graded, mean_quality
from mnas_evo.latency.model import fit_model
from mnas_evo.latency.predictor import LatencyPredictor, load_predictor
from mnas_evo.latency.rows import BorrowedRows, OwnRows, Rows, write_borrowed
from mnas_evo.latency.scoring import Graded, coverage_percent, graded, quality
from mnas_evo.latency.table import MeasuredNetwork, Table, measurements_fingerprint, read_table, refuse_stock
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

TESTS = 5  # folds of networks held back
REPEATS = 3
ENOUGH = 500  # networks that need no second shuffle for figures finer than their noise
FEWEST_NETWORKS = 10
FEWEST_WITH_OTHERS = 5  # where other tables say the rest
CURVE = (10, 20, 50, 100, 200, 500)

Matrix = NDArray[np.float64]
Progress = Callable[[float, str], None]


def fit(
    folder: Path,
    *,
    sources: Sequence[Path] = (),
    seed: int = 0,
    progress: Progress = lambda share, text: None,
) -> LatencyPredictor:
    """Fits a table's predictor on its measured networks and writes it into the table.

    It is judged on the sampled ones. Others, such as landmarks and what came back from a search's front, are fitted on
    as well: they say what networks far from the sampled ones take. Without landmarks, MobileNetV2 on the demo's tables
    was 80 % too fast or 200 % too slow.

    `sources` are folders of other devices' tables; what they say of layers without a row here, rescaled, takes the
    place of the row.

    Raises:
        RequestError: too few networks were measured, or a source cannot price them.
        UnmeasuredOp: neither the table nor a source has a layer of a measured network.
        InUse: the table is being measured or fitted.
    """
    refuse_stock(folder)
    with only_process(folder, doing="fitting"), threadpool_limits(1):  # so small that a second thread is waited for
        stand = ground(read_table(folder), sources=sources)
        table, design, ms, rows = stand.table, stand.design, stand.ms, stand.rows
        sampled = [entry for entry in stand.entries if entry.role == "sampled"]
        judged = _judgement(design, ms, seed=seed, progress=progress)
        model, reasons = fit_model(design, ms, seed=seed)
        features = design.features
        form = PredictorForm(
            feature_version=VERSION,
            seed=seed,
            versions=versions(),
            measurements=measurements_fingerprint(folder),
            networks=len(sampled),
            rows=stand.kind,
            sources=rows.sources if rows else (),
            rows_note=stand.note,
            families=features.families,
            kinds=features.kinds,
            sizes=features.sizes,
            layers=design.layers,
            variances=reasons.variances,
            additive=model.additive,
            folds=model.folds,
            reach=model.reach,
            correction=reasons.correction,
            methods=judged.methods,
            chosen=chosen(reasons),
            curve=judged.curve,
            noise_percent=table.noise_percent,
            coverage_percent=judged.coverage_percent,
            predicted_ms=tuple(judged.predicted_ms.tolist()),
            measured_ms=tuple(entry.time.ms for entry in sampled),
        )
        predictor = LatencyPredictor(table, model, form)
        _write(folder, predictor, form)
        return predictor


@dataclass(frozen=True)
class Ground:
    """What a fit stands on: networks with their design and times (n,), ms; rows, of what kind, and what to say of them.

    Networks that were not sampled are the design's anchors.
    """

    table: Table
    entries: tuple[MeasuredNetwork, ...]
    design: Design
    ms: Matrix
    rows: Rows | None
    kind: RowsKind
    note: str | None


def ground(table: Table, *, sources: Sequence[Path] = ()) -> Ground:
    """What a fit of a table stands on, with the layers of `sources` where rows lack.

    Raises:
        RequestError: too few networks were measured, or a source cannot price them.
        UnmeasuredOp: neither the table nor a source has a layer of a measured network.
    """
    sampled = [entry for entry in table.networks if entry.role == "sampled"]
    fewest = FEWEST_WITH_OTHERS if sources else FEWEST_NETWORKS
    if len(sampled) < fewest:
        raise RequestError(
            f"{table.folder} holds {len(sampled)} sampled networks, a fit needs at least {fewest}; "
            f"measure more: mnas-evo profile TARGET --table {table.folder} --space SPACE"
        )
    rows, kind, note = own_rows(table, sampled)
    if sources:
        rows, kind, note = borrow(table, sampled, [load_predictor(source) for source in sources]), "borrowed", None
    entries = [entry for entry in table.networks if entry.role == "sampled" or _is_priced(entry, rows)]
    if left_out := len(table.networks) - len(entries):
        note = "; ".join(filter(None, [note, f"{left_out} networks that were not sampled lack rows: left out"]))
    graphs = [_graph(entry) for entry in entries]
    anchors = [entry.role != "sampled" for entry in entries]
    design = design_of(graphs, features_of(graphs, rows), anchors=anchors)
    ms = np.array([entry.time.ms for entry in entries])
    return Ground(table, tuple(entries), design, ms, rows, kind, note)


def _graph(entry: MeasuredNetwork) -> Graph:
    return lower(parse_network(entry.network))


def _is_priced(entry: MeasuredNetwork, rows: Rows | None) -> bool:
    """Whether every layer of a network has a row."""
    try:
        return rows is None or all(rows.times_ms(layer) for layer in _graph(entry).layers)
    except UnmeasuredOp:
        return False


def own_rows(table: Table, sampled: Sequence[MeasuredNetwork]) -> tuple[Rows | None, RowsKind, str | None]:
    """The table's rows, if it has those of all sampled networks; else none, and why."""
    if not table.rows:
        return None, "none", "the table has no rows: layers are priced from measured networks alone"
    lacking = [missing for entry in sampled if (missing := table.missing(_graph(entry).layers))]
    if not lacking:
        return OwnRows(table), "own", None
    return (
        None,
        "none",
        f"{len(lacking)} of {len(sampled)} networks have layers without a row, {lacking[0][0]} first: rows are left "
        f"out, and layers priced from measured networks alone. To use rows: mnas-evo profile TARGET --missing "
        f"--table {table.folder}, with the --space or --arch that holds them",
    )


@dataclass(frozen=True)
class _Judgement:
    """What networks held back tell: figures by method, the curve, coverage, and what was said of each."""

    methods: dict[Method, Graded]
    curve: tuple[CurvePoint, ...]
    coverage_percent: float
    predicted_ms: Matrix


def _judgement(design: Design, ms: Matrix, *, seed: int, progress: Progress) -> _Judgement:
    repeats = REPEATS if len(ms) < ENOUGH else 1
    rounds = [
        _held_back(design, ms, seed=seed + repeat, progress=_part(progress, repeat, repeats))
        for repeat in range(repeats)
    ]
    held = ~design.anchors
    said = [{name: _joined(found, name, len(ms))[held] for name in METHODS} for found in rounds]
    last = CurvePoint(
        networks=int(held.sum()) - max(len(test) for test, _ in rounds[0]),
        quality=mean_quality([quality(found["combined"], ms[held]) for found in said]),
    )
    covered = [
        coverage_percent(judged.said.low, judged.said.high, ms[test]) for found in rounds for test, judged in found
    ]
    return _Judgement(
        {name: mean_graded([graded(found[name], ms[held]) for found in said]) for name in METHODS},
        (*_curve(design, ms, seed=seed, progress=progress), last),
        float(np.mean(covered)),
        said[0]["combined"],
    )


def _write(folder: Path, predictor: LatencyPredictor, form: PredictorForm) -> None:
    model = predictor.model
    write_text(folder / "correction.txt", model.correction.booster.model_to_string() if model.correction else "")
    if isinstance(rows := model.features.rows, BorrowedRows):
        write_borrowed(folder / "borrowed.csv", rows)
    else:
        (folder / "borrowed.csv").unlink(missing_ok=True)
    write_form(folder / PREDICTOR, form)


def _part(progress: Progress, repeat: int, repeats: int) -> Callable[[float], None]:
    return lambda share: progress(0.8 * (repeat + share) / repeats, "pricing networks held back")


_Round = list[tuple[NDArray[np.int64], Judged]]


def _held_back(design: Design, ms: Matrix, *, seed: int, progress: Callable[[float], None]) -> _Round:
    """Every method's prices of each fifth of the networks, fitted on the others."""
    found = []
    for number, (rest, test) in enumerate(design.folds(TESTS, seed=seed)):
        progress(number / TESTS)
        found.append((test, judge(design.take(rest), ms[rest], design.take(test), seed=seed)))
    return found


def _joined(found: _Round, method: Method, n: int) -> Matrix:
    """A method's prices of n networks, nan for anchors."""
    joined = np.full(n, np.nan)
    for test, judged in found:
        joined[test] = judged.by_method[method]
    return joined


def _curve(design: Design, ms: Matrix, *, seed: int, progress: Progress) -> list[CurvePoint]:
    """Quality of fits on fewer networks, on the same networks held back; anchors stay."""
    parts = design.folds(TESTS, seed=seed)
    anchors = np.flatnonzero(design.anchors)
    judged = np.flatnonzero(~design.anchors)
    sizes = [size for size in CURVE if size < len(judged) - max(len(test) for _, test in parts)]
    points = []
    for number, size in enumerate(sizes):
        progress(0.8 + 0.2 * number / len(sizes), f"fitting {size} networks")
        guessed = np.empty(len(ms))
        for rest, test in parts:  # in the order of a shuffle, for the networks of a table ascend
            shuffled = np.random.default_rng([seed, 6]).permutation(rest[~design.anchors[rest]])
            few = np.concatenate([shuffled[:size], anchors])
            model, _ = fit_model(design.take(few), ms[few], seed=seed)
            guessed[test] = model.ms(model.of_design(design.take(test)))
        points.append(CurvePoint(networks=size, quality=quality(guessed[judged], ms[judged])))
    return points
