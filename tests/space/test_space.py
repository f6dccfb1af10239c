"""Genes and architectures: canonical form, there and back, counts, and sums without objects."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY, genomes
from support.space_walk import SHARED_FILTERS, SHARED_OP, check_rows, every_genome, small_spaces

from mnas_evo.errors import SpaceError
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import Genes, SearchSpace, distinct_rows
from mnas_evo.space.space_file import load_space, space_names

NAMED_SPACES = {name: load_space(name) for name in space_names()}
PAPER, DIGITS = NAMED_SPACES["paper"], NAMED_SPACES["digits"]


def counts(layer: Layer) -> np.ndarray:
    """A vector of whole numbers a layer."""
    return np.array([layer.macs, layer.params, len(layer.ops), 1], dtype=np.float64)


SUMS = {space.name: space.gene_sums(counts) for space in (PAPER, DIGITS, TINY, SHARED_OP, SHARED_FILTERS)}


# The paper's space


def test_the_papers_space_has_432_choices_a_block() -> None:
    assert [np.prod(block.sizes) for block in PAPER.blocks] == [432] * 7
    assert PAPER.genomes == 432**7


def test_the_papers_space_has_its_number_of_architectures() -> None:
    assert PAPER.architectures == 342_378_257_213_030_400


def test_the_papers_space_has_its_number_of_rows() -> None:
    layers = PAPER.layers()
    assert len(layers) == len(set(layers)) == 2_453
    assert len({layer.spec.key for layer in layers}) == 2_453
    edges = [layer for layer in layers if layer.in_shape[0] == 3 or layer.spec.out_channels in (1000, 1280)]
    assert len(edges) == 5  # stem, three heads and the classifier
    assert len(layers) - len(edges) == 2_448


def test_the_papers_space_holds_its_skeletons_mbconvs() -> None:
    skeleton = (
        "stem32/r1_k3_e3_o16_noskip/r2_k3_s22_e6_o24/r3_k5_s22_e6_o32_se0.25_pool/r4_k3_s22_e6_o64/r3_k3_o96_conv"
        "/r3_k3_s22_e1_o160/r1_k3_e6_o320_noskip/head1280"
    )
    network = parse_network(skeleton)
    assert PAPER.contains(network)
    assert PAPER.decode(PAPER.encode(network.architecture)) == network.architecture


# Laws of genes

some_spaces = pytest.mark.parametrize("space", [PAPER, DIGITS, SHARED_OP, SHARED_FILTERS], ids=lambda space: space.name)


@some_spaces
@given(st.data())
def test_canonical_form_is_idempotent(space: SearchSpace, data: st.DataObject) -> None:
    once = space.canonical(data.draw(genomes(space)))
    assert np.array_equal(space.canonical(once), once)


@some_spaces
@given(st.data())
def test_canonical_form_keeps_the_architecture(space: SearchSpace, data: st.DataObject) -> None:
    genes = data.draw(genomes(space))
    assert space.networks(space.canonical(genes)) == space.networks(genes)


@some_spaces
@given(st.data())
def test_encoding_undoes_decoding_up_to_canonical_form(space: SearchSpace, data: st.DataObject) -> None:
    genes = data.draw(genomes(space))
    back = np.stack([space.encode(space.decode(row)) for row in genes])
    assert np.array_equal(back, space.canonical(genes))


@some_spaces
@given(st.data())
def test_a_genomes_string_is_read_back_as_its_network(space: SearchSpace, data: st.DataObject) -> None:
    genes = data.draw(genomes(space))
    for network, string in zip(space.networks(genes), space.strings(genes), strict=True):
        assert parse_network(string) == network
        assert space.contains(parse_network(string))


@small_spaces
def test_all_genomes_of_a_small_space_fall_together_exactly_as_their_graphs_do(space: SearchSpace) -> None:
    genes = every_genome(space)
    canonical = [tuple(row) for row in space.canonical(genes)]
    graphs = [lower(network) for network in space.networks(genes)]
    pairs = set(zip(canonical, graphs, strict=True))
    assert len(genes) == space.genomes
    assert len(pairs) == len(set(canonical)) == len(set(graphs)) == space.architectures


@small_spaces
def test_canonical_form_is_the_first_genome_of_its_architecture(space: SearchSpace) -> None:
    genes = every_genome(space)
    first: dict[object, tuple[int, ...]] = {}
    for row, network in zip(genes, space.networks(genes), strict=True):
        first.setdefault(network, tuple(row))
    assert {tuple(row) for row in space.canonical(genes)} == set(first.values())


@small_spaces
def test_the_rows_of_a_small_space_are_those_of_all_its_architectures(space: SearchSpace) -> None:
    used = {layer for network in space.networks(every_genome(space)) for layer in lower(network).layers}
    assert set(space.layers()) == used


@some_spaces
@given(st.data())
def test_sums_over_genes_are_sums_over_layers(space: SearchSpace, data: st.DataObject) -> None:
    genes = data.draw(genomes(space))
    expected = [np.sum([counts(layer) for layer in lower(network).layers], axis=0) for network in space.networks(genes)]
    assert np.array_equal(space.sum_over(genes, SUMS[space.name]), expected)


@some_spaces
@given(st.data())
def test_sums_are_those_of_the_canonical_genome(space: SearchSpace, data: st.DataObject) -> None:
    genes = data.draw(genomes(space))
    sums = SUMS[space.name]
    assert np.array_equal(space.sum_over(genes, sums), space.sum_over(space.canonical(genes), sums))


def test_sums_over_no_genomes_are_empty() -> None:
    none = np.zeros((0, len(TINY.sizes)), dtype=np.int64)
    assert TINY.sum_over(none, SUMS["tiny"]).shape == (0, 4)
    assert TINY.canonical(none).shape == none.shape


@given(genomes(TINY, most=30))
def test_distinct_rows_are_the_first_of_each_genome(genes: Genes) -> None:
    picked = list(distinct_rows(genes))
    assert picked == sorted(picked)
    assert len(picked) == len({tuple(row) for row in genes})
    assert {tuple(genes[i]) for i in picked} == {tuple(row) for row in genes}
    assert all(tuple(genes[i]) not in {tuple(row) for row in genes[:i]} for i in picked)


# Rows and counts from genes


@pytest.mark.parametrize("name", ["paper", "digits", "around-a1", "mbconv-e146", "nas-bench-macro", "single-op"])
@given(st.data())
def test_the_rows_of_a_genome_are_those_of_its_layers_in_order(name: str, data: st.DataObject) -> None:
    space = NAMED_SPACES[name]
    genes = data.draw(genomes(space))
    check_rows(space, genes)


@small_spaces
def test_the_rows_of_all_genomes_of_a_small_space_are_those_of_their_layers(space: SearchSpace) -> None:
    check_rows(space, every_genome(space)[:: space.genomes // 500])


def test_only_what_a_block_has_less_than_it_could_is_filled_up() -> None:
    # Two blocks of one to two layers between stem and head.
    genes = np.array([[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]])
    indices = TINY.layer_indices(genes)
    assert indices.shape == (2, 1 + 1 + 2 + 2)
    assert (indices == -1).tolist() == [[False, False, False, True, False, False], [False] * 6]


def test_a_layer_that_is_both_a_stem_and_a_blocks_is_one_row() -> None:
    text = "8x8x8/stem8_s1/r1_k3_o8_noskip_conv/head8/2"
    frame = replace(TINY.frame, height=8, width=8, channels=8, stem_stride=1, head_channels=8, classes=2)
    one = replace(TINY.blocks[0], ops=("conv",), se_ratios=(0.0,), skips=("none",))
    space = replace(TINY, frame=frame, blocks=(one,))
    assert space.strings(np.zeros((1, 6), dtype=np.int64)) == [format_network(parse_network(text))]
    assert space.layer_indices(np.zeros((1, 6), dtype=np.int64)).tolist() == [[0, 0, 1, 2]]


def test_counts_and_rows_of_no_genomes_are_empty() -> None:
    none = np.zeros((0, len(TINY.sizes)), dtype=np.int64)
    assert TINY.macs(none).shape == TINY.params(none).shape == (0,)
    assert TINY.layer_indices(none).shape == (0, 6)


# Sampling


def test_a_sample_is_canonical_and_reaches_every_architecture() -> None:
    genes = TINY.sample(40_000, rng=np.random.default_rng(0))
    assert np.array_equal(TINY.canonical(genes), genes)
    assert {tuple(row) for row in genes} == {tuple(row) for row in TINY.canonical(every_genome(TINY))}


def test_the_same_seed_samples_the_same_networks_in_another_process() -> None:
    program = (
        "import numpy as np; from mnas_evo.space.space_file import load_space; space = load_space('paper');"
        "print(*space.strings(space.sample(5, rng=np.random.default_rng(3))), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == PAPER.strings(PAPER.sample(5, rng=np.random.default_rng(3)))


# What is refused


@pytest.mark.parametrize(
    ("genes", "said"),
    [
        (np.zeros((2, 11), dtype=np.int64), r"12 genes, not shape \(2, 11\)"),
        (np.zeros(12, dtype=np.int64), r"12 genes, not shape \(12,\)"),
        (np.zeros((1, 12)), "whole numbers, not float64"),
        (np.full((1, 12), -1), "outside the options of space tiny"),
        (np.full((1, 12), 3), "outside the options of space tiny"),
    ],
)
def test_genes_that_are_no_genomes_are_refused(genes: Genes, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        TINY.canonical(genes)
    with pytest.raises(SpaceError, match=said):
        TINY.sum_over(genes, SUMS["tiny"])


def test_an_architecture_with_another_number_of_blocks_is_refused_with_both_numbers() -> None:
    with pytest.raises(SpaceError, match="space tiny has 2 blocks, the architecture 7"):
        TINY.encode(named_network("mobilenet-v2").architecture)


def test_an_architecture_outside_the_space_is_refused_with_its_first_such_block() -> None:
    outside = parse_network("stem8/r1_k3_e2_o8/r2_k5_s22_e2_o32/head16")
    with pytest.raises(SpaceError, match="block 2 of the architecture is no choice of space tiny"):
        TINY.encode(outside.architecture)


def test_a_space_holds_no_network_of_another_frame() -> None:
    network = TINY.networks(TINY.sample(1, rng=np.random.default_rng(0)))[0]
    assert TINY.contains(network)
    assert not TINY.contains(network.with_task(height=17, width=16, channels=1, classes=4))


def test_the_fingerprint_is_of_what_defines_the_space_but_its_name() -> None:
    assert replace(TINY, name="another").fingerprint == TINY.fingerprint
    assert replace(TINY, shared=("op",)).fingerprint != replace(TINY, shared=("skip",)).fingerprint
    for other in (
        replace(TINY, blocks=TINY.blocks[:1]),
        replace(TINY, blocks=(replace(TINY.blocks[0], kernels=(5,)), TINY.blocks[1])),
        replace(TINY, frame=replace(TINY.frame, classes=5)),
        replace(TINY, shared=("op",)),
        replace(TINY, shared=("op", "kernel")),
    ):
        assert other.fingerprint != TINY.fingerprint


def test_a_space_that_shares_nothing_has_the_fingerprint_it_always_had() -> None:
    # Tables and runs of earlier versions hold it.
    assert PAPER.fingerprint == "7b5b4f8270ba6e641011057ac56431ba38f16bf6ba1921fc1a41d8b3c199b320"
