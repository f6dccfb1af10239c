"""Choosing from a front."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tradeoffs

from mnas_evo.errors import Infeasible
from mnas_evo.finalists.choose import choose, finalists, knee, spread
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


def test_a_budget_is_not_met_by_a_prediction_where_others_were_measured() -> None:
    measured = replace(candidate(80, 4), measured_ms=4.0)
    assert choose([*BENT, measured], target_ms=8) is measured
    with pytest.raises(Infeasible, match="fastest takes 4 ms"):
        choose([*BENT, measured], target_ms=3)


LONG = [candidate(50 + step / 10, 1 + step / 100) for step in range(400)]  # 1 to 4.99 ms


def times(chosen: list[Candidate]) -> list[float]:
    return [one.quantity("latency_ms") for one in chosen]


def test_around_a_limit_a_fifth_lies_just_within_it_and_a_fifth_just_beyond() -> None:
    found = times(finalists(LONG, 20, limit_ms=3.005))
    assert len(found) == 20 and found == sorted(found)
    assert 3.0 in found and 3.01 in found  # the most accurate within, and the first beyond
    near = [ms for ms in found if 0.9 <= ms / 3.005 <= 1.1]
    assert sum(ms < 3.005 for ms in near) >= 4 and sum(ms > 3.005 for ms in near) >= 4
    assert {1.0, 4.99} <= set(found)


@pytest.mark.parametrize(("count", "expected"), [(1, [3.0]), (2, [3.0, 3.01])])
def test_of_few_finalists_those_at_the_limit_come_first(count: int, expected: list[float]) -> None:
    assert times(finalists(LONG, count, limit_ms=3.005)) == expected


def test_what_was_turned_down_for_the_limit_alone_may_lie_just_beyond_it_and_nowhere_else() -> None:
    within, beyond = LONG[:200], LONG[200:]
    found = times(finalists(within, 10, limit_ms=2.995, beyond=beyond))
    assert sorted(ms for ms in found if ms > 2.995)[0] == 3.0
    assert sum(ms > 2.995 for ms in found) == 2 and max(found) < 1.1 * 2.995


def test_a_limit_that_all_are_within_or_beyond_takes_those_nearest() -> None:
    assert 4.99 in times(finalists(LONG, 6, limit_ms=50.0))
    assert 1.0 in times(finalists(LONG, 6, limit_ms=0.1))
    assert finalists([], 6, limit_ms=1.0) == []


@given(tradeoffs(), st.integers(1, 40), st.none() | st.integers(1, 100))
def test_there_are_as_many_finalists_as_were_asked_for_and_the_front_comes_first(
    points: list[tuple[int, int]], count: int, limit: int | None
) -> None:
    distinct = list(dict.fromkeys(points))
    found = [candidate(float(top1), float(ms)) for top1, ms in distinct]
    chosen = finalists(found, count, limit_ms=None if limit is None else float(limit))
    assert len(chosen) == min(count, len(found)) == len({one.network for one in chosen})
    assert times(chosen) == sorted(times(chosen))
    best = front(found, ("top1", "latency_ms"))
    on_front = [one for one in chosen if one.network in {one.network for one in best}]
    assert len(on_front) == min(count, len(best)) or limit is not None


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
