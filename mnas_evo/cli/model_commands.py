"""Commands about single networks: describe, train, evaluate, export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mnas_evo.cli.terminal import DATA_HELP, JsonOption, is_unicode, print_json, print_table, stage, tell


def describe(
    arch: Annotated[str, typer.Argument(help="A name such as mnasnet-a1, a string with /, RUN#rank, a file.")],
    resolution: Annotated[int | None, typer.Option(help="Height and width of the input.", min=1)] = None,
    width: Annotated[float, typer.Option(help="Stem and blocks so many times as wide, as .35 to 1.4.")] = 1.0,
    channels: Annotated[int | None, typer.Option(help="Channels of the input.", min=1)] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", min=1)] = None,
    json: JsonOption = False,
) -> None:
    """Show a network: drawn block by block, then every layer, parameters, multiply-adds and memory.

    Example: mnas-evo describe mnasnet-a1 --resolution 160 --width 0.75
    """
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.cli.drawing import draw
    from mnas_evo.space.lowering import lower
    from mnas_evo.space.notation import format_network

    network = read_one(arch)
    if width != 1.0:
        network = network.scaled(width)
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
                "norm_statistics": graph.statistics,
                "macs": graph.macs,
                "activation_bytes": 4 * graph.peak_elements,
                "layers": layers,
                "graph": graph.to_json(),
            }
        )
        return
    print(draw(network, unicode=is_unicode()))
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
    peak, place = max(
        (layer.peak_elements, place) for place, layer in reversed(list(zip(graph.places, graph.layers, strict=True)))
    )
    print(
        f"{graph.params:,} parameters (batch norm keeps {graph.statistics:,} statistics more), "
        f"{graph.macs / 1e6:.1f} M multiply-adds, "
        f"{4 * peak / 1e6:.2f} MB of float32 activations at the most (in {place})"
    )


def train(
    arch: Annotated[str, typer.Argument(help="A name, a string, or RUN#rank.")],
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    out: Annotated[Path, typer.Option(help="Folder for model.pt and training.json; one that exists is gone on with.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or TOML file.")] = "quick",
    resolution: Annotated[
        int | None, typer.Option(help="Height and width that images are brought to; their own if not given.", min=1)
    ] = None,
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
    task = task_of(search_data(data, size=(resolution, resolution) if resolution else None))
    request = TrainingRequest(read_one(arch, task=task), data, chosen, seed)
    with stage("training") as report:
        train_final(
            out,
            request,
            epoch_done=lambda epoch, total: report(epoch.number / total, f"validation top-1 {epoch.top1:.2f} %"),
        )
    print(f"{out / 'model.pt'}; next: mnas-evo evaluate {out / 'model.pt'} --data {data} --out {out}")


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


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT|ARCH", help="The model.pt of a training, or a name, a string, RUN#rank."),
    ],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="For an ARCH: a state dict of torchvision, timm or efficientnet_lite_pytorch (.pth, .safetensors)."
        ),
    ] = None,
    norm_eps: Annotated[
        float | None,
        typer.Option(help="Batch norm's eps in those weights, where it is not the source's.", min=0.0, max=0.5),
    ] = None,
) -> None:
    """Write a network as ONNX, checked against torch, with classes and preprocessing inside.

    A checkpoint brings its weights; an architecture takes --weights, or fresh ones to be measured elsewhere.

    Example: mnas-evo export efficientnet-lite0 --weights efficientnet-lite0.pth --out lite0.onnx
    """
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.errors import RequestError
    from mnas_evo.finalists.export import export_onnx
    from mnas_evo.training.checkpoint import checkpoint_from_weights, load_checkpoint, untrained

    if norm_eps is not None and weights is None:
        raise RequestError("--norm-eps is for --weights; a checkpoint brings its own")
    if source.endswith(".pt"):
        if weights is not None:
            raise RequestError(f"{source} brings its own weights; give an architecture with --weights")
        checkpoint = load_checkpoint(Path(source))
    elif weights is not None:
        checkpoint = checkpoint_from_weights(read_one(source), weights, norm_eps=norm_eps)
    else:
        checkpoint = untrained(read_one(source), seed=0)
    found = export_onnx(checkpoint, out)
    print(
        f"{found.path}: outputs agree with torch to {found.relative_difference:.1e} relative; data: {checkpoint.data}"
    )
