"""Makes the int8 file of an exported network, and says what it was made with."""

import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from mnas_evo.shipping.export_data import JudgingData, Labelled
from mnas_evo.shipping.export_form import Calibration
from mnas_evo.shipping.fp32 import metadata_of
from mnas_evo.shipping.node_groups import node_groups
from mnas_evo.shipping.quantisation import Method, calibrate, quantise
from mnas_evo.shipping.runners import Floats, all_logits, normalised, onnx_runner
from mnas_evo.shipping.within_points import quantise_within
from mnas_evo.training.checkpoint import Checkpoint

_ERRS = 0.75
_SESSION = "session.x64quantprecision=1 as a session option keeps sums exact on x86 processors without VNNI"


def make_int8(
    checkpoint: Checkpoint,
    fp32: bytes,
    found: JudgingData,
    *,
    method: Method,
    seed: int,
    progress: Callable[[float, str], None],
) -> tuple[bytes, Calibration]:
    """The int8 file and its facts; what stays in float is decided on validation images.

    A network that knows no more than chance has no accuracy to save: of it only the base stays in float.
    """
    progress(0.0, f"calibrating on {len(found.calibration):,} images")
    ranges = calibrate(fp32, normalised(checkpoint, found.calibration), method=method)
    groups = node_groups(checkpoint.module.graph)
    judge = _Judge(checkpoint, fp32, found.validation)
    most = 2 * len(groups)

    def in_int8(in_float: tuple[str, ...]) -> bytes:
        facts = {"images": len(found.calibration), "method": method, "seed": seed, "in_float": in_float}
        said = {"precision": "int8", "calibration": json.dumps(facts), "session": _SESSION}
        nodes = [name for group in in_float for name in groups[group]]
        return quantise(fp32, ranges, in_float=nodes, metadata=metadata_of(checkpoint) | said)

    chosen = quantise_within(
        in_int8,
        judge,
        tuple(groups) if judge.has_learnt else (),
        tried=lambda trial, number: progress(number / most, f"int8 but for {', '.join(trial.in_float)}"),
    )
    images = (len(found.calibration), len(found.validation.images))
    return chosen.content, Calibration(*images, method, seed, chosen.trial, chosen.trials)


class _Judge:
    """Holds what fp32 says of the validation images."""

    def __init__(self, checkpoint: Checkpoint, fp32: bytes, validation: Labelled) -> None:
        self._checkpoint = checkpoint
        self._validation = validation
        self._logits = self._logits_of(fp32)
        self._top1 = _share_right(self._logits, validation)

    @property
    def has_learnt(self) -> bool:
        """Whether fp32 knows something to lose."""
        return has_learnt(self._top1, classes=self._checkpoint.network.frame.classes)

    def __call__(self, content: bytes) -> tuple[float, float]:
        """Points of top-1 that a file loses, and its divergence."""
        logits = self._logits_of(content)
        own, other = _log_shares(self._logits), _log_shares(logits)
        divergence = float((np.exp(own) * (own - other)).sum(1).mean())
        return 100 * (self._top1 - _share_right(logits, self._validation)), divergence

    def _logits_of(self, content: bytes) -> Floats:
        run = onnx_runner(content, threads=torch.get_num_threads())
        return all_logits(run, self._checkpoint, self._validation.images)


def has_learnt(top1: float, *, classes: int) -> bool:
    """Whether a share of right answers means errors of at most three quarters of what a guess errs."""
    return 1 - top1 <= _ERRS * (1 - 1 / classes)


def _share_right(logits: Floats, validation: Labelled) -> float:
    return float((logits.argmax(1) == validation.labels).mean())


def _log_shares(logits: Floats) -> NDArray[np.float64]:
    below = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(1, keepdims=True)))
