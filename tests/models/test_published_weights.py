"""Networks as others published them compute with us what they compute there: EfficientNet-Lite0 with its weights."""

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import BlockDecoder, EfficientNet, GlobalParams
from hypothesis import given
from hypothesis import strategies as st
from support.published_network import (
    TOLERANCE,
    WEIGHTS,
    Logits,
    Photographs,
    Trio,
    all_photographs,
    check_classified_alike,
    differences,
    published_trio,
)
from support.run_networks import outputs
from torch import nn

from mnas_evo.models.foreign_weights import load_network, read_state
from mnas_evo.space.named import NAMED
from mnas_evo.space.notation import parse_network


@pytest.fixture(scope="module")
def trio() -> Trio:
    return published_trio()


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


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    """Each eighth; all of them: make evidence PART=photographs."""
    return all_photographs().every(8)


@pytest.fixture(scope="module")
def logits(trio: Trio, photographs: Photographs) -> tuple[Logits, Logits, Logits]:
    return trio.logits(photographs.batches())


@pytest.mark.slow
def test_photographs_are_classified_as_by_the_package_and_rightly(
    logits: tuple[Logits, Logits, Logits], photographs: Photographs
) -> None:
    assert len(photographs.contents) == 491
    check_classified_alike(*logits, photographs)


@pytest.mark.slow
def test_padding_and_activation_of_the_string_matter(
    logits: tuple[Logits, Logits, Logits], photographs: Photographs
) -> None:
    state = read_state(WEIGHTS)

    def judged(stem: str) -> tuple[float, float]:
        network = parse_network(NAMED["efficientnet-lite0"].replace("stem32_relu6_same", stem))
        module = load_network(network, state)
        given = np.concatenate([outputs(module, images).numpy() for images in photographs.batches()])
        return photographs.right_percent(given), photographs.loss(given)

    right, loss = photographs.right_percent(logits[0]), photographs.loss(logits[0])
    assert right >= 90
    # Seen: 95.5 % and a loss of 0.168; symmetric padding 94.5 % and 0.190, plain ReLU 79.4 % and 0.682.
    assert judged("stem32_relu6")[1] > 1.08 * loss
    plain_right, plain_loss = judged("stem32_same")
    assert plain_right < right - 10 and plain_loss > 3 * loss
