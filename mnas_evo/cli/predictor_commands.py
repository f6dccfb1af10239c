"""Commands about latency predictors. Heavy imports stand inside the commands, for a quick --help."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas_evo.cli.terminal import JsonOption, print_json, print_table, stage

if TYPE_CHECKING:
    from mnas_evo.latency.form import HeldOut
    from mnas_evo.latency.judging import Method
    from mnas_evo.latency.scoring import Graded, Quality
    from mnas_evo.space.space import SearchSpace

_WORST = 10
_WORST_SHOWN = 3
_FIGURES = ("mape", "w1", "w5", "w10", "kendall", "rmse_ms", "spearman")


def fit(
    table: Annotated[Path, typer.Option("--table", help="Folder of a table that was profiled or imported here.")],
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Another device's table, whose layers, rescaled, stand in for rows that this one lacks. May be "
            "repeated; 5 measured networks are enough then.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the folds and the trees.", min=0)] = 0,
    json: JsonOption = False,
) -> None:
    """Fit the latency predictor on a table's measured networks and say how good it is, out of fold.

    The sum of rows is calibrated by what the networks' graphs say; without rows, layers are priced from the networks
    alone. A LightGBM correction is taken only where it lowers the error beyond its noise. All is chosen within the
    networks fitted on, and judged on networks held back.

    Examples: mnas-evo fit --table my-phone; mnas-evo fit --table new-phone --from my-phone --from my-laptop
    """
    from mnas_evo.latency.fitting import fit as fit_table
    from mnas_evo.latency.form import held_out
    from mnas_evo.latency.intervals import FEWEST_FOR_INTERVALS
    from mnas_evo.latency.table import find_table

    with stage("fitting") as report:
        predictor = fit_table(
            find_table(table), sources=[find_table(one) for one in sources or ()], seed=seed, progress=report
        )
        report(1.0, "done")
    form = predictor.form
    assert form is not None, "a fit has a form"
    worst = _worst(held_out(predictor.table, form))
    if json:
        curve = [{"networks": point.networks, **_figures(point.quality)} for point in form.curve]
        print_json(
            {
                "train": form.networks,
                "test": form.networks,
                "noise_percent": form.noise_percent,
                **_methods(form.methods, form.chosen),
                "rows": form.rows,
                "coverage_percent": form.coverage_percent,
                "learning_curve": curve,
                "worst": worst,
            }
        )
        return
    _print_methods(f"{form.networks} networks, out of fold", form.methods, form.chosen)
    if form.rows_note:
        print(form.rows_note)
    if form.rows == "borrowed":
        own = len(predictor.table.rows)
        print(f"layers without a row of their own ({own} have one) are priced by {', '.join(form.sources)}, rescaled")
    noise = "not known" if form.noise_percent is None else f"{form.noise_percent:.2f} %"
    print(f"noise of the measured times: {noise}; no predictor can be judged finer than that")
    print(form.correction_words)
    if form.networks < FEWEST_FOR_INTERVALS:
        print(f"what 90 % intervals cover is not known from fewer than {FEWEST_FOR_INTERVALS} networks")
    else:
        print(f"90 % intervals cover {form.coverage_percent:.0f} % of networks that the fit has not seen")
    print("error by number of networks: " + ", ".join(f"{p.networks}: {p.quality.mape:.2f} %" for p in form.curve))
    print("worst: " + "; ".join(f"{one['percent']:+.1f} % {one['network']}" for one in worst[:_WORST_SHOWN]))


def score(
    space: Annotated[str, typer.Option(help="The space they come from: its name or TOML file.")],
    train: Annotated[int, typer.Option(help="How many of them are fitted on; the others are predicted.", min=5)],
    networks: Annotated[Path | None, typer.Option(help="CSV of measured networks: columns network and ms.")] = None,
    top1: Annotated[
        Path | None, typer.Option("--top1", help="CSV of evaluated networks instead: columns architecture and top1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split.", min=0)] = 0,
    json: JsonOption = False,
) -> None:
    """Judge the latency predictor, or the surrogate of top-1, on networks that were measured or trained elsewhere.

    So many of them, drawn at random, are fitted on, with no table of rows; what is said of the others is compared with
    what is known of them.

    Examples: mnas-evo score --networks measured.csv --space mbconv-e146 --train 100;
    mnas-evo score --top1 trained.csv --space mbconv-e146 --train 200
    """
    from mnas_evo.errors import RequestError
    from mnas_evo.latency.judging import score as score_networks
    from mnas_evo.latency.measured_networks import read_measured_csv
    from mnas_evo.space.space_file import load_space

    known = load_space(space)
    if (networks is None) == (top1 is None):
        raise RequestError("give one of --networks, for latencies, and --top1, for accuracies")
    if networks is None:
        assert top1 is not None
        _score_top1(top1, known, train=train, seed=seed, json=json)
        return
    measured = read_measured_csv(networks, task=known.frame)
    found = score_networks(measured, space=known, train=train, seed=seed)
    if json:
        print_json(
            {
                "train": train,
                "test": len(measured) - train,
                "noise_percent": None,
                **_methods(found.methods, found.chosen),
                "coverage_percent": found.coverage_percent,
            }
        )
        return
    _print_methods(f"fitted on {train} networks, {len(measured) - train} predicted", found.methods, found.chosen)
    print("no rows: layers are priced from measured networks alone; sum is that of the graph's statistics")
    print(f"90 % intervals cover {found.coverage_percent:.0f} % of the networks predicted")


def predict(
    table: Annotated[Path, typer.Option("--table", help="Folder of the latency table, or the name of a shipped one.")],
    arch: Annotated[list[str] | None, typer.Argument(help="Names, strings, RUN#rank or files of strings.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of strings, one a line.")] = None,
    by_block: Annotated[bool, typer.Option("--by-block", help="Also each block's share.")] = False,
    json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a table's device, with a 90 % interval.

    What a string leaves unsaid (input, classes) is taken from the table's networks, else 224x224x3 and 1000. What lies
    outside the measured range or space is said. A table of rows alone gives their bare sum, without an interval.
    """
    import numpy as np

    from mnas_evo.cli.architectures import read_arch
    from mnas_evo.errors import RequestError
    from mnas_evo.latency.predictor import load_predictor
    from mnas_evo.latency.table import find_table
    from mnas_evo.space.architecture import Frame
    from mnas_evo.space.lowering import lower
    from mnas_evo.space.notation import format_network, parse_network

    predictor = load_predictor(find_table(table))
    measured = predictor.table.networks
    task = parse_network(measured[0].network).frame if measured else Frame()
    texts = [*(arch or ()), *([str(file)] if file else ())]
    if not texts:
        raise RequestError("nothing to predict: give architectures, or --file")
    asked = [(text, network) for text in texts for network in read_arch(text, task=task)]
    networks = [network for _, network in asked]
    said = predictor.predict_networks(networks)
    rows = []
    for network, ms, low, high in zip(networks, said.value, said.low, said.high, strict=True):
        row: dict[str, Any] = {
            "network": format_network(network),
            "ms": float(ms),
            "low_ms": float(low) if np.isfinite(high) else None,
            "high_ms": float(high) if np.isfinite(high) else None,
            "notes": predictor.notes(network, float(ms)),
        }
        if by_block:
            (row["blocks_ms"],) = predictor.by_place([lower(network)])
        rows.append(row)
    if json:
        print_json(rows)
        return
    print_table(
        f"on {predictor.table.name} ({predictor.table.device.soc})",
        ("ms", "from ms", "to ms", "network"),
        [(f"{r['ms']:.4g}", *(_end(r[end]) for end in ("low_ms", "high_ms")), r["network"]) for r in rows],
    )
    for (text, _), row in zip(asked, rows, strict=True):
        name = f"{text}, {row['ms']:.4g} ms"
        for note in row["notes"]:
            print(f"{name}: {note}")
        if by_block:
            shares = ", ".join(f"{block} {ms:.4g}" for block, ms in row["blocks_ms"].items())
            print(f"{name}, by block: {shares}")


