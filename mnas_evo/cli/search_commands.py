"""Commands about spaces and searches: spaces, search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas_evo.cli.terminal import ACCURACY_HELP, JsonOption, WorkersOption, print_json, print_table, stage, tell

if TYPE_CHECKING:
    from mnas_evo.search.front import Candidate
    from mnas_evo.space.space import SearchSpace

_SAMPLE = 4_000
DEFAULT_ALGORITHM = "surrogate-nsga2"  # of search.algorithms, which is not imported for --help


def spaces(
    space: Annotated[
        str | None, typer.Argument(help="A space's name or TOML file, to show in full and check; all if not given.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the search spaces that came with mnas-evo, or show one: its size, its layers, what its networks weigh.

    A TOML file of your own is checked, and all its faults are told at once. Example: mnas-evo spaces my-space.toml
    """
    from mnas_evo.cli.drawing import choices_lines
    from mnas_evo.space.space_file import load_space, space_names

    loaded = [load_space(name) for name in ([space] if space else space_names())]
    entries = [_space_entry(one) for one in loaded]
    if json:
        print_json(entries)
        return
    print_table(
        "",
        ("name", "input", "blocks", "genomes", "architectures", "layers", "M multiply-adds", "M params"),
        [
            (
                entry["name"],
                entry["input"],
                entry["blocks"],
                f"{entry['genomes']:,}",
                f"{entry['architectures']:,}",
                f"{entry['layers']:,}",
                " to ".join(f"{macs / 1e6:.3g}" for macs in entry["macs"]),
                " to ".join(f"{params / 1e6:.3g}" for params in entry["params"]),
            )
            for entry in entries
        ],
    )
    print("layers: rows that a latency table must have; multiply-adds and parameters: the middle 90 % of a sample")
    if space:
        print("\n".join(["", *choices_lines(loaded[0])]))


def _space_entry(space: "SearchSpace") -> dict[str, Any]:
    import numpy as np

    genes = space.sample(_SAMPLE, rng=np.random.default_rng(0))
    frame = space.frame
    middle = (0.05, 0.95)
    return {
        "name": space.name,
        "input": f"{frame.height}x{frame.width}x{frame.channels}",
        "blocks": len(space.blocks),
        "genomes": space.genomes,
        "architectures": space.architectures,
        "layers": len(space.layers()),
        "macs": np.quantile(space.macs(genes), middle).round().astype(int).tolist(),
        "params": np.quantile(space.params(genes), middle).round().astype(int).tolist(),
    }


