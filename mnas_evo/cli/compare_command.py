"""The command that compares search algorithms. Heavy imports stand inside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas_evo.cli.search_commands import algorithm_settings
from mnas_evo.cli.terminal import ACCURACY_HELP, JsonOption, print_json, print_table, stage

if TYPE_CHECKING:
    from mnas_evo.comparing.forms import Comparison
    from mnas_evo.comparing.statistics import Figure, PairTest

_DEFAULT = "surrogate-nsga2,nsga2,evolution,rl,random"


def compare(
    accuracy: Annotated[
        str,
        typer.Option(help=ACCURACY_HELP),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the comparison; runs that are in it are gone on with.")],
    space: Annotated[str, typer.Option(help="A space's name or TOML file.")] = "paper",
    table: Annotated[
        list[str] | None,
        typer.Option(help="Latency table; several: one objective a device. None needed where latency plays no part."),
    ] = None,
    algorithms: Annotated[
        str, typer.Option(help="With commas between; settings of one after colons: nsga2:population=50")
    ] = _DEFAULT,
    seeds: Annotated[int, typer.Option(help="Runs of each algorithm, of seeds 0 and up.", min=1)] = 10,
    evaluations: Annotated[int, typer.Option(help="Budget of each run in distinct architectures.", min=1)] = 300,
    population: Annotated[int | None, typer.Option(help="Of the algorithms that have one.")] = None,
    reward: Annotated[
        str | None, typer.Option(help="What rl and evolution maximise: soft, hard (MnasNet) or absolute (TuNAS).")
    ] = None,
    target_ms: Annotated[
        list[float] | None,
        typer.Option(help="Latency their reward aims at; several: a searcher each. The limit, or the space's median."),
    ] = None,
    objectives: Annotated[
        str, typer.Option(help="Any of top1, latency (of several tables: latency:NAME), params, macs; at least two.")
    ] = "top1,latency",
    limit: Annotated[list[str] | None, typer.Option(help="Such as latency=80 (ms); may be repeated.")] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="A side of the practical box, such as top1=85; may be repeated. The median of all for the others."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Limits on the cost at which best top-1 is told: 5,10,20 (ms). Quartiles of the front."),
    ] = None,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="CSV of architecture and top1 to judge all by, such as means where searches saw one training."
        ),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            help="Searches side by side where accuracy is predicted; else what evaluates for one, ray or HOST:PORT too."
        ),
    ] = "1",
    json: JsonOption = False,
) -> None:
    """Compare search algorithms fairly: same space, sources and budget, several seeds each, differences tested.

    Tells how much of the front each covers, how sure the differences are, and best top-1 within limits on the cost.
    Each run is an ordinary search in OUT/runs. Stopped or killed, the same command goes on; with more seeds,
    algorithms or evaluations it adds to what is there. OUT/report.html shows it all.

    Example: mnas-evo compare --space digits --table my-laptop --accuracy surrogate:trained.csv
    --algorithms nsga2,nsga2:population=50,random --seeds 10 --evaluations 300 --out comparisons/first
    """
    from mnas_evo.accuracy.evaluating import parse_workers
    from mnas_evo.comparing.compare import Asked
    from mnas_evo.comparing.compare import compare as run_comparison
    from mnas_evo.comparing.runs import CompareRequest
    from mnas_evo.report.page import write_report
    from mnas_evo.search.run import SearchRequest

    request = SearchRequest(
        space,
        tuple(table or ()),
        accuracy,
        settings=algorithm_settings(population, reward, target_ms, objectives=objectives),
        evaluations=evaluations,
        objectives=objectives,
        limits=tuple(limit or ()),
        workers=parse_workers(workers),
    )
    asked = Asked(tuple(box or ()), _numbers(at), judge)
    with stage("comparing") as report:
        found = run_comparison(out, CompareRequest(tuple(algorithms.split(",")), seeds, request), asked, report=report)
    page = write_report(out, out / "report.html")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _print(found)
    print(page)


def _numbers(text: str | None) -> tuple[float, ...]:
    from math import isfinite

    from mnas_evo.errors import RequestError

    try:
        found = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        found = (float("nan"),)
    if not all(isfinite(number) and number > 0 for number in found):
        raise RequestError(f"cannot read --at {text!r}: write limits on the cost as 5,10,20")
    return tuple(dict.fromkeys(found))


def _print(found: "Comparison") -> None:
    from mnas_evo.comparing.words import corner, quantity, reward_words

    at = list(next(iter(found.algorithms.values())).best_top1_at)
    rows = [
        (
            name,
            _cell(one.hypervolume_percent),
            _cell(one.box_hypervolume_percent),
            _cell(one.igd_plus, digits=4),
            *(_cell(one.best_top1_at[limit]) for limit in at),
            _cell(one.evaluations, digits=0),
            _cell(one.draws, digits=0),
            ", ".join(f"{reason} {count}" for reason, count in one.ended.items()),
        )
        for name, one in found.algorithms.items()
    ]
    limits = (f"top-1 % at {quantity(found.cost or '', float(limit))}" for limit in at)
    columns = ("algorithm", "hypervolume %", "in the box %", "IGD+", *limits, "distinct", "draws", "ended")
    print_table(f"mean ± deviation over {found.seeds} seeds, percent of {found.against}", columns, rows)
    print(f"reference points: whole {corner(found.whole.point)}; box {corner(found.box.point)}")
    _print_tests("hypervolume", found.tests)
    for one in found.rewards:
        _print_tests(f"best reward, {reward_words(one, found.cost)}", one.tests)
    print(found.answer)


def _print_tests(what: str, tests: "tuple[PairTest, ...]") -> None:
    if not tests:
        return
    rows = [
        (
            f"{test.a} - {test.b}",
            *("-" if value is None else f"{value:.3g}" for value in (test.p, test.p_alone, test.effect)),
            "significant" if test.significant else "",
        )
        for test in tests
    ]
    print_table(f"{what}: Mann-Whitney tests", ("pair", "p, Holm", "p alone", "A12", ""), rows)


def _cell(figure: "Figure", *, digits: int = 2) -> str:
    if figure.mean is None:
        return "-"
    spread = f" ± {figure.sd:.{digits}f}" if figure.sd else ""
    return f"{figure.mean:,.{digits}f}{spread}"
