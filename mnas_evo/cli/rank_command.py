"""The command that judges a source of accuracy by networks trained in full. Heavy imports stand inside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas_evo.cli.terminal import ACCURACY_HELP, JsonOption, WorkersOption, print_json, print_table, stage, tell

if TYPE_CHECKING:
    from mnas_evo.accuracy.contract import Evaluator, Surrogate
    from mnas_evo.accuracy.evaluating import Workers
    from mnas_evo.accuracy.ranking import Estimate, RankCheck
    from mnas_evo.accuracy.trained import TrainedNetwork
    from mnas_evo.space.space import SearchSpace

_WORDS = {"source": "", "params": "parameters", "macs": "multiply-adds"}
_SHOWN = 5


def rank_check(
    against: Annotated[
        Path, typer.Option(help="CSV of networks trained in full: architecture, top1 and, if known, seed and epochs.")
    ],
    accuracy: Annotated[
        str | None,
        typer.Option(help=f"The source to judge: {ACCURACY_HELP}"),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="A space's name or TOML file: for --add, for sources that predict, and for short strings."),
    ] = None,
    add: Annotated[
        int | None,
        typer.Option(help="First draw so many architectures of --space, and train those that the CSV lacks.", min=1),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="How they are trained, each alone: proxy:DATA,epochs=60,recipe=RECIPE.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV that keeps what a source that evaluates said; beside --against if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw, of what is evaluated and of the bootstrap.", min=0)] = 0,
    workers: WorkersOption = "1",
    json: JsonOption = False,
) -> None:
    """Say how well a source of accuracy ranks networks that were trained in full, beside their size alone.

    A cheap source that ranks worse than parameters or multiply-adds is worse than none: a search would be led by it.
    Kendall and Spearman come with 90 % bootstrap intervals. Lines of one architecture with other seeds are averaged.

    With --add the judges are trained too: the first 24 of 60 are those of --add 24, so that a set grows as time
    allows. Stopped or killed, the same command goes on; no network is trained or evaluated twice.

    Examples: mnas-evo rank-check --accuracy proxy:digits,epochs=2 --against trained.csv;
    mnas-evo rank-check --add 24 --by proxy:digits,epochs=30 --space digits --against trained.csv
    """
    from mnas_evo.accuracy.evaluating import parse_workers
    from mnas_evo.accuracy.ranking import rank_check as check
    from mnas_evo.accuracy.trained import read_trained
    from mnas_evo.errors import RequestError
    from mnas_evo.search.run import accuracy_source
    from mnas_evo.space.space_file import load_space

    if accuracy is None and add is None:
        raise RequestError("nothing to do: give --accuracy, a source to judge, or --add, networks to train")
    known_space = load_space(space) if space else None
    where = parse_workers(workers)
    document: dict[str, Any] = {}
    if add is not None:
        document["added"] = _add(against, add, by, known_space, seed=seed, workers=where)
    known = read_trained(against, task=known_space.frame if known_space else None)
    if accuracy is None:
        if json:
            print_json({**document, "networks": len(known)})
        else:
            print(
                f"{against} holds {len(known)} networks; next: mnas-evo rank-check --accuracy SPEC --against {against}"
            )
        return
    source = accuracy_source(accuracy, known_space)
    said = _said(source, accuracy, known, known_space, against=against, out=out, seed=seed, workers=where)
    left_out = {name: top1 for name, top1 in said.items() if isinstance(top1, str)}
    kept = [one for one in known if one.string not in left_out]
    fitted_on = _fitted_on(source, kept)
    if left_out and not json:
        _tell_left_out(left_out, len(known))
    predictors, top1 = _arrays(kept, said)
    found = check(predictors.pop("source"), top1, beside=predictors, seed=seed)
    if json:
        print_json({**document, **_document(found, accuracy, left_out, fitted_on)})
    else:
        _print(found, accuracy, fitted_on)


def _add(
    path: Path, number: int, by: str | None, space: "SearchSpace | None", *, seed: int, workers: "Workers"
) -> dict[str, Any]:
    from mnas_evo.accuracy.contract import Score
    from mnas_evo.accuracy.proxy import ProxyTraining
    from mnas_evo.accuracy.spec import parse_accuracy
    from mnas_evo.accuracy.trained import add_trained, draw_networks
    from mnas_evo.errors import RequestError

    if by is None or space is None:
        raise RequestError("--add draws architectures of --space and trains them --by proxy:DATA,epochs=60: give both")
    trainer = parse_accuracy(by, space)
    if not isinstance(trainer, ProxyTraining):
        raise RequestError(f"--by trains each network alone, by proxy:DATA[,epochs=60,recipe=RECIPE], not by {by!r}")
    if trainer.score is not Score.TOP1:
        raise RequestError(f"what others are judged by is top-1 at the end, not score={trainer.score}: leave it out")
    networks = draw_networks(space, number, seed=seed)
    with stage("training") as report:
        failed = add_trained(
            path, trainer, networks, seed=seed, workers=workers,
            done=lambda done, of: report(done / of, f"{done} of {of} networks"),
        )  # fmt: skip
    for name, reason in failed.items():
        tell(f"gave no top-1 ({reason}): {name}")
    return {"drawn": number, "failed": _reasons(failed)}


def _said(
    source: "Evaluator | Surrogate",
    text: str,
    known: "tuple[TrainedNetwork, ...]",
    space: "SearchSpace | None",
    *,
    against: Path,
    out: Path | None,
    seed: int,
    workers: "Workers",
) -> dict[str, float | str]:
    """What a source says of networks, by their strings, or why it says nothing."""
    from mnas_evo.accuracy.contract import Evaluator
    from mnas_evo.accuracy.evaluating import evaluate_kept, predict_each
    from mnas_evo.errors import RequestError

    networks = [one.network for one in known]
    if not isinstance(source, Evaluator):
        if out is not None:
            raise RequestError(f"--out keeps what is dear to say again, {text!r} predicts; leave it out")
        assert space is not None, "sources that predict are made for a space"
        return predict_each(source, networks, space=space)
    # Named by the source, so that two of them never meet in one file.
    kept = out or against.with_name(f"{against.stem}-{text.partition(':')[0]}-{source.fingerprint[:8]}-{seed}.csv")
    with stage("evaluating") as report:
        return evaluate_kept(
            kept, source, networks, seed=seed, workers=workers,
            done=lambda done, of: report(done / of, f"{done} of {of} networks, in {kept}"),
        )  # fmt: skip


def _fitted_on(source: "Evaluator | Surrogate", known: "list[TrainedNetwork]") -> int:
    """How many of the networks a source has been told of before it was asked."""
    from mnas_evo.accuracy.surrogate import TopOneSurrogate

    return sum(one.string in source.evaluated.top1 for one in known) if isinstance(source, TopOneSurrogate) else 0


def _arrays(known: "list[TrainedNetwork]", said: dict[str, float | str]) -> tuple[dict[str, Any], Any]:
    """What each predictor says of networks, and their known top-1: (n,) each."""
    import numpy as np

    from mnas_evo.space.lowering import lower

    graphs = [lower(one.network) for one in known]
    predictors = {
        "source": [said[one.string] for one in known],
        "params": [graph.params for graph in graphs],
        "macs": [graph.macs for graph in graphs],
    }
    top1 = np.array([one.top1 for one in known])
    return {name: np.array(values, dtype=np.float64) for name, values in predictors.items()}, top1


def _document(found: "RankCheck", accuracy: str, left_out: dict[str, str], fitted_on: int) -> dict[str, Any]:
    from dataclasses import asdict

    best = None if found.best_found is None else {**found.best_found, "by_chance": found.best_by_chance}
    return {
        "accuracy": accuracy,
        "networks": found.networks,
        "left_out": _reasons(left_out),
        "fitted_on": fitted_on,
        "parts": {name: asdict(part) for name, part in found.parts.items()},
        "best_10_among_15": best,
        "kendall_gain_over": {name: asdict(gain) for name, gain in found.gains.items()},
        "verdict": found.verdict,
    }


def _reasons(said: dict[str, str]) -> list[dict[str, str]]:
    return [{"network": name, "reason": reason} for name, reason in said.items()]


def _tell_left_out(left_out: dict[str, str], networks: int) -> None:
    print(f"left out: {len(left_out)} of {networks} networks, of which the source says nothing. The first:")
    for name, reason in list(left_out.items())[:_SHOWN]:
        print(f"  {name}: {reason}")


def _print(found: "RankCheck", accuracy: str, fitted_on: int) -> None:
    rows = []
    for name, part in found.parts.items():
        for one, ranks in part.ranks.items():
            cells = [cell for estimate in (ranks.kendall, ranks.spearman) for cell in _cells(estimate)]
            rows.append((name, part.networks, *cells, _WORDS[one] or accuracy))
        if part.reason:
            rows.append((name, part.networks, *4 * ("-",), part.reason))
    columns = ("of", "networks", "Kendall", "90 % interval", "Spearman", "90 % interval", "ranked by")
    print_table(f"{found.networks} networks trained in full", columns, rows)
    for name, gain in found.gains.items():
        value, interval = _cells(gain)
        print(f"Kendall above that of {_WORDS[name]}: {value} ({interval})")
    if found.best_found is None:
        print("of the best 10 among its best 15: too few networks to tell")
    else:
        counts = ", ".join(f"{_WORDS[name] or accuracy} {count:.3g}" for name, count in found.best_found.items())
        print(f"of the best 10 among its best 15: {counts}; by chance {found.best_by_chance:.3g}")
    if fitted_on:
        print(f"{fitted_on} of these networks are among those {accuracy} was fitted on: it may rank others worse")
    print(f"{accuracy} {found.verdict}")


def _cells(estimate: "Estimate") -> tuple[str, str]:
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}"
