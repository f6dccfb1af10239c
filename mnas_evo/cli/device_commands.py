"""Commands about devices and their tables. Heavy imports stand inside the commands, for a quick --help."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import JsonOption, print_json, print_table, stage, tell


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
