"""`mnas-evo evaluate`: a trained network on test images and on a device."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import DATA_HELP, JsonOption, print_json, stage, tell


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="The model.pt of a training.")],
    data: Annotated[str, typer.Option(help=f"{DATA_HELP} Its test images are used.")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and confusion.csv.")],
    on: Annotated[str, typer.Option(help="Target on which its latency is measured.")] = "local",
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Test a trained network: accuracy, precision, recall, F1, calibration, and its latency on a device."""
    from dataclasses import asdict

    from mnas_evo.devices.target import opened, parse_target, shown_on
    from mnas_evo.finalists.evaluation import evaluate as evaluate_on
    from mnas_evo.training.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    with stage("evaluating") as report, opened(parse_target(on), listen=listen, say=tell) as device:
        form = evaluate_on(out, loaded, data=data, device=device, progress=shown_on(device, report))
    if json:
        document = form.model_dump(exclude={"format", "metrics"})
        print_json({**document, **asdict(form.metrics)})
        return
    print(f"{form.network}\non {form.images} test images of {form.data}:")
    for name in ("top1", "top5", "precision", "recall", "f1", "ece"):
        print(f"  {name:<10} {getattr(form.metrics, name):6.2f} %")
    print(f"  {'loss':<10} {form.metrics.loss:6.4f}")
    print(f"  {'latency':<10} {form.latency_ms:.4g} ms, spread {form.latency_spread_percent:.1f} % ({form.device})")
