"""Evaluates a trained network on test images and on a device, into a folder.

evaluation.json   all figures                    confusion.csv   rows true, columns predicted
classes.csv       figures of each class          confusion, predictions and calibration as .svg and .png
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnas_evo.data.datasets import test_data
from mnas_evo.devices.campaign import Campaign, Item, Progress
from mnas_evo.errors import DeviceError, RequestError
from mnas_evo.files import Form, versions, write_csv, write_form
from mnas_evo.latency.runs import Device
from mnas_evo.shipping.class_matching import match_data
from mnas_evo.shipping.pictures import draw_pictures
from mnas_evo.shipping.torch_latency import SECONDS, torch_latency
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.metrics import ClassMetrics, Metrics, check_images, evaluate_checkpoint

_PASSES = 8
_MEASURED = 0.3  # the share of the whole after which latency is measured


class EvaluationForm(Form):
    """evaluation.json: metrics on the test images, and the latency of one image, on the device and in eager torch.

    `classes_said` is what must be known of how the data's classes were matched to the network's.
    """

    network: str
    data: str
    images: int
    metrics: Metrics
    latency_ms: float
    latency_spread_percent: float
    device: str
    versions: dict[str, str]
    class_names: tuple[str, ...]
    classes_said: str
    trained_on: str
    torch_latency_ms: float
    torch_latency_iqr_ms: float

    def worst_classes(self, count: int) -> list[tuple[str, ClassMetrics]]:
        """Classes with test images by F1, the lowest first; those without a fault are left out."""
        named = zip(self.class_names, self.metrics.classes, strict=True)
        faulty = [(name, figures) for name, figures in named if figures.f1 is not None and figures.f1 < 100]
        return sorted(faulty, key=lambda each: each[1].f1 or 0.0)[:count]

    def confusions(self, count: int) -> list[tuple[str, str, int]]:
        """True class, class predicted instead and how often, the most frequent first."""
        found = [
            (self.class_names[true], self.class_names[predicted], times)
            for true, row in enumerate(self.metrics.confusion)
            for predicted, times in enumerate(row)
            if times and predicted != true
        ]
        return sorted(found, key=lambda each: -each[2])[:count]


@dataclass(frozen=True, slots=True)
class _Latency:
    """Of one image on the device, ms, and the spread of its visits."""

    ms: float
    spread_percent: float


def evaluate(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    data: str,
    device: Device,
    progress: Progress,
    torch_seconds: float = SECONDS,
) -> EvaluationForm:
    """Writes evaluation.json, confusion.csv, classes.csv and pictures; `torch_seconds` are for timing eager torch.

    Latency comes first, while nothing else computes: a device that fails does so before the images are classified.

    Raises:
        UnknownData: no such data set.
        RequestError: images or classes do not fit the network.
        DamagedFile: images that cannot be read, or a network whose outputs are no numbers.
        DeviceError: the device failed.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is no folder; give another --out")
    frame = checkpoint.network.frame
    matched = match_data(checkpoint, data)
    progress(0.0, "reading test images")
    images = test_data(data, size=(frame.height, frame.width))
    labels = matched.labels(images.labels)
    check_images(checkpoint, images, labels)
    latency = _measure(checkpoint, device, progress=_scaled(progress, 0.0, _MEASURED))
    progress(_MEASURED, "latency in torch")
    in_torch = torch_latency(checkpoint.module, seconds=torch_seconds)
    found = evaluate_checkpoint(checkpoint, images, labels=labels, progress=_scaled(progress, _MEASURED, 1.0))
    facts = device.facts()
    form = EvaluationForm(
        network=format_network(checkpoint.network),
        data=data,
        images=len(images),
        metrics=found,
        latency_ms=latency.ms,
        latency_spread_percent=latency.spread_percent,
        device=f"{facts.soc}, {facts.runtime} {facts.runtime_version}, {facts.threads} thread(s), {facts.precision}",
        versions=versions(),
        class_names=matched.names,
        classes_said=matched.said,
        trained_on=checkpoint.data,
        torch_latency_ms=in_torch.median_ms,
        torch_latency_iqr_ms=in_torch.iqr_ms,
    )
    _write(folder, form)
    return form


def _measure(checkpoint: Checkpoint, device: Device, *, progress: Progress) -> _Latency:
    name, graph = format_network(checkpoint.network), lower(checkpoint.network)
    reference = ("mobilenet-v2", lower(named_network("mobilenet-v2", task=checkpoint.network.frame)))
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch), device, [Item(name, "network", graph)], reference=reference)
        outcome = campaign.measure(minutes=0.0, fewest_passes=_PASSES, progress=progress)
    if outcome.refused:
        raise DeviceError(f"the device refused {name}")
    return _Latency(float(outcome.networks.ms[0]), float(outcome.networks.spread_percent[0]))


def _scaled(progress: Progress, start: float, end: float) -> Callable[[float, str], None]:
    return lambda share, text: progress(start + (end - start) * share, text)


def _write(folder: Path, form: EvaluationForm) -> None:
    names, found = form.class_names, form.metrics
    (folder / "evaluation.json").unlink(missing_ok=True)  # it would tell of other files than those beside it
    write_csv(
        folder / "confusion.csv",
        ("true", *names),
        [(name, *row) for name, row in zip(names, found.confusion, strict=True)],
    )
    write_csv(
        folder / "classes.csv",
        ("class", "support", "predicted", "precision", "recall", "f1"),
        [
            (name, each.support, each.predicted, *map(_plain, (each.precision, each.recall, each.f1)))
            for name, each in zip(names, found.classes, strict=True)
        ],
    )
    draw_pictures(folder, found, names)
    write_form(folder / "evaluation.json", form)


def _plain(value: float | None) -> str:
    """A figure of classes.csv, percent; empty where a class has no test image."""
    return "" if value is None else f"{value:.4f}"
