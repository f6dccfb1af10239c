"""Commands about devices and their tables. Heavy imports stand inside the commands, for a quick --help."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mnas_evo.cli.terminal import JsonOption, print_json, print_table, stage, tell

TableOption = Annotated[
    Path, typer.Option("--table", help="Folder of the latency table, or the name of a shipped one.")
]


def profile(
    target: Annotated[
        str,
        typer.Argument(
            help="local, local:RUNTIME (onnxruntime, openvino, torch, torch-cuda), ssh://user@host, browser or "
            "adb://SERIAL, with ?threads=1&precision=fp32 if wanted."
        ),
    ],
    table: Annotated[Path, typer.Option("--table", help="Folder for the table; one that exists is added to.")],
    space: Annotated[str | None, typer.Option(help="A space's name or TOML file: all its rows are measured.")] = None,
    arch: Annotated[
        list[str] | None, typer.Option(help="Also these networks: rows and whole. May be repeated.")
    ] = None,
    networks: Annotated[
        int, typer.Option(help="Whole networks sampled from the space, to fit the predictor on.", min=0)
    ] = 100,
    minutes: Annotated[
        float,
        typer.Option(
            help="Time on the device; less if the noise is low sooner. Where it is short, rows of whole networks and "
            "those used most are measured; 0 stands for the fewest passes over all.",
            min=0,
        ),
    ] = 30,
    resolution: Annotated[
        int | None, typer.Option(help="Height and width of the images, instead of the space's own.", min=1)
    ] = None,
    batch: Annotated[int, typer.Option(help="Images that go through a model at once.", min=1)] = 1,
    missing: Annotated[bool, typer.Option("--missing", help="Only the rows that the table lacks.")] = False,
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the order of visits and the sample of networks.", min=0)] = 0,
) -> None:
    """Measure a device into a latency table. Stopped or killed, the same command goes on where it was.

    Every row and network is visited in several shuffled passes, with a reference network between, so that the table
    knows its own noise. It says beforehand what it measures and how long that takes; with little time it measures
    the rows of whole networks, and what is used most.

    Examples: mnas-evo profile local --space paper --table my-laptop --minutes 20;
    mnas-evo profile ssh://pi@pi5 --space paper --table pi5;
    mnas-evo profile browser --listen --space digits --table phone
    """
    from dataclasses import replace

    from mnas_evo.cli.architectures import read_arch
    from mnas_evo.devices.profile import ProfileRequest
    from mnas_evo.devices.profile import profile as measure
    from mnas_evo.devices.target import opened, parse_target, shown_on
    from mnas_evo.space.space_file import load_space

    where = parse_target(target)
    loaded = load_space(space) if space else None
    if loaded and resolution:
        loaded = replace(loaded, frame=replace(loaded.frame, height=resolution, width=resolution))
    task = loaded.frame if loaded else None
    asked = [network for text in arch or () for network in read_arch(text, task=task)]
    if resolution:
        asked = [
            network.with_task(
                height=resolution,
                width=resolution,
                channels=network.frame.channels,
                classes=network.frame.classes,
            )
            for network in asked
        ]
    request = ProfileRequest(loaded, tuple(asked), networks=networks, missing=missing, batch=batch, seed=seed)
    with stage("profiling") as report, opened(where, listen=listen, say=tell) as device:
        found, campaign = measure(
            table,
            device,
            request,
            target=where.without_address(),
            minutes=minutes,
            progress=shown_on(device, report),
            say=tell,
        )
    print(f"{found.device.soc}, {found.device.runtime} {found.device.runtime_version}")
    if campaign is None:
        print(f"{table}: nothing is missing")
        return
    print(
        f"{table}: {len(found.rows)} rows, {len(found.networks)} networks; "
        f"{campaign.passes} passes in {campaign.device_seconds:.0f} s on the device, "
        f"{100 * (campaign.inside_seconds or 0) / max(campaign.device_seconds, 1e-9):.0f} % of it inside the runtime"
    )
    for kind, noise in (("rows", campaign.noise_rows_percent), ("networks", campaign.noise_networks_percent)):
        if noise is not None:
            print(_judgement(kind, noise))
    if campaign.unstable:
        print(
            f"unstable: {len(campaign.unstable)} are known to no better than 3 %; give more --minutes or a quieter "
            f"machine. The worst: {campaign.unstable[0]}"
        )
    if campaign.refused:
        print(f"the device refused {len(campaign.refused)}: {', '.join(campaign.refused[:3])}")
    if any(entry.role == "sampled" for entry in found.networks):
        print(f"next: mnas-evo fit --table {table}")


def fit(
    table: Annotated[Path, typer.Option("--table", help="Folder of a table that was profiled here.")],
    json: JsonOption = False,
) -> None:
    """Fit the latency predictor on a table's measured networks and say how good it is, out of fold.

    The sum of rows is calibrated; a LightGBM correction is admitted only where it lowers the error beyond its noise.
    """
    from dataclasses import asdict

    from mnas_evo.latency.fitting import fit as fit_table
    from mnas_evo.latency.predictor import METHODS
    from mnas_evo.latency.table import find_table

    form = fit_table(find_table(table)).form
    if json:
        methods = {name: asdict(form.methods[name]) for name in METHODS}
        chosen = {"name": form.chosen, **methods[form.chosen]}
        print_json(
            {
                "train": form.networks,
                "test": form.networks,
                "noise_percent": form.noise_percent,
                "methods": methods,
                "chosen": chosen,
                "coverage_percent": form.coverage_percent,
            }
        )
        return
    print_table(
        f"{form.networks} networks, out of fold",
        ("method", "MAPE %", "within 1 %", "5 %", "10 %", "Kendall", ""),
        [
            (
                name,
                *(f"{getattr(form.methods[name], figure):.1f}" for figure in ("mape", "w1", "w5", "w10")),
                f"{form.methods[name].kendall:.3f}",
                "chosen" if name == form.chosen else "",
            )
            for name in METHODS
        ],
    )
    noise = "not known" if form.noise_percent is None else f"{form.noise_percent:.2f} %"
    verdict = "admitted" if form.corrected else "not admitted"
    print(f"noise of the measured times: {noise}; no predictor can be judged finer than that")
    print(
        f"LightGBM correction {verdict}: it takes {form.correction_gain_percent:+.2f} points off the error, "
        f"with a fold-to-fold noise of {form.correction_gain_noise_percent:.2f}"
    )
    print(f"90 % intervals cover {form.coverage_percent:.0f} % of networks that the fit has not seen")


def predict(
    table: TableOption,
    arch: Annotated[list[str] | None, typer.Argument(help="Names, strings, RUN#rank or files of strings.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of strings, one a line.")] = None,
    by_block: Annotated[bool, typer.Option("--by-block", help="Also each block's share.")] = False,
    json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a table's device, with a 90 % interval.

    What a string leaves unsaid (input, classes) is taken from the table's networks.
    """
    from mnas_evo.cli.architectures import read_arch
    from mnas_evo.errors import RequestError
    from mnas_evo.latency.predictor import load_predictor
    from mnas_evo.latency.table import find_table
    from mnas_evo.space.lowering import lower
    from mnas_evo.space.notation import format_network, parse_network

    predictor = load_predictor(find_table(table))
    task = parse_network(predictor.table.networks[0].network).frame
    texts = [*(arch or ()), *([str(file)] if file else ())]
    if not texts:
        raise RequestError("nothing to predict: give architectures, or --file")
    networks = [network for text in texts for network in read_arch(text, task=task)]
    said = predictor.predict_networks(networks)
    rows = []
    for network, ms, low, high in zip(networks, said.value, said.low, said.high, strict=True):
        row: dict[str, Any] = {
            "network": format_network(network),
            "ms": float(ms),
            "low_ms": float(low),
            "high_ms": float(high),
        }
        if by_block:
            graph = lower(network)
            blocks: dict[str, float] = {}
            for place, share in zip(graph.places, predictor.by_layer(graph), strict=True):
                name = place.split(".")[0]
                blocks[name] = blocks.get(name, 0.0) + float(share)
            row["blocks_ms"] = blocks
        rows.append(row)
    if json:
        print_json(rows)
        return
    print_table(
        f"on {predictor.table.name} ({predictor.table.device.soc})",
        ("ms", "from ms", "to ms", "network"),
        [(f"{r['ms']:.4g}", f"{r['low_ms']:.4g}", f"{r['high_ms']:.4g}", r["network"]) for r in rows],
    )
    for row in rows if by_block else ():
        shares = ", ".join(f"{name} {ms:.4g}" for name, ms in row["blocks_ms"].items())
        print(f"ms by block: {shares}")