def _score_top1(path: Path, space: "SearchSpace", *, train: int, seed: int, json: bool) -> None:
    from dataclasses import asdict

    from mnas_evo.accuracy.surrogate import score_top1

    found = score_top1(path, space=space, train=train, seed=seed)
    out_of_fold = {name: asdict(quality) for name, quality in found.out_of_fold.items()}
    if json:
        chosen = {"name": found.chosen, **asdict(found.held_back)}
        document = {"train": train, "test": found.test, "chosen": chosen, "out_of_fold": out_of_fold}
        print_json({**document, "coverage_percent": found.coverage_percent})
        return
    rows = [(name, *_ranks(quality), "chosen" if name == found.chosen else "") for name, quality in out_of_fold.items()]
    held = ("held back", *_ranks(asdict(found.held_back)), f"{found.test} networks")
    columns = ("model, out of fold", "Kendall", "Spearman", "mean error, points", "")
    print_table(f"top-1 by fits on {train} networks", columns, [*rows, held])
    print(f"90 % intervals cover {found.coverage_percent:.0f} % of the networks held back")


def _ranks(quality: dict[str, float]) -> tuple[str, str, str]:
    return f"{quality['kendall']:.3f}", f"{quality['spearman']:.3f}", f"{quality['mae']:.3f}"


