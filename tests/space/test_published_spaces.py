"""The spaces that come with the package: their sizes, what lies in them, and tables that others published of them."""

import csv
from collections.abc import Iterator

import numpy as np
import pytest
from support.real_data import real_data
from support.space_walk import every_genome

from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space, space_names

SPACES = {name: load_space(name) for name in space_names()}
MACRO, E146, SINGLE_OP = SPACES["nas-bench-macro"], SPACES["mbconv-e146"], SPACES["single-op"]
A1_VARIANTS = [f"a1-mbconv{expansion}-k{kernel}" for expansion in (3, 6) for kernel in (3, 5)]


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """Rows of a table of the real data."""
    with real_data(name).open() as file:
        yield from csv.DictReader(file)


@pytest.mark.parametrize(
    ("name", "genomes", "architectures", "rows"),
    [
        ("paper", 432**7, 342_378_257_213_030_400, 2_453),
        ("around-a1", 432**7, 304_336_228_633_804_800, 2_453),
        ("digits", 432**4, 2_952_790_016, 757),
        ("mbconv-e146", 104_485_552_128, 104_485_552_128, 171),
        ("nas-bench-macro", 6_561, 6_561, 18),
        ("single-op", 4, 4, 51),
    ],
)
def test_a_space_has_its_sizes(name: str, genomes: int, architectures: int, rows: int) -> None:
    space = SPACES[name]
    assert (space.genomes, space.architectures, len(space.layers())) == (genomes, architectures, rows)


def test_accel_nasbenchs_space_has_as_many_genomes_as_its_choices_say() -> None:
    assert E146.architectures == (3 * 2 * 3 * 2) ** 6 * (3 * 2 * 4 * 2)


# What lies where


def test_single_op_is_exactly_the_four_named_networks() -> None:
    networks = SINGLE_OP.networks(every_genome(SINGLE_OP))
    assert networks == [named_network(name) for name in A1_VARIANTS]


def test_every_genome_of_single_op_is_its_own() -> None:
    genes = every_genome(SINGLE_OP)
    assert np.array_equal(SINGLE_OP.canonical(genes), genes)


@pytest.mark.parametrize("name", [*A1_VARIANTS, "mnasnet-a1"])
def test_a1_and_its_variants_lie_around_a1(name: str) -> None:
    space = SPACES["around-a1"]
    network = named_network(name)
    assert space.contains(network)
    assert space.decode(space.encode(network.architecture)) == network.architecture


@pytest.mark.parametrize(
    "space", [space for name, space in SPACES.items() if name != "around-a1"], ids=lambda space: space.name
)
@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_a1_and_b1_lie_in_no_other_space(name: str, space: SearchSpace) -> None:
    assert not space.contains(named_network(name))


# Tables of others


def test_nas_bench_macros_networks_are_all_of_its_space_with_its_counts() -> None:
    rows = list(rows_of("nas-bench-macro.csv"))
    genes = np.zeros((len(rows), len(MACRO.sizes)), dtype=np.int64)
    genes[:, ::6] = [[int(digit) for digit in row["arch"]] for row in rows]
    assert len(rows) == len({tuple(row) for row in MACRO.canonical(genes)}) == MACRO.architectures == 6_561
    assert len(set(MACRO.networks(genes))) == 6_561
    assert MACRO.params(genes).tolist() == [int(row["params"]) for row in rows]
    assert MACRO.macs(genes).tolist() == [int(row["flops"]) for row in rows]


SKELETON = ((16, 1), (24, 2), (40, 2), (80, 2), (112, 1), (192, 2), (320, 1))


def accel_block(row: dict[str, str], b: int) -> str:
    """A block of Accel-NASBench's table in our notation."""
    channels, stride = SKELETON[b]
    e, k, layers, se = (row[f"block{b}_{letter}"] for letter in ("e", "k", "l", "se"))
    return f"r{layers}_k{k}_s{stride}{stride}_e{e}_o{channels}" + ("_se0.25" if se == "1" else "")


def test_accel_nasbenchs_networks_lie_in_their_space_with_their_parameters() -> None:
    rows = list(rows_of("accel-nasbench-half.csv"))
    strings = ["/".join(["stem32", *(accel_block(row, b) for b in range(7)), "head1280"]) for row in rows]
    genes = np.stack([E146.encode(parse_network(string).architecture) for string in strings])
    assert len(rows) == 2_562
    assert len({tuple(row) for row in genes}) > 2_500
    assert E146.params(genes).tolist() == [round(float(row["params"]) * 1e6) for row in rows]
    ratios = np.array([float(row["macs"]) * 1e6 for row in rows]) / E146.macs(genes)
    assert ratios.min() > 1.03  # another way of counting
    assert ratios.max() < 1.17
