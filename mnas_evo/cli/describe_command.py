"""`mnas-evo describe`: a network drawn, with its layers and what it weighs."""

from typing import Annotated, Any

import typer

from mnas_evo.cli.terminal import JsonOption, is_unicode, print_json, print_table


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
