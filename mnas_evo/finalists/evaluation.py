"""Evaluates a trained network on test images and on this machine, into a folder."""

import tempfile
from pathlib import Path

from mnas_evo.data.datasets import test_data
from mnas_evo.devices.campaign import Campaign, Item, Progress
from mnas_evo.errors import DeviceError
from mnas_evo.files import Form, versions, write_csv, write_form
from mnas_evo.latency.runs import Device
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.metrics import Metrics, evaluate_checkpoint

_PASSES = 8


class EvaluationForm(Form):
    """evaluation.json: metrics on the test images, and the latency of one image."""

    network: str
    data: str
    images: int
    metrics: Metrics
    latency_ms: float
    latency_spread_percent: float
    device: str
    versions: dict[str, str]


def evaluate(folder: Path, checkpoint: Checkpoint, *, data: str, device: Device, progress: Progress) -> EvaluationForm:
    """Writes evaluation.json and confusion.csv (rows true, columns predicted).

    Raises:
        UnknownData: no such data set.
        RequestError: images or classes do not fit the network.
        DeviceError: the device failed.
    """
    frame = checkpoint.network.frame
    images = test_data(data, size=(frame.height, frame.width))
    found = evaluate_checkpoint(checkpoint, images)
    name = format_network(checkpoint.network)
    reference = ("mobilenet-v2", lower(named_network("mobilenet-v2", task=frame)))
    with tempfile.TemporaryDirectory() as scratch:
        item = Item(name, "network", lower(checkpoint.network))
        campaign = Campaign(Path(scratch), device, [item], reference=reference)
        outcome = campaign.measure(minutes=0.0, fewest_passes=_PASSES, progress=progress)
    if outcome.refused:
        raise DeviceError(f"the device refused {name}")
    facts = device.facts()
    form = EvaluationForm(
        network=name,
        data=data,
        images=len(images),
        metrics=found,
        latency_ms=float(outcome.networks.ms[0]),
        latency_spread_percent=float(outcome.networks.spread_percent[0]),
        device=f"{facts.soc}, {facts.runtime} {facts.runtime_version}, {facts.threads} thread(s), {facts.precision}",
        versions=versions(),
    )
    write_csv(
        folder / "confusion.csv",
        ("true", *checkpoint.classes),
        [(name, *row) for name, row in zip(checkpoint.classes, found.confusion, strict=True)],
    )
    write_form(folder / "evaluation.json", form)
    return form
