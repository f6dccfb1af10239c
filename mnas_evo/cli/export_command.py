"""`mnas-evo export`: a network as an ONNX file, and as one in int8."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mnas_evo.cli.checkpoints import is_checkpoint
from mnas_evo.cli.terminal import DATA_HELP, JsonOption, print_json, stage, tell

if TYPE_CHECKING:
    from mnas_evo.shipping.export_form import ExportForm
    from mnas_evo.shipping.in_turn import Latency
    from mnas_evo.training.checkpoint import Checkpoint


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT|ARCH", help="The model.pt of a training, or a name, a string, RUN#rank."),
    ],
    out: Annotated[
        Path, typer.Option(help="The ONNX file to write, M.onnx; beside it M.export.json, and M.int8.onnx with --int8.")
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write it in int8, calibrated on training images of --data.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help=f"{DATA_HELP} Its test images check the files; --int8 takes a checkpoint's own if none is given."
        ),
    ] = None,
    calibration: Annotated[
        int | None, typer.Option(help="Training images that int8 is calibrated on, drawn by --seed; 512 if not given.")
    ] = None,
    method: Annotated[
        Literal["minmax", "entropy", "percentile"] | None,
        typer.Option(help="What finds the range of each value: its extremes if not given."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of what calibrates and of the split it is drawn from; 0 if not given.", min=0)
    ] = None,
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
    json: JsonOption = False,
) -> None:
    """Write a network as ONNX, in fp32 and in int8, checked against torch, with classes and preprocessing inside.

    A checkpoint brings its weights; an architecture takes --weights, or fresh ones to be measured elsewhere. Of int8
    it is said what it loses in accuracy and gains in time on this machine. Where it loses more than half a point on
    validation images, the parts that lose most stay in float. The README shows how to use the files.

    Examples: mnas-evo export models/one/model.pt --int8 --data fashion-mnist --out models/one/model.onnx;
    mnas-evo export efficientnet-lite0 --weights lite0.pth --out lite0.onnx
    """
    from mnas_evo.errors import RequestError
    from mnas_evo.shipping.export import METHOD, Int8Request
    from mnas_evo.shipping.export import export as export_checked

    if not int8 and not (calibration is None and method is None and seed is None):
        raise RequestError("--calibration, --method and --seed are for --int8; give it too")
    checkpoint = _read(source, weights=weights, norm_eps=norm_eps)
    if int8 and data is None and is_checkpoint(source):
        data = checkpoint.data
    request = Int8Request(calibration, method or METHOD, seed or 0) if int8 else None
    with stage("exporting") as report:
        form = export_checked(checkpoint, out, data=data, int8=request, progress=report)
        report(1.0, "checked and timed")
    if form.classes_said:
        tell(f"note: {form.classes_said}")
    if json:
        print_json(form.model_dump(exclude={"format"}))
    else:
        print(in_words(form, out.parent))


def _read(source: str, *, weights: Path | None, norm_eps: float | None) -> "Checkpoint":
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.cli.checkpoints import read_trained
    from mnas_evo.training.checkpoint import untrained

    if weights is None and norm_eps is None and not is_checkpoint(source):
        return untrained(read_one(source), seed=0)
    return read_trained(source, weights=weights, norm_eps=norm_eps)


def in_words(form: "ExportForm", folder: Path) -> str:
    """What an export found, for a terminal."""
    lines = [
        f"{folder / form.fp32.name}: outputs agree with torch to {form.relative_difference:.1e} relative; "
        f"data: {form.trained_on}"
    ]
    if form.int8 is not None and form.calibration is not None:
        made = form.calibration
        lines.append(
            f"{folder / form.int8.name}: calibrated on {made.images:,} training images of {form.data} ({made.method})"
        )
    lines.append(f"  {'':<6}{'size':>12}{'latency':>26}{'top1' if form.images else '':>12}".rstrip())
    lines.append(_line("torch", None, form.torch_latency, form.torch_top1))
    lines += [
        _line(name, file.bytes, file.latency, file.top1)
        for name, file in (("fp32", form.fp32), ("int8", form.int8))
        if file is not None
    ]
    lines.append(
        f"  one image on one thread of {form.device}, in turn; a budget is judged by evaluate, not here; "
        "+-: half of what the middle half of the rounds spans"
    )
    if form.torch_agreement_percent is not None:
        same = f"fp32 gives torch's class for {form.torch_agreement_percent:.2f} % of {form.images:,} test images"
        lines.append(f"{same}, int8 fp32's for {form.lost.agreement_percent:.2f} %" if form.lost else same)
    lines += [words for words in (form.float_words(), form.verdict()) if words]
    return "\n".join(lines)


def _line(name: str, size_bytes: int | None, latency: "Latency", top1: float | None) -> str:
    size = "" if size_bytes is None else f"{size_bytes / 1e6:.3g} MB"
    time = f"{latency.median_ms:.4g} ms +-{latency.iqr_ms / 2:.2g}"
    return f"  {name:<6}{size:>12}{time:>26}{'' if top1 is None else f'{top1:.2f} %':>12}".rstrip()
