"""A network as something to call, under torch or onnxruntime on this machine, and what it says of images."""

from collections.abc import Callable, Iterator

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from mnas_evo.data.images import Images
from mnas_evo.shipping.processor import has_int8_dot_products
from mnas_evo.training.checkpoint import Checkpoint

Floats = NDArray[np.float32]
Runner = Callable[[Floats], Floats]
"""Normalised images (n, channels, height, width) to logits (n, classes)."""

_MOST_BATCH = 64
_BATCH_ELEMENTS = 1 << 24  # of activations of one value alive at once: calibration keeps those of every value


def onnx_runner(content: bytes, *, threads: int) -> Runner:
    """An ONNX file's bytes on the processor.

    On an x86 processor without VNNI, products of int8 are added up in 16 bits and overflow in silence; the option makes
    onnxruntime take exact kernels. It would do so where there is VNNI too, at 1.8 times the time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if has_int8_dot_products() is False:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Floats) -> Floats:
        (logits,) = session.run(None, {"images": images})
        return np.asarray(logits)

    return run


def torch_runner(checkpoint: Checkpoint) -> Runner:
    """A checkpoint in eager torch."""
    module = checkpoint.module.eval()

    def run(images: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images)).numpy())

    return run


def normalised(checkpoint: Checkpoint, images: Images) -> Iterator[Floats]:
    """All images in order, batch by batch, as the network takes them."""
    normalisation, peak = checkpoint.normalisation, checkpoint.module.graph.peak_elements
    batch = max(1, min(_MOST_BATCH, _BATCH_ELEMENTS // peak))
    mean, deviation = (
        np.array(values, np.float32)[:, None, None] for values in (normalisation.mean, normalisation.deviation)
    )
    for start in range(0, len(images), batch):
        pixels = images.pixels(np.arange(start, min(start + batch, len(images))))
        yield (pixels.astype(np.float32) - mean) / deviation


def all_logits(run: Runner, checkpoint: Checkpoint, images: Images) -> Floats:
    """Logits of all images, (n, classes)."""
    return np.concatenate([run(batch) for batch in normalised(checkpoint, images)])


def predictions(run: Runner, checkpoint: Checkpoint, images: Images) -> NDArray[np.int64]:
    """The class that a network gives each image, (n,)."""
    return np.concatenate([run(batch).argmax(1) for batch in normalised(checkpoint, images)])
