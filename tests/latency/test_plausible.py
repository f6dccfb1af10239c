"""Times in another unit stand out, and times of any device that works do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.errors import DamagedFile
from mnas_evo.latency.plausible import FEWEST, MOST_BESIDE, beside_size, refuse_other_units, size
from mnas_evo.latency.table import parse_row_key, read_table, shipped_tables
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

Times = list[tuple[str, int, float]]


@st.composite
def sane_times(draw: st.DrawFn, *, sizes: st.SearchStrategy[int]) -> Times:
    """Times of a device with a fixed cost and a rate, each up to three times beside what they make of its size."""
    some = draw(st.lists(sizes, min_size=FEWEST, max_size=60))
    unit, cost = draw(st.floats(1e-6, 1e6)), draw(st.integers(0, 10**9))
    beside = draw(st.lists(st.floats(1 / 3, 3), min_size=len(some), max_size=len(some)))
    return [
        (f"line {i}", size, unit * (cost + size) * factor)
        for i, (size, factor) in enumerate(zip(some, beside, strict=True))
    ]


@given(sane_times(sizes=st.integers(1, 10**10)))
def test_no_device_of_a_fixed_cost_and_a_rate_is_refused_however_far_sizes_lie_apart(times: Times) -> None:
    refuse_other_units(times)


@given(sane_times(sizes=st.integers(10**6, 10**6 + 10**5)), st.sampled_from([3e3, 1e6, 1 / 3e3, 1e-6]), st.data())
def test_a_time_in_another_unit_is_refused_among_others_of_its_size(
    times: Times, factor: float, data: st.DataObject
) -> None:
    odd = data.draw(st.integers(0, len(times) - 1))
    where, one, ms = times[odd]
    with pytest.raises(DamagedFile, match=rf"^line {odd}: .*is it in {'micro' if factor > 1 else ''}seconds"):
        refuse_other_units([*times[:odd], (where, one, factor * ms), *times[odd + 1 :]])


@given(sane_times(sizes=st.integers(1, 10**10)), st.floats(1e-3, 1e3))
def test_what_times_are_beside_their_size_knows_no_unit(times: Times, factor: float) -> None:
    sizes, ms = np.array([size for _, size, _ in times], float), np.array([ms for *_, ms in times])
    assert beside_size(sizes, factor * ms) == pytest.approx(beside_size(sizes, ms), rel=1e-6)


def test_a_few_times_tell_nothing() -> None:
    refuse_other_units([(f"line {i}", 1000, 1.0 if i else 1e6) for i in range(FEWEST - 1)])


def test_shipped_tables_stay_five_times_within_the_limit() -> None:
    for path in shipped_tables():
        table = read_table(path)
        rows = [(size([lower_layer(parse_row_key(key)[0])]), row.ms) for key, row in table.rows.items()]
        networks = [(size(lower(parse_network(entry.network)).layers), entry.time.ms) for entry in table.networks]
        for times in (rows, networks):
            beside = beside_size(*np.array(times).T)
            assert max(beside.max(), 1 / beside.min()) < MOST_BESIDE / 5
