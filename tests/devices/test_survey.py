"""A first look at every row: what a campaign will cost, which rows there is time for, and what to sample."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import TINY, spaces
from support.known_times import FACTS, row_ms

from mnas_evo.devices.campaign import VISIT_NS
from mnas_evo.devices.survey import Survey
from mnas_evo.latency.runs import Plan
from mnas_evo.latency.table import Measured, row_key
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace

LAYERS = TINY.layers()
PLAIN = [layer for layer in LAYERS if not layer.spec.se_ratio]


def survey(space: SearchSpace = TINY, *, refused: Collection[Layer] = (), slower: float = 1.0, seed: int = 0) -> Survey:
    """A space's rows, each seen once at its true time."""
    keys = [row_key(layer, device=FACTS) for layer in space.layers() if layer not in refused]
    return Survey(space, {key: Measured(slower * row_ms(key), 0.0, 1) for key in keys}, FACTS, seed)


SEEN = survey()


@cache
def everything(space: SearchSpace) -> list[Network]:
    """Every network of a space, once."""
    genes = np.array(list(product(*(range(int(size)) for size in space.sizes))))
    return space.networks(np.unique(space.canonical(genes), axis=0))


def sum_ms(network: Network, seen: Survey = SEEN) -> float:
    """What a network's rows add up to."""
    return sum(seen.row_ms(layer) for layer in lower(network).layers)


def some_layers(*, least: int = 0) -> st.SearchStrategy[list[Layer]]:
    """Some layers of the tiny space, in any order."""
    return st.lists(st.sampled_from(LAYERS), unique=True, min_size=least)


# What is used


@given(spaces())
@settings(max_examples=20)
def test_a_layer_is_used_as_often_as_all_architectures_contain_it(space: SearchSpace) -> None:
    counted = Counter(layer for network in everything(space) for layer in lower(network).layers)
    uses = survey(space).uses
    assert list(uses) == space.layers()
    assert uses == {layer: counted[layer] for layer in space.layers()}


def test_what_stands_in_every_architecture_is_used_most() -> None:
    stem, head, classifier = (lower(everything(TINY)[0]).layers[place] for place in (0, -2, -1))
    most = max(SEEN.uses.values())
    assert SEEN.uses[stem] == SEEN.uses[classifier] == most == len(everything(TINY))
    assert 0 < SEEN.uses[head] <= most


# What it costs


@given(some_layers(least=1), st.integers(0, 50))
def test_every_row_more_and_every_network_more_make_a_pass_longer(layers: list[Layer], networks: int) -> None:
    costs = [SEEN.pass_seconds(layers[:count], networks=networks) for count in range(len(layers) + 1)]
    assert all(shorter < longer for shorter, longer in pairwise(costs))
    assert costs[-1] < SEEN.pass_seconds(layers, networks=networks + 1)


@given(some_layers(), st.integers(0, 50))
def test_a_pass_over_rows_and_networks_takes_what_both_take(layers: list[Layer], networks: int) -> None:
    both = SEEN.pass_seconds(layers, networks=networks)
    apart = SEEN.pass_seconds(layers, networks=0) + SEEN.pass_seconds((), networks=networks)
    assert both == pytest.approx(apart)
    assert SEEN.pass_seconds((), networks=networks) == pytest.approx(networks * SEEN.pass_seconds((), networks=1))


@pytest.mark.parametrize("slower", [1e-3, 1.0, 10.0, 1000.0])
def test_a_row_costs_its_visit_or_its_fewest_runs_and_little_more(slower: float) -> None:
    seen = survey(slower=slower)
    for layer in LAYERS:
        inside = max(VISIT_NS["row"] / 1e9, Plan.MIN_REPEATS * seen.row_ms(layer) / 1e3)
        assert inside < seen.pass_seconds([layer], networks=0) < 1.6 * inside


