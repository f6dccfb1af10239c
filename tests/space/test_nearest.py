"""The nearest genome of any architecture, random changes, and all the genomes of a small space."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY, genomes, spaces
from support.search_problem import SMALLEST
from support.space_walk import SHARING, every_genome, small_spaces

from mnas_evo.errors import SpaceError
from mnas_evo.space.architecture import Architecture, Block
from mnas_evo.space.choices import BlockChoices
from mnas_evo.space.named import named_network
from mnas_evo.space.neighbourhood import mutated, nearest, neighbours
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

NAMES = ("paper", "digits", "fashion-mnist", "mbconv-e146", "around-a1", "nas-bench-macro", "single-op")
SPACES = {name: load_space(name) for name in NAMES}
PAPER = SPACES["paper"]


# Nearest


@pytest.mark.parametrize("space", [*SPACES.values(), *SHARING], ids=lambda space: space.name)
@given(data=st.data())
def test_an_architecture_of_the_space_is_its_own_nearest(space: SearchSpace, data: st.DataObject) -> None:
    for genome in space.canonical(data.draw(genomes(space, most=3))):
        assert np.array_equal(nearest(space, space.decode(genome)), genome)


@given(st.data())
def test_in_any_space_an_architecture_is_its_own_nearest(data: st.DataObject) -> None:
    space = data.draw(spaces())
    for genome in space.canonical(data.draw(genomes(space, most=3))):
        assert np.array_equal(nearest(space, space.decode(genome)), genome)


@given(st.data())
def test_the_nearest_in_another_space_has_its_kernels_ratios_and_depths(data: st.DataObject) -> None:
    wider, narrower = SPACES["around-a1"], PAPER  # of the same options, on other channels
    (genome,) = wider.canonical(data.draw(genomes(wider, most=1)))
    found = narrower.decode(nearest(narrower, wider.decode(genome)))
    for block, wanted in zip(found.blocks, wider.decode(genome).blocks, strict=True):
        assert (block.op, block.expansion, block.kernel) == (wanted.op, wanted.expansion, wanted.kernel)
        assert block.se_ratio == wanted.se_ratio
        assert abs(block.layers - wanted.layers) <= 1


# As the block strings show: kernels, expansions, and whether a block squeezes and excites.
PUBLISHED = {
    "mnasnet-a1": ([3, 3, 5, 3, 3, 5, 3], [1, 6, 3, 6, 6, 6, 6], [0, 0, 0.25, 0, 0.25, 0.25, 0]),
    "mnasnet-b1": ([3, 3, 5, 5, 3, 5, 3], [1, 3, 3, 6, 6, 6, 6], [0] * 7),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_nearest_of_a_published_network_has_what_its_string_shows(name: str) -> None:
    kernels, expansions, ratios = PUBLISHED[name]
    genome = nearest(PAPER, named_network(name).architecture)
    assert np.array_equal(PAPER.canonical(genome[None])[0], genome)
    blocks = PAPER.decode(genome).blocks
    assert {block.op for block in blocks} == {"mbconv"}
    assert [block.kernel for block in blocks] == kernels
    assert [block.expansion for block in blocks] == expansions
    assert [block.se_ratio for block in blocks] == ratios


def test_the_nearest_of_a1_has_the_nearest_widths_and_depths_that_the_papers_space_offers() -> None:
    blocks = PAPER.decode(nearest(PAPER, named_network("mnasnet-a1").architecture)).blocks
    # A1 has 16, 24, 40, 80, 112, 160 and 320 channels and 1, 2, 3, 4, 2, 3 and 1 layers.
    assert [block.out_channels for block in blocks] == [16, 24, 40, 80, 120, 160, 320]
    assert [block.layers for block in blocks] == [1, 2, 3, 4, 2, 3, 1]


def test_a1_lies_in_the_space_around_it_and_is_its_own_nearest_there() -> None:
    a1, space = named_network("mnasnet-a1").architecture, SPACES["around-a1"]
    assert space.decode(nearest(space, a1)) == a1


def test_an_architecture_of_another_number_of_blocks_has_no_nearest() -> None:
    a1 = named_network("mnasnet-a1").architecture
    with pytest.raises(SpaceError, match="space digits has 4 blocks, the architecture 7"):
        nearest(SPACES["digits"], a1)
    with pytest.raises(SpaceError, match="space paper has 7 blocks, the architecture 6"):
        nearest(PAPER, Architecture(a1.blocks[:6]))


# Distances


def distances(choices: BlockChoices, block: Block) -> dict[str, list[float]]:
    return dict(zip(("op", "kernel", "se_ratio", "skip", "filters", "layers"), choices.distances(block), strict=True))


CHOICES = BlockChoices(
    channels=16,
    layers=2,
    stride=1,
    ops=("r0", "conv", "dconv", "mbconv_e3", "mbconv_e6"),
    kernels=(3, 5),
    se_ratios=(0.0, 0.25),
    skips=("pool", "identity", "none"),
    filters=(0.75, 1.0, 1.5),
    layer_changes=(-1, 0, 2),
)
BLOCK = Block("mbconv", 5, 4, 0.25, "none", 16, 16, 1, 3)


def test_what_a_block_has_is_0_away_and_the_rest_by_what_it_differs() -> None:
    found = distances(CHOICES, BLOCK)
    assert found["kernel"] == [2, 0]
    assert found["se_ratio"] == [0.25, 0]
    assert found["filters"] == [0, 0, 8]  # .75 of 16 channels round to 16, too
    assert found["layers"] == [2, 1, 1]
    assert found["skip"] == [2, 1, 0]  # an identity is nearer to none than a pooled skip is


def test_the_kind_of_op_counts_more_than_its_expansion_and_that_by_its_ratio() -> None:
    none, conv, dconv, three, six = distances(CHOICES, BLOCK)["op"]
    assert three < six < dconv < 10 < conv < none  # 4 / 3 < 6 / 4 < 4 / 1
    assert three == pytest.approx(np.log(4 / 3))


def test_of_no_layer_no_op_is_nearest() -> None:
    nothing = replace(BLOCK, layers=0)
    assert np.argmin(distances(CHOICES, nothing)["op"]) == 0


def test_a_kernel_that_an_op_names_counts_only_among_ops_of_like_expansion() -> None:
    named = replace(CHOICES, ops=("mbconv_e4_k3", "mbconv_e6_k5", "mbconv_e4_k7", "mbconv_e4_k5"))
    assert np.argsort(distances(named, BLOCK)["op"], kind="stable").tolist() == [3, 0, 2, 1]


def test_an_op_that_names_no_kernel_has_the_nearest_that_there_is() -> None:
    mixed = replace(CHOICES, ops=("mbconv_e4", "mbconv_e4_k5"), kernels=(3,))
    assert np.argmin(distances(mixed, BLOCK)["op"]) == 1


# Mutation


@pytest.mark.parametrize("space", [*SPACES.values(), *SHARING, SMALLEST], ids=lambda space: space.name)
@given(data=st.data())
def test_a_mutation_changes_one_choice_and_stays_in_the_space(space: SearchSpace, data: st.DataObject) -> None:
    genes = space.canonical(data.draw(genomes(space, most=3)))
    before = genes.copy()
    changed = mutated(space, genes, rng=np.random.default_rng(data.draw(st.integers(0, 99))))
    assert np.array_equal(genes, before)
    assert changed.shape == genes.shape and changed.dtype == np.int64
    assert np.array_equal(space.canonical(changed), changed)
    for row, child in zip(genes, changed, strict=True):
        assert any(np.array_equal(child, near) for near in (row, *neighbours(space, row)))


def test_before_the_canonical_form_exactly_one_gene_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    genes = PAPER.sample(500, rng=np.random.default_rng(0))
    monkeypatch.setattr(SearchSpace, "canonical", lambda space, rows: rows)
    differs = mutated(PAPER, genes, rng=np.random.default_rng(1)) != genes
    assert (differs.sum(axis=1) == 1).all()
    assert set(np.flatnonzero(differs.any(axis=0))) == set(range(len(PAPER.sizes)))  # every gene at some time


@small_spaces
def test_every_neighbour_comes_by_mutation(space: SearchSpace) -> None:
    (genome,) = space.sample(1, rng=np.random.default_rng(0))
    children = mutated(space, np.repeat(genome[None], 2_000, axis=0), rng=np.random.default_rng(1))
    near = {tuple(row) for row in neighbours(space, genome)}
    assert near <= {tuple(row) for row in children} <= near | {tuple(genome)}


def test_where_nothing_can_change_a_mutation_changes_nothing() -> None:
    one = replace(TINY.blocks[0], ops=("conv",), se_ratios=(0.0,), skips=("pool",), filters=(1.0,), layer_changes=(0,))
    alone = replace(TINY, blocks=(one,))
    genes = np.zeros((3, 6), dtype=np.int64)
    assert np.array_equal(mutated(alone, genes, rng=np.random.default_rng(0)), genes)
    assert np.array_equal(alone.all_genes(), genes[:1])
    assert mutated(PAPER, np.zeros((0, len(PAPER.sizes)), dtype=np.int64), rng=np.random.default_rng(0)).shape[0] == 0


# All genes


def test_all_genes_of_nas_bench_macro_are_6561() -> None:
    genes = SPACES["nas-bench-macro"].all_genes()
    assert len(np.unique(genes, axis=0)) == len(genes) == 6_561


@pytest.mark.parametrize("space", [SMALLEST, SPACES["single-op"], TINY, *SHARING], ids=lambda space: space.name)
def test_all_genes_are_the_canonical_forms_of_every_genome_once(space: SearchSpace) -> None:
    genes = space.all_genes()
    assert len(genes) == space.architectures
    assert np.array_equal(np.unique(genes, axis=0), np.unique(space.canonical(every_genome(space)), axis=0))
    assert np.array_equal(space.canonical(genes), genes)


def test_a_long_space_of_few_choices_has_all_its_genes_too() -> None:
    only = BlockChoices(16, 1, 1, ("conv",), (3,), (0.0,), ("none",), (1.0,), (0,))
    long = SearchSpace("long", TINY.frame, (*[only] * 15, replace(only, kernels=(3, 5))))
    assert len(long.sizes) == 96
    assert len(long.all_genes()) == long.architectures == 2
