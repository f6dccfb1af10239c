"""What one block may be: every kind of option gives the block it names."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import TINY

from mnas_evo.space.architecture import Block, BlockOp
from mnas_evo.space.choices import BlockChoices
from mnas_evo.space.space import SearchSpace

ONE = BlockChoices(24, 2, 2, ("conv",), (5,), (0.25,), ("pool",), (1.0,), (0,))


def only_block(choices: BlockChoices, in_channels: int = 16) -> Block:
    """The block of choices that leave none."""
    (block,) = choices.blocks(in_channels)
    return block


def one_block(choices: BlockChoices) -> SearchSpace:
    """A space of one block."""
    return replace(TINY, blocks=(choices,))


@pytest.mark.parametrize(
    ("op", "kind", "kernel", "expansion"),
    [
        ("conv", "conv", 5, 1),
        ("conv_k1", "conv", 1, 1),
        ("conv_k99", "conv", 99, 1),
        ("dconv", "mbconv", 5, 1),
        ("dconv_k3", "mbconv", 3, 1),
        ("mbconv_e1", "mbconv", 5, 1),
        ("mbconv_e6", "mbconv", 5, 6),
        ("mbconv_e6_k3", "mbconv", 3, 6),
        ("mbconv_e12", "mbconv", 5, 12),
        ("mbconv_e99_k11", "mbconv", 11, 99),
    ],
)
def test_an_op_gives_the_block_that_it_names(op: str, kind: BlockOp, kernel: int, expansion: int) -> None:
    expected = Block(kind, kernel, expansion, 0.25, "pool", 16, 24, 2, 2)
    assert only_block(replace(ONE, ops=(op,))) == expected


def test_r0_gives_no_layer_whatever_else_is_chosen() -> None:
    none = replace(ONE, ops=("r0",), kernels=(3, 5), se_ratios=(0.0, 0.25), layer_changes=(-1, 0, 20))
    assert set(none.blocks(16)) == {Block("conv", 1, 1, 0.0, "identity", 16, 24, 2, 0)}


@pytest.mark.parametrize(("change", "layers"), [(-20, 1), (-2, 1), (-1, 1), (0, 2), (1, 3), (20, 22)])
def test_layer_changes_are_added_and_leave_one_layer_at_least(change: int, layers: int) -> None:
    assert only_block(replace(ONE, layer_changes=(change,))).layers == layers


@pytest.mark.parametrize(
    ("filters", "channels"), [(0.01, 8), (0.5, 16), (0.75, 24), (1.0, 24), (1.25, 32), (10.0, 240)]
)
def test_filters_multiply_channels_and_round_as_mobilenets_code_does(filters: float, channels: int) -> None:
    assert only_block(replace(ONE, filters=(filters,))).out_channels == channels


def test_the_rest_of_the_options_is_taken_as_it_stands() -> None:
    choices = replace(ONE, se_ratios=(0.5,), skips=("none",), stride=3)
    assert only_block(choices, in_channels=40) == Block("conv", 5, 1, 0.5, "none", 40, 24, 3, 2)


def test_widths_are_the_different_output_channels_ascending() -> None:
    assert replace(ONE, filters=(1.25, 1.0, 0.75, 0.5, 2.0)).widths == [16, 24, 32, 48]
    assert replace(ONE, channels=8, filters=(1.0, 0.75)).widths == [8]


def test_widths_are_those_of_the_blocks() -> None:
    choices = replace(ONE, filters=(0.3, 0.75, 1.0, 1.3, 2.0), ops=("r0", "conv"))
    assert choices.widths == sorted({block.out_channels for block in choices.blocks(16)})


def test_blocks_stand_in_the_order_of_the_options_the_last_kind_fastest() -> None:
    choices = BlockChoices(24, 2, 2, ("conv", "dconv"), (3,), (0.0, 0.5), ("pool",), (1.0,), (0, 1))
    told = [(block.op, block.se_ratio, block.layers) for block in choices.blocks(16)]
    assert choices.sizes == (2, 1, 2, 1, 1, 2)
    assert told == [(op, ratio, layers) for op in ("conv", "mbconv") for ratio in (0.0, 0.5) for layers in (2, 3)]


@pytest.mark.parametrize("op", ["r0", "conv_k5", "dconv_k5", "mbconv_e6_k5"])
def test_an_op_that_says_its_kernel_leaves_the_kernel_gene_without_effect(op: str) -> None:
    space = one_block(replace(ONE, ops=("conv", op), kernels=(1, 3, 7)))
    genes = np.array([[1, kernel, 0, 0, 0, 0] for kernel in range(3)])
    assert np.array_equal(space.canonical(genes), np.repeat([[1, 0, 0, 0, 0, 0]], 3, axis=0))
    assert space.architectures == 3 + 1


@pytest.mark.parametrize(
    ("ops", "kernels", "architectures"),
    [
        (("dconv", "mbconv_e1"), (3, 5), 2),  # two names for one op
        (("conv", "conv_k3"), (3, 5), 2),
        (("conv_k3", "conv"), (5, 3), 2),
        (("mbconv_e6_k3", "mbconv_e6_k5"), (7,), 2),
        (("mbconv_e6_k3", "mbconv_e6"), (5, 7), 3),
    ],
)
def test_two_names_of_one_op_are_one_architecture(
    ops: tuple[str, ...], kernels: tuple[int, ...], architectures: int
) -> None:
    space = one_block(replace(ONE, ops=ops, kernels=kernels))
    genes = np.array([[op, kernel, 0, 0, 0, 0] for op in range(2) for kernel in range(len(kernels))])
    assert len({tuple(row) for row in space.canonical(genes)}) == space.architectures == architectures
    assert len(set(space.strings(genes))) == architectures


def test_se_ratios_that_no_string_tells_apart_are_one_architecture() -> None:
    assert one_block(replace(ONE, se_ratios=(0.0, 0.00001, 0.25, 0.250001))).architectures == 2
