"""`mnas-evo remeasure`: a front, back on the device."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas_evo.cli.search_commands import print_front
from mnas_evo.cli.terminal import JsonOption, print_json, print_table, stage, tell

if TYPE_CHECKING:
    from mnas_evo.finalists.refitting import RefittedForm
    from mnas_evo.finalists.verdicts import RemeasuredForm
    from mnas_evo.search.front import Candidate

_MARGIN_PERCENT = 5.0  # what a shared machine moves by between hours


def remeasure(
    run: Annotated[Path, typer.Argument(help="Folder of a search.")],
    top: Annotated[
        int,
        typer.Option(help="How many: around the limit if there is one, the front's knee, ends and spread.", min=1),
    ] = 12,
    on: Annotated[str, typer.Option(help="The target that the table was measured on.")] = "local",
    table: Annotated[str | None, typer.Option(help="Of a search on several tables: the one of this target.")] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="Time to spend on the device.")] = 5,
    target_ms: Annotated[
        float | None,
        typer.Option(help="Latency budget, ms; without one the search's own limit or target, else the knee."),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the table's predictor again, with what was measured.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(help="With --refit: fit a copy of the table in this folder; the table stays.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure the front's networks on the device, redraw it from what they really take, and propose one to train.

    Says which predictions were out of their interval, and which networks miss the budget that they were predicted to
    meet. With --target-ms it proposes the most accurate network that was measured to run within, else the knee.
    Stopped, killed, or left by its device, the same command goes on where it was.

    Example: mnas-evo remeasure runs/first --top 36 --on ssh://pi@pi5 --target-ms 80 --refit
    """
    from mnas_evo.devices.target import opened, parse_target, shown_on
    from mnas_evo.errors import Infeasible, RequestError
    from mnas_evo.finalists.choose import choose
    from mnas_evo.finalists.measured_front import measured_front
    from mnas_evo.finalists.refitting import refit as fit_again
    from mnas_evo.finalists.remeasure import remeasure as measure
    from mnas_evo.search.run import open_run

    if into is not None and not refit:
        raise RequestError("--into names the table that --refit writes; give --refit too")
    with stage("re-measuring") as report, opened(parse_target(on), listen=listen, say=tell) as device:
        found = measure(
            run,
            device,
            top=top,
            minutes=minutes,
            progress=shown_on(device, report),
            target_ms=target_ms,
            table=table,
        )
    refitted = None
    if refit:
        with stage("fitting") as report:
            refitted = fit_again(run, into=into, table=table, progress=report)
    form, archive = open_run(run)
    with archive:
        best = measured_front(archive, form.objectives, found.quantity)
    try:
        proposed, why_not = choose(best, target_ms=found.limit_ms), None
    except Infeasible as error:  # told after all else, which is worth knowing all the more
        proposed, why_not = None, error
    if json:
        print_json(_document(found, best, proposed, refitted))
    else:
        print_front(f"front of {run}, measured", best, form.objectives)
        _print_verdicts(found)
        _print_refitted(run, found, refitted)
        if proposed is not None:
            _print_proposed(run, found, best.index(proposed) + 1, proposed)
    if why_not is not None:
        raise why_not


def _print_verdicts(found: "RemeasuredForm") -> None:
    print(found.in_words())
    if outside := found.outside:
        rows = [
            (
                f"{one.predicted_ms:.4g}",
                f"{one.low_ms:.4g} to {one.high_ms:.4g}",
                f"{one.measured_ms:.4g}",
                f"{one.off_percent:+.1f}",
                one.network,
            )
            for one in outside
        ]
        heads = ("predicted ms", "90 % interval", "measured ms", "slower by %", "network")
        print_table(f"{len(outside)} of {len(found.verdicts)} out of their interval", heads, rows)
    for line in found.limit_words():
        print(line)


def _print_refitted(run: Path, found: "RemeasuredForm", refitted: "RefittedForm | None") -> None:
    if refitted is None:
        if not found.as_searched:
            print("the predictor can learn from these times: add --refit (--into DIR for a copy of the table)")
        return
    for line in refitted.in_words():
        print(line)
    print(
        f"a new search uses the refitted predictor: mnas-evo search --table {refitted.table} --run ANOTHER. {run} was "
        "searched with the one before, and goes on only where its table is as it was"
    )
    print("what it finds is again what the predictor underrates most: measure that, too")


def _print_proposed(run: Path, found: "RemeasuredForm", rank: int, proposed: "Candidate") -> None:
    limit = found.limit_ms
    why = "the front's knee" if limit is None else f"the most accurate of this front measured within {limit:g} ms"
    arch = f"{run}#{rank}" if found.quantity == "latency_ms" else proposed.network
    quoted = shlex.quote(arch)
    print(f"rank {rank} is {why}; next: mnas-evo train {quoted} --data DATA --recipe RECIPE --out DIR")
    if limit is not None and 100 * (1 - proposed.quantity("latency_ms") / limit) < _MARGIN_PERCENT:
        margin = 100 * (1 - proposed.quantity("latency_ms") / limit)
        print(
            f"its time is {margin:.1f} % below the limit, which may not hold in another hour: --target-ms "
            f"{limit * (1 - _MARGIN_PERCENT / 100):.3g} leaves {_MARGIN_PERCENT:g} %"
        )


def _document(
    found: "RemeasuredForm",
    best: "list[Candidate]",
    proposed: "Candidate | None",
    refitted: "RefittedForm | None",
) -> dict[str, Any]:
    ranks = {candidate.network: rank for rank, candidate in enumerate(best, start=1)}
    return {
        **asdict(found.found),
        "count": found.found.networks,
        "networks": [one.as_json(found.limit_ms) for one in found.verdicts],
        "outside_interval": [one.network for one in found.outside],
        "quantity": found.quantity,
        "limit_ms": found.limit_ms,
        "refused": list(found.refused),
        "unstable": list(found.unstable),
        "front": [
            {
                "rank": ranks[one.network],
                "network": one.network,
                "top1": one.top1,
                "measured_ms": one.measured_ms,
                "predicted_ms": one.predicted_ms,
            }
            for one in best
        ],
        "proposed": None if proposed is None else {"rank": ranks[proposed.network], "network": proposed.network},
        "refitted": None if refitted is None else {**refitted.model_dump(), "within": refitted.within},
    }