def test_a_network_costs_what_one_in_the_middle_of_the_space_does() -> None:
    seen = survey(slower=100.0)
    middle_ms = np.median([sum_ms(network, seen) for network in everything(TINY)])
    inside = Plan.MIN_REPEATS * middle_ms / 1e3
    assert inside < seen.pass_seconds((), networks=1) < 1.3 * inside


# What there is time for


@given(
    some_layers(),
    st.sets(st.sampled_from(LAYERS), max_size=20),
    st.integers(0, 30),
    st.floats(0.0, SEEN.pass_seconds(LAYERS, networks=30)),
)
@settings(max_examples=200)
def test_a_time_is_filled_with_what_is_needed_then_with_what_is_used_most(
    layers: list[Layer], needed: set[Layer], networks: int, seconds: float
) -> None:
    kept = SEEN.affordable(layers, needed=needed, networks=networks, pass_seconds=seconds)
    assert kept == [layer for layer in layers if layer in kept], "in the order given"
    must = needed.intersection(layers)
    assert must <= set(kept)
    if set(kept) > must:
        assert SEEN.pass_seconds(kept, networks=networks) <= seconds * (1 + 1e-9)
    left = [layer for layer in layers if layer not in kept]
    if left:
        most = max(left, key=lambda layer: SEEN.uses[layer])
        assert all(SEEN.uses[layer] >= SEEN.uses[most] for layer in kept if layer not in must)
        assert SEEN.pass_seconds([*kept, most], networks=networks) >= seconds * (1 - 1e-9), "no room was left"


def test_what_is_needed_is_kept_whatever_the_time() -> None:
    needed = {LAYERS[70], LAYERS[3], LAYERS[41]}
    kept = SEEN.affordable(LAYERS, needed=needed, networks=30, pass_seconds=0.0)
    assert kept == [LAYERS[3], LAYERS[41], LAYERS[70]]


def test_a_pass_of_all_the_time_keeps_all() -> None:
    assert SEEN.affordable(LAYERS, needed=set(), networks=30, pass_seconds=1e9) == LAYERS
    just_enough = SEEN.pass_seconds(LAYERS, networks=30) * (1 + 1e-9)
    assert SEEN.affordable(LAYERS, needed=set(), networks=30, pass_seconds=just_enough) == LAYERS


def test_what_is_needed_and_not_asked_for_is_not_added() -> None:
    assert SEEN.affordable(LAYERS[:5], needed={*LAYERS}, networks=3, pass_seconds=0.0) == LAYERS[:5]
    assert SEEN.affordable(LAYERS[:5], needed={LAYERS[9]}, networks=3, pass_seconds=0.0) == []


def test_layers_that_the_space_does_not_use_come_last() -> None:
    foreign = survey(replace(TINY, frame=replace(TINY.frame, height=24, width=24))).space.layers()
    alien = [layer for layer in foreign if layer not in LAYERS][:10]
    seconds = SEEN.pass_seconds(LAYERS, networks=0) * (1 + 1e-9)
    assert SEEN.affordable([*alien, *LAYERS], needed=set(), networks=0, pass_seconds=seconds) == LAYERS


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_short_time_still_buys_the_rows_of_whole_networks(share: float) -> None:
    needed = set(LAYERS[:3])
    seconds = SEEN.pass_seconds([], networks=12) + share * SEEN.pass_seconds(LAYERS, networks=0)
    rows = SEEN.rows_of_networks(12, needed=needed, networks=12, pass_seconds=seconds)
    assert SEEN.pass_seconds([*needed, *rows], networks=12) <= seconds * (1 + 1e-9)
    assert not rows & needed
    whole = [n for n in SEEN.spread(12, layers=LAYERS) if set(lower(n).layers) <= rows | needed]
    assert len(whole) >= 12 * share / 2
    assert set().union(*(lower(network).layers for network in whole)) - needed == rows


def test_no_time_buys_no_network() -> None:
    assert SEEN.rows_of_networks(12, needed=set(), networks=12, pass_seconds=0.0) == set()


# What is sampled


