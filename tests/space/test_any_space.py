"""Laws of spaces drawn at random, of which every genome is looked at."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import spaces
from support.space_walk import check_rows, every_genome, one_by_one, walked

from mnas_evo.space.architecture import Architecture
from mnas_evo.space.lowering import lower
from mnas_evo.space.neighbourhood import neighbours
from mnas_evo.space.space import SearchSpace


@given(spaces())
def test_any_spaces_genomes_decode_as_their_options_say(space: SearchSpace) -> None:
    assert [space.decode(np.array(genome)) for genome, _ in one_by_one(space)] == [
        built for _, built in one_by_one(space)
    ]


@given(spaces())
def test_any_spaces_canonical_genomes_are_the_first_of_their_architectures(space: SearchSpace) -> None:
    first: dict[Architecture, tuple[int, ...]] = {}
    for genome, built in one_by_one(space):
        first.setdefault(built, genome)
    expected = [first[built] for _, built in one_by_one(space)]
    assert [tuple(row) for row in space.canonical(every_genome(space))] == expected
    assert {built: tuple(space.encode(built)) for built in first} == first
    assert len(first) == space.architectures


@given(spaces())
def test_any_spaces_rows_are_the_layers_of_its_architectures(space: SearchSpace) -> None:
    layers = space.layers()
    used = {layer for _, built in one_by_one(space) for layer in lower(space.network(built)).layers}
    assert set(layers) == used
    assert len(layers) == len(used)
    check_rows(space, every_genome(space)[::5])


@given(spaces())
def test_any_spaces_architectures_are_reached_by_walking_neighbours(space: SearchSpace) -> None:
    genes = space.canonical(every_genome(space)[:1])
    near: dict[tuple[int, ...], list[tuple[int, ...]]] = {
        tuple(row): [] for row in space.canonical(every_genome(space))
    }
    for genome in near:
        near[genome] = [tuple(row) for row in neighbours(space, np.array(genome))]
    assert walked(near, tuple(genes[0])) == set(near)


@given(spaces(), st.integers(0, 2**32))
def test_any_space_holds_a_network_exactly_when_a_genome_decodes_to_it(space: SearchSpace, seed: int) -> None:
    held = {built for _, built in one_by_one(space)}
    free = replace(space, shared=())
    for genome in free.sample(20, rng=np.random.default_rng(seed)):
        built = free.decode(genome)
        assert space.contains(space.network(built)) == (built in held)
