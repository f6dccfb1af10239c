"""Blocks, architectures, frames and networks: canonical form, and values that none can have."""

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import blocks, frames, networks

from mnas_evo.errors import SpaceError
from mnas_evo.space.architecture import Architecture, Block, Frame, Network, round_channels
from mnas_evo.space.lowering import block_layers
from mnas_evo.space.named import NAMED, named_network

PLAIN = Block("mbconv", 3, 6, 0.25, "identity", 16, 24, 2, 2)


@given(st.floats(0.5, 100_000))
def test_rounded_channels_are_a_multiple_of_8_and_lose_at_most_a_tenth(channels: float) -> None:
    rounded = round_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * channels
    assert rounded <= max(8, channels + 8)


@pytest.mark.parametrize(
    ("asked", "given_channels"), [(1, 8), (12, 16), (18, 24), (40, 40), (24 * 0.75, 24), (120, 120)]
)
def test_channels_round_as_in_mobilenet_v2s_code(asked: float, given_channels: int) -> None:
    assert round_channels(asked) == given_channels


@given(blocks(in_channels=16))
def test_a_block_in_canonical_form_stays_as_it_is(block: Block) -> None:
    assert Block(**asdict(block)) == block


def test_a_block_of_no_layers_has_no_choices_left() -> None:
    one = Block("conv", 5, 3, 0.25, "pool", 16, 24, 2, 0)
    other = Block("mbconv", 3, 6, 0.0, "none", 16, 24, 2, 0)
    assert one == other
    assert hash(one) == hash(other)


def test_a_regular_convolution_has_no_expansion() -> None:
    assert replace(PLAIN, op="conv", expansion=6) == replace(PLAIN, op="conv", expansion=3)


@pytest.mark.parametrize(
    ("changes", "adds"),
    [
        ({"layers": 1}, False),
        ({"layers": 1, "stride": 1}, False),
        ({"layers": 1, "stride": 1, "in_channels": 24}, True),
        ({"layers": 1, "stride": 2, "in_channels": 24}, False),
        ({"layers": 2}, True),
    ],
)
def test_no_skip_is_identity_exactly_where_identity_would_add_nothing(changes: dict[str, Any], adds: bool) -> None:
    identity, none = replace(PLAIN, **changes, skip="identity"), replace(PLAIN, **changes, skip="none")
    assert identity.identity_adds == adds
    assert (identity == none) == (not adds)


@given(blocks(in_channels=8, channels=st.just(12), most_kernel=3, most_stride=2, most_layers=3))
def test_identity_adds_says_whether_a_lowered_layer_adds(block: Block) -> None:
    assume(block.layers > 0 and block.skip == "identity")
    layers = block_layers(block, height=8, width=8, frame=Frame())
    assert block.identity_adds == any(layer.spec.skip == "add" for layer in layers)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kernel": 4}, "kernel.*4"),
        ({"kernel": -3}, "kernel.*-3"),
        ({"expansion": 0}, "expansion.*0"),
        ({"in_channels": 0}, "in_channels.*0"),
        ({"out_channels": -8}, "out_channels.*-8"),
        ({"stride": 0}, "stride.*0"),
        ({"layers": -1}, "layers.*-1"),
        ({"se_ratio": 1.5}, "SE ratio.*1.5"),
        ({"se_ratio": -0.25}, "SE ratio.*-0.25"),
        ({"se_ratio": float("nan")}, "SE ratio.*nan"),
    ],
)
def test_a_value_that_no_block_can_have_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        replace(PLAIN, **changes)


def test_an_architecture_has_at_least_one_block() -> None:
    with pytest.raises(SpaceError, match="at least one block"):
        Architecture(())


def test_blocks_that_do_not_follow_from_one_another_are_refused_with_both_widths() -> None:
    with pytest.raises(SpaceError, match="16 input channels cannot follow one of 24"):
        Architecture((PLAIN, PLAIN))


