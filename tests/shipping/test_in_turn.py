"""Times taken in turn, and what can be said of their ratio."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.shipping.in_turn import latency, ratio, time_in_turn
from mnas_evo.shipping.processor import has_int8_dot_products, processor_name


def test_every_way_has_its_turn_in_both_orders_as_often_as_the_others() -> None:
    order: list[str] = []
    times = time_in_turn({name: partial(order.append, name) for name in ("a", "b", "c")}, seconds=0.0)
    assert [len(column) for column in times.values()] == [11, 11, 11]
    turns = [name for before, name in zip(["", *order], order, strict=False) if name != before]
    assert turns[:12] == ["a", "b", "c", "a", "b", "c", "b", "a", "b", "c", "b", "a"]  # warm-ups, then to and fro


def test_more_seconds_are_more_rounds() -> None:
    few, many = (len(time_in_turn({"a": lambda: None}, seconds=seconds)["a"]) for seconds in (0.0, 0.5))
    assert few < many


def test_a_ratio_is_taken_round_by_round_so_that_a_machine_that_slows_down_does_not_move_it() -> None:
    slowing = np.linspace(1e6, 3e6, 40).astype(np.int64)
    found = ratio(2 * slowing, slowing)
    assert (found.median, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    assert latency(slowing).median_ms == pytest.approx(2.0, rel=1e-3)
    assert latency(slowing).iqr_ms == pytest.approx(1.0, rel=1e-3)


@given(st.integers(0, 2**31), st.integers(11, 400))
def test_the_median_lies_in_its_interval(seed: int, rounds: int) -> None:
    rng = np.random.default_rng(seed)
    found = ratio(rng.integers(900, 1100, rounds), rng.integers(900, 1100, rounds))
    assert found.low <= found.median <= found.high


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = ratio((1e6 * rng.lognormal(0, 0.1, 31)).astype(np.int64), np.full(31, 1_000_000))
        held += found.low <= 1 <= found.high
    assert 0.93 <= held / 400 <= 1


@pytest.mark.parametrize(
    ("text", "name", "fast"),
    [
        ("model name\t: A Chip\nflags\t\t: sse avx2 avx512_vnni\n", "A Chip", True),
        ("model name\t: Old Chip\nflags\t\t: sse avx2\n", "Old Chip", False),
        ("processor : 0\nFeatures\t: fp asimd asimddp\n", None, True),
        ("processor : 0\n", None, None),
        (None, None, None),
    ],
)
def test_a_processor_says_its_name_and_whether_it_has_dot_products_of_int8(
    tmp_path: Path, text: str | None, name: str | None, fast: bool | None
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    found = processor_name(tmp_path / "cpuinfo")
    assert found == name if name else found
    assert has_int8_dot_products(tmp_path / "cpuinfo") is fast