def test_networks_are_those_whose_rows_are_all_there() -> None:
    found = SEEN.spread(20, layers=PLAIN)
    assert len({format_network(network) for network in found}) == 20
    assert all(set(lower(network).layers) <= set(PLAIN) for network in found)
    assert all(TINY.contains(network) for network in found)


def test_a_block_without_layers_asks_for_no_row() -> None:
    # The first block of the tiny space may have no layers and the stem's width.
    shortest = min(everything(TINY), key=lambda network: len(lower(network).layers))
    assert SEEN.spread(1, layers=lower(shortest).layers) == [shortest]


@pytest.mark.parametrize("layers", [LAYERS, PLAIN], ids=["all", "without squeeze and excitation"])
def test_networks_are_spread_evenly_over_the_sums_of_their_rows(layers: list[Layer]) -> None:
    found = [sum_ms(network) for network in SEEN.spread(20, layers=layers)]
    whole = [sum_ms(network) for network in everything(TINY) if set(lower(network).layers) <= set(layers)]
    low, high = np.quantile(whole, [0.01, 0.99])
    assert found == sorted(found)
    assert found[0] == pytest.approx(low, abs=0.1 * (high - low))
    assert found[-1] == pytest.approx(high, abs=0.1 * (high - low))
    assert max(np.diff(found)) < 3 * (high - low) / 19


def test_where_no_network_is_covered_none_is_sampled() -> None:
    assert SEEN.spread(20, layers=()) == []
    covered = sum(set(lower(network).layers) <= set(PLAIN) for network in everything(TINY))
    assert all(set(lower(network).layers) <= set(PLAIN) for network in SEEN.spread(covered, layers=PLAIN))
    assert len(SEEN.spread(covered + 1, layers=PLAIN)) == covered


def test_a_space_of_fewer_architectures_gives_them_all() -> None:
    found = SEEN.spread(TINY.architectures + 1000, layers=LAYERS)
    assert {format_network(network) for network in found} == {format_network(network) for network in everything(TINY)}
    assert len(found) == TINY.architectures


def test_the_same_seed_gives_the_same_networks() -> None:
    assert survey(seed=3).spread(20, layers=LAYERS) == survey(seed=3).spread(20, layers=LAYERS)


# Refusals


@pytest.mark.parametrize("count", [1, 40, len(LAYERS)])
def test_refused_rows_count_as_no_time_and_break_nothing(count: int) -> None:
    seen = survey(refused=LAYERS[:count])
    assert [seen.row_ms(layer) for layer in LAYERS[:count]] == [0.0] * count
    assert all(seen.row_ms(layer) > 0 for layer in LAYERS[count:])
    assert 0 < seen.pass_seconds(LAYERS, networks=10) <= SEEN.pass_seconds(LAYERS, networks=10)
    assert seen.uses == SEEN.uses
    kept = seen.affordable(LAYERS, needed={LAYERS[0]}, networks=1, pass_seconds=0.1)
    assert LAYERS[0] in kept
    assert len(seen.spread(10, layers=LAYERS)) == 10


# What tells most


def test_telling_networks_are_different_ones_that_the_layers_cover() -> None:
    found = SEEN.telling(20, layers=PLAIN, beside=())
    assert len({format_network(network) for network in found}) == 20
    assert {layer for network in found for layer in lower(network).layers} <= set(PLAIN)


def test_where_there_are_no_more_than_asked_for_all_are_taken() -> None:
    few = [layer for layer in PLAIN if layer.spec.kernel != 5 and layer.spec.skip != "pool"]
    all_of_them = SEEN.spread(10_000, layers=few)
    assert 0 < len(all_of_them) < 500
    assert SEEN.telling(500, layers=few, beside=()) == all_of_them


def test_the_same_survey_chooses_the_same_networks() -> None:
    beside = everything(TINY)[:3]
    assert survey().telling(20, layers=LAYERS, beside=beside) == survey().telling(20, layers=LAYERS, beside=beside)