def test_a_network_whose_first_block_does_not_take_the_stem_is_refused_with_both_widths() -> None:
    with pytest.raises(SpaceError, match="takes 16 channels, the stem gives 32"):
        Network(Architecture((PLAIN,)), Frame())


@pytest.mark.parametrize(
    "name", ["height", "width", "channels", "stem_channels", "stem_stride", "head_channels", "classes"]
)
def test_a_size_below_1_is_named(name: str) -> None:
    change: dict[str, Any] = {name: 0}
    with pytest.raises(SpaceError, match=f"{name} is 1 to [0-9]+, not 0"):
        replace(Frame(), **change)


@given(networks(), frames())
def test_another_task_changes_the_input_and_the_classes_and_nothing_else(network: Network, other: Frame) -> None:
    moved = network.with_task(height=other.height, width=other.width, channels=other.channels, classes=other.classes)
    frame = network.frame
    back = moved.with_task(height=frame.height, width=frame.width, channels=frame.channels, classes=frame.classes)
    assert moved.architecture == network.architecture
    assert (moved.frame.height, moved.frame.width) == (other.height, other.width)
    assert (moved.frame.channels, moved.frame.classes) == (other.channels, other.classes)
    assert back == network


# Scaled networks

WIDTHS = [0.35, 0.5, 0.75, 1.0, 1.3, 1.4]  # those that are published


@pytest.mark.parametrize("name", NAMED)
def test_a_named_network_as_wide_as_it_is_stays_as_it_is(name: str) -> None:
    assert named_network(name).scaled(1.0) == named_network(name)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_scaled_network_has_its_widths_rounded_and_all_else_as_it_was(name: str, width: float) -> None:
    network = named_network(name)
    scaled = network.scaled(width)
    stem = round_channels(width * network.frame.stem_channels)
    assert scaled.frame == replace(network.frame, stem_channels=stem)
    for block, wider in zip(network.architecture.blocks, scaled.architecture.blocks, strict=True):
        assert wider.out_channels == round_channels(width * block.out_channels)
        assert wider.in_channels % 8 == wider.out_channels % 8 == 0
        assert replace(wider, in_channels=block.in_channels, out_channels=block.out_channels) == block


@given(networks(), st.floats(0.01, 1.0))
def test_a_scaled_networks_channels_are_multiples_of_8_and_lose_at_most_a_tenth(network: Network, width: float) -> None:
    scaled = network.scaled(width)
    pairs = zip(network.architecture.blocks, scaled.architecture.blocks, strict=True)
    for block, other in pairs:
        assert other.out_channels % 8 == 0
        assert 0.9 * width * block.out_channels <= other.out_channels <= max(8, width * block.out_channels + 8)
        assert (other.op, other.kernel, other.expansion, other.stride) == (
            block.op, block.kernel, block.expansion, block.stride
        )  # fmt: skip
        assert other.layers == block.layers


@pytest.mark.parametrize("width", [0, -0.0, -1, float("nan"), float("inf"), float("-inf")])
def test_a_width_that_is_not_positive_is_named(width: float) -> None:
    with pytest.raises(SpaceError, match=f"a width multiplier is positive, not {width}"):
        named_network("mnasnet-a1").scaled(width)


@pytest.mark.parametrize("width", [1e4, 1e9, 1e300, 1e308])
def test_a_width_beyond_what_the_notation_can_write_is_refused(width: float) -> None:
    with pytest.raises(SpaceError):
        named_network("mnasnet-a1").scaled(width)


def test_a_block_that_only_grows_too_wide_is_refused_too() -> None:
    with pytest.raises(SpaceError, match="out_channels is 1 to 99999, not 102400"):
        named_network("mnasnet-a1").scaled(320)


@pytest.mark.parametrize("name", ["height", "channels", "stem_stride", "head_channels", "classes"])
def test_what_the_notation_has_no_digits_for_is_no_frame(name: str) -> None:
    change: dict[str, Any] = {name: 10**7}
    with pytest.raises(SpaceError, match=f"{name} is 1 to"):
        replace(Frame(), **change)
