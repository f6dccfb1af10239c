"""How well a trained network classifies: figures by torchmetrics from one pass, which keeps four numbers an image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from mnas_evo.data.images import Images
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.training.batches import Batches
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.memory import freed_memory_kept
from mnas_evo.training.pixels import pixels_on

BINS = 15
"""Of confidence, in the calibration error; as many as Guo et al. 2017 take."""

_MOST_BATCH = 256
_BATCH_ELEMENTS = 1 << 26  # of activations alive at once: 256 MiB
_NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class: its test images, how often it was predicted, and figures in percent; None of a class without images.

    Precision of a class that has images and was never predicted is 0.
    """

    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions whose confidence lies above `low` and up to `high`; mean confidence and share right in percent."""

    low: float
    high: float
    images: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """In percent but for `loss` and `confusion` (rows true).

    Precision, recall and F1 are means over the classes that have test images, each class counting the same. `top1_low`
    and `top1_high` are Wilson's 95 % interval; `confidence` is the mean share given to the predicted class.
    """

    top1: float
    top5: float
    loss: float
    precision: float
    recall: float
    f1: float
    ece: float
    confusion: tuple[tuple[int, ...], ...]
    top1_low: float
    top1_high: float
    confidence: float
    classes: tuple[ClassMetrics, ...]
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network said of n images, each (n,), of so many classes.

    The true and the predicted class, the share given to the latter, the loss, and whether the true one is among the
    first five.
    """

    labels: Tensor
    predicted: Tensor
    confidence: Tensor
    loss: Tensor
    among_five: Tensor
    classes: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Answers":
        """Those of logits (n, classes) against labels (n,)."""
        classes = logits.shape[1]
        confidence, predicted = logits.double().softmax(1).max(1)
        first = logits.topk(min(5, classes), dim=1).indices
        loss = F.cross_entropy(logits.double(), labels, reduction="none")
        return cls(labels, predicted, confidence.clamp(max=1.0), loss, (first == labels[:, None]).any(1), classes)

    @classmethod
    def joined(cls, parts: Sequence["Answers"]) -> "Answers":
        """Those of several batches, in order."""

        def column(name: str) -> Tensor:
            return torch.cat([getattr(part, name) for part in parts])

        return cls(
            column("labels"),
            column("predicted"),
            column("confidence"),
            column("loss"),
            column("among_five"),
            parts[0].classes,
        )


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    images: Images,
    *,
    labels: NDArray[np.int64] | None = None,
    progress: Callable[[float, str], None] = lambda share, text: None,
) -> Metrics:
    """Metrics of a trained network, on the processor's cores as torch takes them; `labels` stand for the images' own.

    Raises:
        RequestError: no images, or they have other channels, another size or more classes than the network.
        DamagedFile: its outputs are no numbers.
    """
    known = images.labels if labels is None else labels
    check_images(checkpoint, images, known)
    parts, done = [], 0
    with freed_memory_kept():
        for part in _answers(checkpoint, images, torch.from_numpy(known)):
            parts.append(part)
            done += len(part.labels)
            progress(done / len(images), f"{done:,} of {len(images):,} images")
    return metrics(Answers.joined(parts))


def check_images(checkpoint: Checkpoint, images: Images, labels: NDArray[np.int64]) -> None:
    """Whether a network can be tested on images.

    Raises:
        RequestError: no images, or they have other channels, another size or more classes than the network.
    """
    frame = checkpoint.network.frame
    channels, height, width = images.shape
    if channels != frame.channels:
        raise RequestError(
            f"the network takes images of {_channels(frame.channels)}, these have {channels}; give data like that it "
            "was trained on, or train it on these"
        )
    if (height, width) != (frame.height, frame.width):
        raise RequestError(f"the network takes images of {frame.height}x{frame.width}, these have {height}x{width}")
    if len(images) == 0:
        raise RequestError("there are no test images; add some to the data set's test split")
    if labels.min() < 0 or labels.max() >= frame.classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise RequestError(
            f"the network knows {frame.classes} classes, 0 to {frame.classes - 1}, the images have label {wrong}"
        )


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"


@torch.no_grad()
def _answers(checkpoint: Checkpoint, images: Images, labels: Tensor) -> Iterator[Answers]:
    module = checkpoint.module.eval()
    size = max(1, min(_MOST_BATCH, _BATCH_ELEMENTS // module.graph.peak_elements))
    place = 0
    for pixels, _ in Batches(pixels_on("cpu", images), batch=size):
        normalised = checkpoint.normalisation.apply(pixels).contiguous(memory_format=torch.channels_last)
        logits = module(normalised)
        if not logits.isfinite().all():
            raise DamagedFile(
                "the network's outputs are not finite numbers: its weights are damaged or of a training that diverged; "
                "train it again"
            )
        yield Answers.of(logits, labels[place : place + len(logits)])
        place += len(logits)


def metrics(answers: Answers) -> Metrics:
    """Metrics of what a network said of some images."""
    right = answers.predicted == answers.labels
    count = len(right)
    low, high = wilson_percent(int(right.sum()), count)
    confusion = multiclass_confusion_matrix(answers.predicted, answers.labels, num_classes=answers.classes)
    classes = _by_class(answers, confusion)
    tested = [figures for figures in classes if figures.support]
    bins = _bins(answers.confidence, right)

    def mean(name: str) -> float:
        return float(np.mean([getattr(figures, name) for figures in tested]))

    return Metrics(
        top1=100 * float(multiclass_accuracy(answers.predicted, answers.labels, answers.classes, average="micro")),
        top5=100 * float(answers.among_five.double().mean()),
        loss=float(answers.loss.mean()),
        precision=mean("precision"),
        recall=mean("recall"),
        f1=mean("f1"),
        ece=sum(found.images * abs(found.confidence - found.right) for found in bins) / count,
        confusion=tuple(map(tuple, confusion.tolist())),
        top1_low=low,
        top1_high=high,
        confidence=100 * float(answers.confidence.mean()),
        classes=classes,
        calibration=bins,
    )


def _by_class(answers: Answers, confusion: Tensor) -> tuple[ClassMetrics, ...]:
    figures = [
        (100 * of(answers.predicted, answers.labels, answers.classes, average="none").double()).tolist()
        for of in (multiclass_precision, multiclass_recall, multiclass_f1_score)
    ]
    support, predicted = confusion.sum(1).tolist(), confusion.sum(0).tolist()
    return tuple(
        ClassMetrics(count, times, *(each if count else (None, None, None)))
        for count, times, each in zip(support, predicted, zip(*figures, strict=True), strict=True)
    )


def _bins(confidence: Tensor, right: Tensor) -> tuple[CalibrationBin, ...]:
    """Bins of equal width that hold predictions, as in Guo et al. 2017, section 2."""
    number = (confidence * BINS).ceil().clamp(1, BINS).long() - 1
    counts, sure, good = (
        torch.bincount(number, weights=weights, minlength=BINS).tolist()
        for weights in (torch.ones_like(confidence), confidence, right.double())
    )
    return tuple(
        CalibrationBin(
            100 * k / BINS, 100 * (k + 1) / BINS, int(counts[k]), *(100 * v[k] / counts[k] for v in (sure, good))
        )
        for k in range(BINS)
        if counts[k]
    )


def wilson_percent(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, percent: it holds for few images and near 0 and 100 % too (Wilson 1927)."""
    share, square = right / count, _NORMAL_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _NORMAL_95 * sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