def _end(ms: float | None) -> str:
    """An end of an interval; - where there is none."""
    return "-" if ms is None else f"{ms:.4g}"


def _methods(methods: "Mapping[Method, Graded]", chosen: "Method") -> dict[str, Any]:
    """The keys of `methods`, the fifths and `chosen`, as both commands print them."""
    return {
        "methods": {name: _figures(found.whole) for name, found in methods.items()},
        "fastest_fifth": {name: _figures(found.fastest) for name, found in methods.items()},
        "slowest_fifth": {name: _figures(found.slowest) for name, found in methods.items()},
        "chosen": {"name": chosen, **_figures(methods[chosen].whole)},
    }


def _figures(quality: "Quality") -> dict[str, float]:
    return {name: getattr(quality, name) for name in _FIGURES}


def _print_methods(title: str, methods: "Mapping[Method, Graded]", chosen: "Method") -> None:
    columns = ("method", "MAPE %", "within 1 %", "5 %", "10 %", "RMSE ms", "Kendall", "Spearman")
    rows = []
    for name, found in methods.items():
        whole = found.whole
        shares = (f"{value:.1f}" for value in (whole.w1, whole.w5, whole.w10))
        ranks = (f"{whole.rmse_ms:.3g}", f"{whole.kendall:.3f}", f"{whole.spearman:.3f}")
        fifths = (f"{found.fastest.mape:.2f}", f"{found.slowest.mape:.2f}")
        rows.append((name, f"{whole.mape:.2f}", *shares, *ranks, *fifths, "chosen" if name == chosen else ""))
    print_table(title, (*columns, "fastest fifth %", "slowest fifth %", ""), rows)


def _worst(networks: "Sequence[HeldOut]") -> list[dict[str, Any]]:
    """The networks that are furthest off, out of fold, with their layers."""
    from mnas_evo.space.lowering import lower
    from mnas_evo.space.notation import parse_network

    return [
        {
            "network": one.network,
            "measured_ms": one.measured_ms,
            "predicted_ms": one.predicted_ms,
            "percent": one.off_percent,
            "layers": [layer.spec.key for layer in lower(parse_network(one.network)).layers],
        }
        for one in sorted(networks, key=lambda one: -abs(one.off_percent))[:_WORST]
        if one.network is not None
    ]
