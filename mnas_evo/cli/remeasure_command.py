"""`mnas-evo remeasure`: a front, back on the device."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.search_commands import print_front
from mnas_evo.cli.terminal import JsonOption, print_json, stage, tell


def remeasure(
    run: Annotated[Path, typer.Argument(help="Folder of a search.")],
    top: Annotated[int, typer.Option(help="How many of the front: its knee, its ends, a spread between.", min=1)] = 12,
    on: Annotated[str, typer.Option(help="The target that the table was measured on.")] = "local",
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="Time to spend on the device.")] = 5,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency budget, ms; without one the knee is proposed.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure the front's networks on the device, redraw it from what they really take, and propose one to train.

    With --target-ms it proposes the most accurate network that was measured to run within, else the knee.
    """
    from dataclasses import asdict

    from mnas_evo.devices.target import opened, parse_target, shown_on
    from mnas_evo.finalists.choose import choose
    from mnas_evo.finalists.remeasure import remeasure as measure
    from mnas_evo.search.front import candidates, front
    from mnas_evo.search.run import open_run

    with stage("re-measuring") as report, opened(parse_target(on), listen=listen, say=tell) as device:
        found = measure(run, device, top=top, minutes=minutes, progress=shown_on(device, report))
    form, archive = open_run(run)
    with archive:
        best = front(candidates(archive), form.objectives)
    if not json:
        print_front(f"front of {run}, measured", best, form.objectives)
        print(found.in_words())
    proposed = choose(best, target_ms=target_ms)
    rank = best.index(proposed) + 1
    if json:
        print_json({**asdict(found), "proposed": {"rank": rank, "network": proposed.network}})
        return
    why = "the front's knee" if target_ms is None else f"the most accurate within {target_ms:g} ms"
    print(f"rank {rank} is {why}; next: mnas-evo train {run}#{rank} --data DATA --out DIR")
