"""`mnas-evo scale`: networks over widths and input sizes, how fast and how accurate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas_evo.cli.terminal import DATA_HELP, JsonOption, WorkersOption, print_json, print_table, stage, tell

if TYPE_CHECKING:
    from mnas_evo.scaling.points import Point, Study
    from mnas_evo.space.architecture import Network

_WIDTHS = "0.35,0.5,0.75,1,1.3,1.4"
_RESOLUTIONS = "96,128,160,192,224"


def scale(
    arch: Annotated[list[str], typer.Argument(help="Names, strings, RUN#rank or files of strings.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; one that exists is gone on with, or grows.")],
    data: Annotated[
        str | None, typer.Option(help=f"{DATA_HELP} Not needed with --no-train; then networks keep their classes.")
    ] = None,
    widths: Annotated[
        str, typer.Option(help="Width multipliers (the paper's depth multiplier), with commas between.")
    ] = _WIDTHS,
    resolutions: Annotated[str, typer.Option(help="Heights and widths of the input, pixels.")] = _RESOLUTIONS,
    cross: Annotated[
        bool,
        typer.Option(
            "--cross", help="Not every pair: all widths at the largest input, all inputs at width 1, as in the figure."
        ),
    ] = False,
    table: Annotated[
        Path | None, typer.Option("--table", help="Latency table, folder or name, whose predictor tells the latencies.")
    ] = None,
    on: Annotated[str | None, typer.Option(help="Target on which they are measured instead, such as local.")] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="Time to spend on the device.", min=0)] = 5,
    recipe: Annotated[str, typer.Option(help="How each is trained: a recipe's name or TOML file.")] = "quick",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", min=0, max=2**31 - 1)] = 0,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Only what needs no training: sizes and latencies.")
    ] = False,
    no_beside: Annotated[bool, typer.Option("--no-beside", help="Without MobileNetV2, scaled alike.")] = False,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency budget, ms: which is the most accurate within?", min=0)
    ] = None,
    workers: WorkersOption = "1",
    json: JsonOption = False,
) -> None:
    """Narrow a network or feed it smaller images? Latency and accuracy of both, beside MobileNetV2 scaled alike.

    The study of the MnasNet paper's figure 5, every width at every input size: latencies are predicted by --table or
    measured by --on (without either, multiply-adds stand for them), then each network is trained once, briefly. It says
    beforehand how many trainings that is. Stopped or killed, the same command goes on; with more architectures, widths
    or resolutions it adds to what is there. OUT/points.csv and OUT/report.html hold it all.

    Examples: mnas-evo scale mnasnet-a1 "runs/one#3" --data imagefolder:photos --on local --target-ms 5 --cross
    --workers 4 --out scaled; mnas-evo scale mnasnet-a1 --no-train --on local --out fast-enough
    """
    from mnas_evo.accuracy.evaluating import check_workers, parse_workers
    from mnas_evo.errors import RequestError
    from mnas_evo.latency.table import find_table
    from mnas_evo.report.page import write_report
    from mnas_evo.scaling.study import ScalingRequest, begin, measure, predict
    from mnas_evo.scaling.study import train as train_all
    from mnas_evo.training.recipe import load_recipe

    if data is None and not no_train:
        raise RequestError("give --data, images to train on, or --no-train")
    if table is not None and on is not None:
        raise RequestError("latencies are predicted by --table or measured by --on: give one of them")
    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)
    request = ScalingRequest(
        tuple(network for text in arch for network in _networks(text)),
        data,
        _numbers(widths, "--widths", _WIDTHS),
        tuple(int(number) for number in _numbers(resolutions, "--resolutions", _RESOLUTIONS, whole=True)),
        cross=cross,
        beside=not no_beside,
        recipe=None if no_train else chosen,
        seed=seed,
        target_ms=target_ms,
    )
    found_table = find_table(table) if table is not None else None
    where = _target(on)
    pool = parse_workers(workers)
    check_workers(pool)
    study = begin(out, request)
    tell(_announcement(study, request.recipe, data))
    if found_table is not None:
        study = predict(study, found_table)
    elif where is not None:
        from mnas_evo.devices.target import opened, shown_on

        with stage("measuring") as report, opened(where, listen=listen, say=tell) as device:
            study = measure(study, device, minutes=minutes, progress=shown_on(device, report))
    if request.recipe is not None:
        with stage("training") as report:
            study = train_all(
                study, request.recipe, seed=seed, workers=pool,
                done=lambda done, of: report(done / of, f"{done} of {of} networks"),
            )  # fmt: skip
    page = write_report(out, out / "report.html")
    if json:
        print_json(_document(study))
        return
    _print(study)
    print(page)


def _networks(text: str) -> "list[tuple[str, Network]]":
    """The networks of an ARCH argument with what to call them."""
    from mnas_evo.cli.architectures import read_arch
    from mnas_evo.space.named import NAMED

    folder, mark, rank = text.rpartition("#")
    of_run = mark and rank.isdecimal()
    label = text if text in NAMED else f"{Path(folder).name}#{rank}" if of_run else "network"
    return [(label, network) for network in read_arch(text)]


def _numbers(text: str, option: str, example: str, *, whole: bool = False) -> tuple[float, ...]:
    from mnas_evo.errors import RequestError

    try:
        return tuple(float(int(part) if whole else float(part)) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"cannot read {option} {text!r}: write them as {example}") from error


def _target(text: str | None) -> Any:
    from mnas_evo.devices.target import parse_target

    return parse_target(text) if text is not None else None


def _announcement(study: "Study", recipe: Any, data: str | None) -> str:
    """How much there is to do, before it begins."""
    names = {point.name for point in study.points if point.network in study.asked}
    said = f"{len(study.asked)} scalings of {len(names)} network{'s' if len(names) > 1 else ''}"
    if recipe is None:
        return f"{said}; nothing is trained"
    left, done = len(study.left), len(study.asked) - len(study.left)
    before = f" ({done} have ended)" if done else ""
    epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
    return f"{said}; to do: {left} trainings of {epochs} on {data}{before}, those with small images first"


def _document(study: "Study") -> dict[str, Any]:
    from dataclasses import asdict

    from mnas_evo.scaling.verdict import cost, front, words

    best = front(study)
    form = study.form
    return {
        "data": form.data,
        "networks": form.networks,
        "latency": form.latency.model_dump() if form.latency else None,
        "training": form.training.model_dump(mode="json") if form.training else None,
        "cost": cost(study),
        "target_ms": form.target_ms,
        "points": [{**asdict(point), "on_front": point in best} for point in study.points],
        "words": words(study),
    }


def _print(study: "Study") -> None:
    from mnas_evo.scaling.verdict import front, words

    best = front(study)
    timed = any(point.ms is not None for point in study.points)
    trained = study.form.training is not None
    source = study.form.latency
    times = (f"{source.kind} ms", "from ms", "to ms") if source and timed else ()
    columns = (
        "network",
        "width",
        "input",
        "M multiply-adds",
        "M params",
        *times,
        *(("top-1 %",) if trained else ()),
        "",
    )
    rows = [
        (
            point.name,
            f"{point.width:g}",
            point.resolution,
            f"{point.macs / 1e6:.4g}",
            f"{point.params / 1e6:.3g}",
            *((_ms(point.ms), _ms(point.low_ms), _ms(point.high_ms)) if times else ()),
            *((_top1(point),) if trained else ()),
            "front" if point in best else "",
        )
        for point in study.points
    ]
    print_table(f"{study.folder}{f', on {source.of}' if source and timed else ''}", columns, rows)
    for sentence in words(study):
        print(sentence)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _top1(point: "Point") -> str:
    return f"{point.top1:.2f}" if point.top1 is not None else "failed" if point.failure else "-"