def search(
    accuracy: Annotated[
        str,
        typer.Option(help=ACCURACY_HELP),
    ],
    run: Annotated[Path, typer.Option(help="Folder of the run; one that exists is gone on with.")],
    space: Annotated[str, typer.Option(help="A space's name or TOML file.")] = "paper",
    table: Annotated[
        list[str] | None,
        typer.Option(help="Latency table; several: one objective a device. None needed where latency plays no part."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(help="device:TARGET, as for profile: measure each batch on the device, instead of --table."),
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="For device:browser: let devices of the local network open the page.")
    ] = False,
    algorithm: Annotated[
        str,
        typer.Option(
            help="surrogate-nsga2, nsga2, rl, evolution or random, with settings of its own: nsga2:population=50"
        ),
    ] = DEFAULT_ALGORITHM,
    evaluations: Annotated[
        int, typer.Option(help="Budget in distinct architectures; three published networks are evaluated beside them.")
    ] = 200,
    population: Annotated[
        int | None, typer.Option(help="Architectures a generation of nsga2, alive of evolution.")
    ] = None,
    reward: Annotated[
        str | None, typer.Option(help="What rl and evolution maximise: soft, hard (MnasNet) or absolute (TuNAS).")
    ] = None,
    target_ms: Annotated[
        list[float] | None,
        typer.Option(
            help="Latency that their reward aims at; several: a searcher each. The limit, or the space's median."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same search.", min=0)] = 0,
    objectives: Annotated[
        str, typer.Option(help="Any of top1, latency (of several tables: latency:NAME), params, macs; at least two.")
    ] = "top1,latency",
    limit: Annotated[list[str] | None, typer.Option(help="Such as latency=80 (ms); may be repeated.")] = None,
    workers: WorkersOption = "1",
    json: JsonOption = False,
) -> None:
    """Search a space for the front of accuracy and latency. Stopped or killed, the same command goes on where it was.

    Latency comes from --table, or with --latency from the device itself, which then stays in the loop: every batch is
    measured there, at a second or so a network, before accuracy is paid for.

    Examples: mnas-evo search --space digits --table my-laptop --accuracy proxy:digits --evaluations 60 --run runs/one;
    mnas-evo search --space digits --latency device:ssh://pi@pi5 --accuracy proxy:digits --workers ray --run runs/pi
    """
    from mnas_evo.accuracy.contract import is_speed
    from mnas_evo.accuracy.evaluating import parse_workers
    from mnas_evo.errors import RequestError
    from mnas_evo.search.front import candidates, front, hypervolume_curve, reference_point
    from mnas_evo.search.on_device import latency_target
    from mnas_evo.search.run import SearchRequest, open_run
    from mnas_evo.search.run import search as run_search

    if listen and latency is None:
        raise RequestError("--listen opens the page of a browser target; give --latency device:browser too")
    request = SearchRequest(
        space,
        tuple(table or ()),
        accuracy,
        algorithm=algorithm,
        settings=algorithm_settings(population, reward, target_ms, objectives=objectives),
        evaluations=evaluations,
        seed=seed,
        objectives=objectives,
        limits=tuple(limit or ()),
        workers=parse_workers(workers),
        device=None if latency is None else latency_target(latency),
    )
    with stage("searching") as report:
        ending = run_search(
            run,
            request,
            progress=lambda done, note: report(done / evaluations, f"{done} {note}"),
            listen=listen,
            say=tell,
        )
    form, archive = open_run(run)
    with archive:
        found = candidates(archive)
        failed = sum(tell.kind == "failure" for tell in archive.tells())
    best = front(found, form.objectives)
    reference = reference_point(found, form.objectives).tolist()
    covered = float(hypervolume_curve(found, form.objectives)[-1])
    if json:
        entries = [
            {
                "network": candidate.network,
                **{name: value.value for name, value in candidate.tell.values.items()},
                "measured_ms": candidate.measured_ms,
            }
            for candidate in best
        ]
        print_json(
            {
                "evaluations": ending.evaluations,
                "distinct": len(found),
                "failed": failed,
                "draws": ending.draws,
                "ended": ending.reason,
                "front": entries,
                "hypervolume": covered,
                "hypervolume_reference": reference,
            }
        )
        return
    print_front(f"front of {ending.evaluations} evaluations in {run}", best, form.objectives)
    worst = "; ".join(f"{name} {abs(value):.4g}" for name, value in zip(form.objectives, reference, strict=True))
    if is_speed(form.accuracy):
        print("speed is that of training, 100 exp(-loss): it ranks networks, and is no top-1")
    print(f"hypervolume {covered:.4g}, up to the worst of the first batch ({worst})")
    if failed:
        print(f"{failed} architectures gave no result; see the column message of the archive's tells")
    if ending.reason != "budget":
        what = (
            "the space or the searcher had nothing new to offer"
            if ending.reason == "exhausted"
            else f"{ending.draws} draws came to {ending.evaluations} architectures; the searcher has collapsed on what "
            "it had, or the limits leave too little"
        )
        print(f"ended before its budget of {evaluations}: {what}")
    if "latency_ms" in form.objectives and form.device is not None:
        print(f"latency was measured; next: mnas-evo train {run}#RANK --data DATA --out DIR")
    elif "latency_ms" in form.objectives:
        print(f"next: mnas-evo remeasure {run}")


def algorithm_settings(
    population: int | None, reward: str | None, target_ms: list[float] | None, *, objectives: str
) -> dict[str, Any]:
    """Those of the settings that were given as options.

    Raises:
        RequestError: a target in ms, and no objective is a latency.
    """
    from mnas_evo.errors import RequestError

    if target_ms and "latency" not in objectives:
        raise RequestError(
            f"--target-ms is a latency, and none is an objective of {objectives!r}; give a target of another cost with "
            "the algorithm: rl:target=300e6"
        )
    given = {"population": population, "reward": reward, "target": tuple(target_ms) if target_ms else None}
    return {name: value for name, value in given.items() if value is not None}


def print_front(title: str, best: "list[Candidate]", objectives: tuple[str, ...]) -> None:
    """The front as a table, ranks from 1 as RUN#rank counts them."""
    from mnas_evo.accuracy.contract import is_speed

    in_search = all(candidate.prediction is None for candidate in best)
    accuracies = [candidate.tell.values["top1"].source for candidate in best if "top1" in candidate.tell.values]
    top1 = "speed %" if any(map(is_speed, accuracies)) else "top-1 %"
    rows = []
    for rank, candidate in enumerate(best, start=1):
        measured = "" if candidate.measured_ms is None else f"{candidate.measured_ms:.4g}"
        values = [_figure(name, candidate.tell.values[name].value) for name in objectives]
        rows.append((rank, *values, measured, candidate.network))
    heads = {"top1": top1, "latency_ms": "ms as searched" if in_search else "predicted ms"}
    shown = (heads.get(name, name.replace("latency_ms:", "ms on ")) for name in objectives)
    columns = ("rank", *shown, "measured ms", "network")
    print_table(title, columns, rows)


def _figure(name: str, value: float) -> str:
    from mnas_evo.search.objectives import is_latency

    return f"{value:.2f}" if name == "top1" else f"{value:.4g}" if is_latency(name) else f"{value:,.0f}"
