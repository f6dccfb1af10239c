"""`mnas-evo evaluate`: a trained network on test images and on a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas_evo.cli.terminal import DATA_HELP, JsonOption, print_json, stage, tell

if TYPE_CHECKING:
    from mnas_evo.shipping.evaluation import EvaluationForm
    from mnas_evo.training.metrics import Metrics

_LISTED = 3


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|ARCH", help="The model.pt of a training; or a name, a string, RUN#rank with --weights."
        ),
    ],
    data: Annotated[str, typer.Option(help=f"{DATA_HELP} Its test images are used.")],
    out: Annotated[
        Path, typer.Option(help="Folder for evaluation.json, confusion.csv, classes.csv and pictures (.svg, .png).")
    ],
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
    on: Annotated[str, typer.Option(help="Target on which its latency is measured.")] = "local",
    listen: Annotated[
        bool, typer.Option("--listen", help="For browser: let devices of the local network open the page.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Test a trained network: accuracy, the figures of each class, calibration, and its latency on a device.

    Precision, recall and F1 are means over the classes that have test images, each counting the same. Classes are
    matched to the data's by name; weights from elsewhere number theirs, and data with as many in that order fits.
    Latency is one image's: on the target as in every campaign, and beside it in eager torch on this machine.

    Examples: mnas-evo evaluate models/one/model.pt --data fashion-mnist --out models/one;
    mnas-evo evaluate efficientnet-lite0 --weights lite0.pth --data imagefolder:imagenet --out lite0 --on adb://SERIAL
    """
    from dataclasses import asdict

    from mnas_evo.cli.checkpoints import read_trained
    from mnas_evo.devices.target import opened, parse_target, shown_on
    from mnas_evo.shipping.evaluation import evaluate as evaluate_on

    target = parse_target(on)
    loaded = read_trained(source, weights=weights, norm_eps=norm_eps)
    with stage("evaluating") as report, opened(target, listen=listen, say=tell) as device:
        form = evaluate_on(out, loaded, data=data, device=device, progress=shown_on(device, report))
    if form.classes_said:
        tell(f"note: {form.classes_said}")
    if json:
        document = form.model_dump(exclude={"format", "metrics"})
        print_json({**document, **asdict(form.metrics)})
        return
    print(in_words(form))
    print(f"written to {out}: {', '.join(_files())}")


def in_words(form: "EvaluationForm") -> str:
    """What an evaluation found, for a terminal."""
    found = form.metrics
    lines = [form.network, f"trained on {form.trained_on}; {form.images:,} test images of {form.data}"]
    figures = [("top1", f"{found.top1:6.2f} %{_interval(form)}")]
    if len(form.class_names) > 5:
        figures.append(("top5", f"{found.top5:6.2f} %"))
    figures.append(("loss", f"{found.loss:6.4f}"))
    figures += [(name, f"{getattr(found, name):6.2f} %{_over(found)}") for name in ("precision", "recall", "f1")]
    figures.append(("ece", f"{found.ece:6.2f} %{_calibration(found)}"))
    figures.append(("latency", f"{form.latency_ms:.4g} ms, spread {form.latency_spread_percent:.1f} % ({form.device})"))
    apart = f"quartiles {form.torch_latency_iqr_ms:.2g} ms apart"
    figures.append(("beside", f"{form.torch_latency_ms:.4g} ms, {apart} (torch eager, this machine, 1 thread)"))
    lines += [f"  {name:<10} {value}" for name, value in figures]
    if worst := form.worst_classes(_LISTED):
        named = (
            f"{_plain(name)} {each.f1:.1f} % (precision {each.precision:.1f}, recall {each.recall:.1f}, "
            f"{each.support:,} images)"
            for name, each in worst
        )
        lines.append(f"  worst F1   {'; '.join(named)}")
    if confusions := form.confusions(_LISTED):
        said = (f"{_plain(true)} taken for {_plain(other)}, {times:,} times" for true, other, times in confusions)
        lines.append(f"  confused   {'; '.join(said)}")
    return "\n".join(lines)


def _interval(form: "EvaluationForm") -> str:
    low, high = form.metrics.top1_low, form.metrics.top1_high
    return f"   95 %: {low:.2f} to {high:.2f}; with {form.images:,} images, differences within that may be chance"


def _over(found: "Metrics") -> str:
    tested = sum(each.support > 0 for each in found.classes)
    return "" if tested == len(found.classes) else f"   mean over the {tested} classes with test images"


def _calibration(found: "Metrics") -> str:
    """In which direction the confidence is off, where that is more than the chance of so few images."""
    if found.top1_low <= found.confidence <= found.top1_high:
        return f"   on average as sure as it is right ({found.confidence:.1f} % sure)"
    over = found.confidence - found.top1
    return f"   {'over' if over > 0 else 'under'}-confident by {abs(over):.1f} points ({found.confidence:.1f} % sure)"


def _plain(name: str) -> str:
    """A class's name in quotes, for it may be a number, without what could steer a terminal."""
    return '"' + "".join(c if c.isprintable() else "?" for c in name) + '"'


def _files() -> list[str]:
    from mnas_evo.shipping.pictures import KINDS, PICTURES

    return ["evaluation.json", "confusion.csv", "classes.csv", *(f"{name}.{'|'.join(KINDS)}" for name in PICTURES)]
