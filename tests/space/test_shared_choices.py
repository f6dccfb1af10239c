"""Kinds of choices that all blocks share: their genes, and which architectures are left."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import TINY
from support.space_walk import SHARED_FILTERS, SHARED_OP, SHARED_RATIO, SHARED_SKIP, SHARING, every_genome

from mnas_evo.errors import SpaceError
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import SearchSpace


def test_shared_genes_stand_first_and_belong_to_no_block() -> None:
    assert SHARED_RATIO.sizes.tolist() == [2, 3] + 2 * [1, 3, 2, 2]
    assert SHARED_RATIO.gene_blocks.tolist() == [0, 0] + 4 * [1] + 4 * [2]
    assert SHARED_RATIO.genomes == 2 * 3 * 12**2
    assert TINY.gene_blocks.tolist() == 6 * [1] + 6 * [2]


def test_the_blocks_of_every_genome_have_one_op_where_it_is_shared() -> None:
    for genome in every_genome(SHARED_OP):
        first, second = SHARED_OP.decode(genome).blocks
        assert (first.op, first.expansion, first.kernel) == (second.op, second.expansion, second.kernel)
        assert (first.layers == 0) == (second.layers == 0)


@pytest.mark.parametrize(
    ("space", "one", "other"),
    [
        # Each block has one layer with a stride, to which neither identity nor none adds anything.
        (SHARED_SKIP, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (SHARED_OP, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),  # r0 has no kernel
        (SHARED_OP, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]),  # dconv of kernel 3 is dconv_k3
        (SHARED_OP, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (SHARED_RATIO, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),  # r0 squeezes nothing
        (SHARED_RATIO, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0, 0, 0, 0, 0]),  # mbconv_e1 is dconv
    ],
)
def test_an_architecture_that_two_shared_options_can_build_has_the_first(
    space: SearchSpace, one: list[int], other: list[int]
) -> None:
    assert space.decode(np.array(one)) == space.decode(np.array(other))
    assert space.canonical(np.array([other])).tolist() == [one]
    assert space.encode(space.decode(np.array(other))).tolist() == one


@pytest.mark.parametrize("space", SHARING, ids=lambda space: space.name)
def test_of_all_that_the_blocks_could_be_a_space_that_shares_holds_what_agrees(space: SearchSpace) -> None:
    free = replace(space, shared=())
    held = set(space.networks(every_genome(space)))
    drawn = set(free.networks(free.sample(500, rng=np.random.default_rng(0))))
    assert {network for network in drawn if space.contains(network)} == drawn & held
    assert drawn & held
    assert not drawn <= held


def test_blocks_that_do_not_agree_are_refused_with_what_they_should_share() -> None:
    network = parse_network("16x16x1/stem8/r0_o8/r1_k3_s22_e1_o32/head16/4")
    with pytest.raises(SpaceError, match="all blocks of space shared-op have the same op, kernel"):
        SHARED_OP.encode(network.architecture)
    assert not SHARED_OP.contains(network)
    assert replace(SHARED_OP, shared=()).contains(network)


def test_a_block_outside_a_space_that_shares_is_named() -> None:
    network = parse_network("stem8/r1_k3_e1_o8/r1_k5_s22_e1_o32/head16")
    with pytest.raises(SpaceError, match="block 2 of the architecture is no choice of space shared-op"):
        SHARED_OP.encode(network.architecture)


def test_widths_that_no_shared_filters_lead_to_need_no_rows() -> None:
    pairs = {(layer.spec.in_channels, layer.spec.out_channels) for layer in SHARED_FILTERS.layers()}
    assert {(8, 24), (8, 32), (24, 24), (32, 32)} <= pairs
    assert not pairs & {(24, 32), (32, 24)}