def tables(json: JsonOption = False) -> None:
    """List the latency tables that came with mnas-evo and those in ./latency_tables."""
    from mnas_evo.latency.table import read_table, shipped_tables

    here = [path.parent for path in sorted(Path("latency_tables").glob("*/device.json"))]
    folders = list({folder.resolve(): folder for folder in (*shipped_tables(), *here)}.values())
    found = [(folder, read_table(folder)) for folder in folders]
    entries = [
        {
            "name": table.name,
            "folder": str(folder),
            "soc": table.device.soc,
            "runtime": f"{table.device.runtime} {table.device.runtime_version}",
            "rows": len(table.rows),
            "networks": len(table.networks),
            "noise_percent": table.noise_percent,
        }
        for folder, table in found
    ]
    if json:
        print_json(entries)
    elif entries:
        names = ("name", "soc", "runtime", "rows", "networks")
        print_table("latency tables", names, [[entry[name] for name in names] for entry in entries])
    else:
        print("no latency tables yet; measure one: mnas-evo profile local --space paper --table latency_tables/NAME")


def _judgement(kind: str, noise_percent: float) -> str:
    """Noise in words: what it means and, where it is high, what to do."""
    text = f"noise of {kind}: {noise_percent:.2f} %"
    if noise_percent > 3:
        return f"{text}: unstable (wanted 3 % at most); give it more --minutes or a quieter machine"
    return text
