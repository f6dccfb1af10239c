"""What stays in float: as little as keeps the loss within bounds, and the parts that hurt most."""

import json

import pytest

from mnas_evo.shipping.within_points import BASE, Trial, quantise_within

GROUPS = ("stem", "block 1", "block 2", "head")
HARM = {"block 1": 0.2, "block 2": 1.0, "head": 0.6}  # points that each loses in int8


def quantise(in_float: tuple[str, ...]) -> bytes:
    return json.dumps(in_float).encode()


def judge(content: bytes, *, more: float = 0.0) -> tuple[float, float]:
    lost = sum(points for group, points in HARM.items() if group not in json.loads(content))
    return lost + more, lost / 100


def test_int8_that_loses_little_is_tried_once() -> None:
    found = quantise_within(quantise, judge, GROUPS, may_lose_points=2.0)
    assert found.trials == (found.trial,) == (Trial(BASE, pytest.approx(1.8), pytest.approx(0.018)),)  # type: ignore[arg-type]
    assert json.loads(found.content) == ["stem"]


@pytest.mark.parametrize(
    ("may_lose", "kept"), [(1.0, ["block 2"]), (0.5, ["block 2", "head"]), (0.1, ["block 2", "head", "block 1"])]
)
def test_the_worst_stay_in_float_and_no_more_than_needed(may_lose: float, kept: list[str]) -> None:
    found = quantise_within(quantise, judge, GROUPS, may_lose_points=may_lose)
    assert json.loads(found.content) == ["stem", *kept] == list(found.trial.in_float)
    assert found.trial.lost_points <= may_lose


def test_where_nothing_helps_it_is_what_loses_least_and_the_search_ends() -> None:
    numbers = []
    found = quantise_within(
        quantise, lambda content: judge(content, more=5.0), GROUPS, tried=lambda trial, number: numbers.append(number)
    )
    assert found.trial.in_float == ("stem", "block 2", "head", "block 1")
    assert found.trial.lost_points == pytest.approx(5.0)
    assert numbers == list(range(1, 2 * len(GROUPS) - 1))


def test_a_network_without_groups_to_try_keeps_its_int8() -> None:
    assert quantise_within(quantise, judge, ()).trial.lost_points == pytest.approx(1.8)
