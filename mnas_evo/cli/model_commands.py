"""Commands about single networks: describe, train, evaluate, export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mnas_evo.cli.terminal import JsonOption, print_json, print_table, stage


def describe(
    arch: Annotated[str, typer.Argument(help="A name such as mnasnet-a1, a string with /, RUN#rank, a file.")],
    resolution: Annotated[int | None, typer.Option(help="Height and width of the input.", min=1)] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the input.", min=1)] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", min=1)] = None,
    json: JsonOption = False,
) -> None:
    """Show a network: parameters, multiply-adds, memory and every layer.

    Example: mnas-evo describe mnasnet-a1 --resolution 160
    """
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.space.lowering import lower
    from mnas_evo.space.notation import format_network

    network = read_one(arch)
    frame = network.frame
    network = network.with_task(
        height=resolution or frame.height,
        width=resolution or frame.width,
        channels=channels or frame.channels,
        classes=classes or frame.classes,
    )
    graph = lower(network)
    layers: list[dict[str, Any]] = [
        {
            "place": place,
            "key": layer.spec.key,
            "out_shape": list(layer.out_shape),
            "params": layer.params,
            "macs": layer.macs,
        }
        for place, layer in zip(graph.places, graph.layers, strict=True)
    ]
    if json:
        print_json(
            {
                "network": format_network(network),
                "params": graph.params,
                "macs": graph.macs,
                "activation_bytes": 4 * graph.peak_elements,
                "layers": layers,
                "graph": graph.to_json(),
            }
        )
        return
    print_table(
        "",
        ("place", "output", "params", "M multiply-adds", "layer"),
        [
            (
                layer["place"],
                "x".join(str(n) for n in layer["out_shape"]),
                f"{layer['params']:,}",
                f"{layer['macs'] / 1e6:.2f}",
                layer["key"],
            )
            for layer in layers
        ],
    )
    print(format_network(network))
    print(
        f"{graph.params:,} parameters, {graph.macs / 1e6:.1f} M multiply-adds, "
        f"{4 * graph.peak_elements / 1e6:.2f} MB of float32 activations at the most"
    )


def train(
    arch: Annotated[str, typer.Argument(help="A name, a string, or RUN#rank.")],
    data: Annotated[str, typer.Option(help="A data set's name: digits")],
    out: Annotated[Path, typer.Option(help="Folder for model.pt and training.json; one that exists is gone on with.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or TOML file.")] = "quick",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", min=0, max=2**31 - 1)] = 0,
) -> None:
    """Train one network to the end. Stopped or killed, the same command goes on with the epoch it was at."""
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.data.datasets import search_data
    from mnas_evo.finalists.final_training import TrainingRequest, train_final
    from mnas_evo.training.recipe import load_recipe
    from mnas_evo.training.task import task_of

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    request = TrainingRequest(read_one(arch, task=task_of(search_data(data))), data, chosen, seed)
    with stage("training") as report:
        train_final(
            out,
            request,
            epoch_done=lambda epoch, total: report(epoch.number / total, f"validation top-1 {epoch.top1:.2f} %"),
        )
    print(f"{out / 'model.pt'}; next: mnas-evo evaluate {out / 'model.pt'} --data {data} --out {out}")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="The model.pt of a training.")],
    data: Annotated[str, typer.Option(help="A data set's name; its test images are used.")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and confusion.csv.")],
    on: Annotated[str, typer.Option(help="Target on which its latency is measured.")] = "local",
    json: JsonOption = False,
) -> None:
    """Test a trained network: accuracy, precision, recall, F1, calibration, and its latency on a device."""
    from dataclasses import asdict

    from mnas_evo.devices.target import opened, parse_target
    from mnas_evo.finalists.evaluation import evaluate as evaluate_on
    from mnas_evo.training.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    with opened(parse_target(on)) as device, stage("evaluating") as report:
        form = evaluate_on(out, loaded, data=data, device=device, progress=report)
    if json:
        document = form.model_dump(exclude={"format", "metrics"})
        print_json({**document, **asdict(form.metrics)})
        return
    print(f"{form.network}\non {form.images} test images of {form.data}:")
    for name in ("top1", "top5", "precision", "recall", "f1", "ece"):
        print(f"  {name:<10} {getattr(form.metrics, name):6.2f} %")
    print(f"  {'loss':<10} {form.metrics.loss:6.4f}")
    print(f"  {'latency':<10} {form.latency_ms:.4g} ms, spread {form.latency_spread_percent:.1f} % ({form.device})")


def export(
    checkpoint: Annotated[Path, typer.Argument(help="The model.pt of a training.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
) -> None:
    """Write a trained network as ONNX, checked against torch, with classes and preprocessing inside."""
    from mnas_evo.finalists.export import export_onnx
    from mnas_evo.training.checkpoint import load_checkpoint

    found = export_onnx(load_checkpoint(checkpoint), out)
    print(f"{found.path}: outputs agree with torch to {found.relative_difference:.1e} relative")
