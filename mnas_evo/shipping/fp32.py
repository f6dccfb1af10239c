"""Exports a trained network as ONNX, with all that is needed to use it inside, and checks it against torch."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.files import write_bytes
from mnas_evo.models.onnx_writer import TrainedWeights, onnx_model
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint

TOLERANCE = 1e-4
_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the file lies, and how far its outputs are from torch's: largest difference over largest output."""

    path: Path
    relative_difference: float


def export_onnx(checkpoint: Checkpoint, path: Path) -> Exported:
    """Writes an ONNX file of any batch size that takes normalised images and gives logits, with `metadata_of` inside.

    Raises:
        MnasEvoError: its outputs differ from torch's by more than 1e-4 relative; nothing is written.
        RequestError: the path is a folder's.
    """
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give the file to write, such as {path / 'model.onnx'}")
    model = onnx_model(lower(checkpoint.network), weights=TrainedWeights(checkpoint.module), batch="batch")
    onnx.helper.set_model_props(model, metadata_of(checkpoint))
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    difference = _difference(checkpoint, content)
    if not difference <= TOLERANCE:
        raise MnasEvoError(f"the ONNX outputs differ from torch's by {difference:.2g} relative; {path} is not written")
    write_bytes(path, content)
    return Exported(path, difference)


def metadata_of(checkpoint: Checkpoint) -> dict[str, str]:
    """What a file says of itself: enough to bring any image to the form that the network was trained on.

    `classes`, `mean`, `deviation`, `size` (height, width) and `channels` are JSON. An image of 8 bits a channel,
    upright, is brought to `size` as `resize` says and to Pillow's `mode`, as our own data are (data/decoding.py).
    """
    frame = checkpoint.network.frame
    return {
        "network": format_network(checkpoint.network),
        "data": checkpoint.data,
        "classes": json.dumps(checkpoint.classes),
        "mean": json.dumps(checkpoint.normalisation.mean),
        "deviation": json.dumps(checkpoint.normalisation.deviation),
        "size": json.dumps([frame.height, frame.width]),
        "channels": json.dumps(frame.channels),
        "mode": "L" if frame.channels == 1 else "RGB",
        "resize": "shorter side to size, then the centre: "
        "PIL.ImageOps.fit(image, (width, height), PIL.Image.Resampling.BILINEAR), before grey is made of colour",
        "layout": "float32 (batch, channels, height, width); (pixel - mean) / deviation, pixels 0 to 255",
        "precision": "fp32",
    }


def _difference(checkpoint: Checkpoint, content: bytes) -> float:
    """Largest difference of logits over the largest logit, on images drawn at random."""
    frame = checkpoint.network.frame
    shape = (_IMAGES, frame.channels, frame.height, frame.width)
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        expected = checkpoint.module(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())
