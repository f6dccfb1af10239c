"""How well a trained network classifies: every figure from one pass over the images, by torchmetrics."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from mnas_evo.data.images import Images
from mnas_evo.errors import RequestError
from mnas_evo.training.batches import Batches
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.pixels import pixels_on


@dataclass(frozen=True, slots=True)
class Metrics:
    """In percent but for `loss` and `confusion` (rows true); precision, recall, F1 averaged over classes."""

    top1: float
    top5: float
    loss: float
    precision: float
    recall: float
    f1: float
    ece: float
    confusion: tuple[tuple[int, ...], ...]


def evaluate_checkpoint(checkpoint: Checkpoint, images: Images) -> Metrics:
    """Metrics of a trained network.

    Raises:
        RequestError: the images have other channels or classes than the network.
    """
    frame = checkpoint.network.frame
    if images.shape != (frame.channels, frame.height, frame.width):
        raise RequestError(
            f"the network takes images of {frame.height}x{frame.width}x{frame.channels}, these have (channels, height, "
            f"width) {images.shape}"
        )
    if len(images) == 0 or images.labels.max() >= frame.classes:
        raise RequestError(f"the network knows {frame.classes} classes, the images have label {images.labels.max()}")
    return metrics(logits_of(checkpoint, images), torch.from_numpy(images.labels))


@torch.no_grad()
def logits_of(checkpoint: Checkpoint, images: Images) -> Tensor:
    """Logits (n, classes)."""
    batches = Batches(pixels_on("cpu", images), batch=256)
    return torch.cat([checkpoint.module(checkpoint.normalisation.apply(batch)) for batch, _ in batches])


def metrics(logits: Tensor, labels: Tensor) -> Metrics:
    """Metrics of logits (n, classes) against labels (n,)."""
    classes = logits.shape[1]
    shares = logits.softmax(1)
    confusion = multiclass_confusion_matrix(shares, labels, num_classes=classes)

    def percent(value: Tensor) -> float:
        return 100 * float(value)

    return Metrics(
        top1=percent(multiclass_accuracy(shares, labels, num_classes=classes, average="micro")),
        top5=percent(multiclass_accuracy(shares, labels, num_classes=classes, average="micro", top_k=min(5, classes))),
        loss=float(F.cross_entropy(logits, labels)),
        precision=percent(multiclass_precision(shares, labels, num_classes=classes, average="macro")),
        recall=percent(multiclass_recall(shares, labels, num_classes=classes, average="macro")),
        f1=percent(multiclass_f1_score(shares, labels, num_classes=classes, average="macro")),
        ece=percent(multiclass_calibration_error(shares, labels, num_classes=classes, n_bins=15)),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
    )
