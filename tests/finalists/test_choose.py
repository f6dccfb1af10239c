"""Choosing from a front."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tradeoffs

from mnas_evo.errors import Infeasible
from mnas_evo.finalists.choose import choose, knee, spread
from mnas_evo.search.archive import Tell, Value
from mnas_evo.search.front import Candidate, front


def candidate(top1: float, ms: float) -> Candidate:
    values = {"top1": Value(top1, "t"), "latency_ms": Value(ms, "t")}
    return Candidate(Tell(0, 0, f"{top1} {ms}", (), "values", values=values), top1, ms, ms, None)


BENT = [candidate(60, 1), candidate(89, 2), candidate(92, 5), candidate(93, 9)]


def test_the_knee_is_where_the_front_bends() -> None:
    assert knee(BENT) is BENT[1]


def test_within_a_budget_the_most_accurate_is_chosen() -> None:
    assert choose(BENT, target_ms=8).top1 == 92
    assert choose(BENT, target_ms=None) is BENT[1]


def test_a_budget_that_nothing_meets_names_the_fastest() -> None:
    with pytest.raises(Infeasible, match="fastest takes 1 ms"):
        choose(BENT, target_ms=0.5)
    with pytest.raises(Infeasible, match="empty"):
        choose([], target_ms=None)


@given(tradeoffs(), st.integers(2, 12))
def test_a_spread_holds_ends_and_knee_in_order_and_no_more_than_asked(
    points: list[tuple[int, int]], count: int
) -> None:
    best = front([candidate(float(top1), float(ms)) for top1, ms in points], ("top1", "latency_ms"))
    chosen = spread(best, count)
    assert len(chosen) == min(count, len(best)) or len(chosen) == count - 1
    assert [c.network for c in chosen] == [c.network for c in best if c in chosen]
    if count >= 3:
        assert {best[0].network, best[-1].network, knee(best).network} <= {c.network for c in chosen}
