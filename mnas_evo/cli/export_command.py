"""`mnas-evo export`: a network as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer


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
