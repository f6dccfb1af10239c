"""Objectives and limits as they are written, and by how much limits are missed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.search_problem import SPACE, problem

from mnas_evo.errors import RequestError
from mnas_evo.search.archive import Value
from mnas_evo.search.contract import Outcome
from mnas_evo.search.objectives import (
    Counted,
    is_latency,
    latency_quantities,
    parse_limits,
    parse_objectives,
)

TWO = ("phone", "board")
QUANTITIES = ("top1", "latency_ms", "latency_ms:board", "params", "macs")


def values(**known: float) -> dict[str, Value]:
    return {name: Value(value, "said") for name, value in known.items()}


def test_of_one_device_latency_has_no_name() -> None:
    assert latency_quantities(["phone"]) == {"phone": "latency_ms"}
    assert latency_quantities(TWO) == {"phone": "latency_ms:phone", "board": "latency_ms:board"}
    assert [is_latency(name) for name in QUANTITIES] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "devices", "expected"),
    [
        ("top1,latency", ["phone"], ("top1", "latency_ms")),
        ("latency:phone, params", ["phone"], ("latency_ms", "params")),
        ("top1 , params,macs", [], ("top1", "params", "macs")),
        ("top1,latency", TWO, ("top1", "latency_ms:phone", "latency_ms:board")),
        ("latency", TWO, ("latency_ms:phone", "latency_ms:board")),
        ("latency:board,top1", TWO, ("latency_ms:board", "top1")),
        ("top1,latency:board,latency:phone", TWO, ("top1", "latency_ms:board", "latency_ms:phone")),
        ("top1,latency:10.0.0.7:5555", ["10.0.0.7:5555", "board"], ("top1", "latency_ms:10.0.0.7:5555")),
    ],
)
def test_objectives_are_read_in_their_order(text: str, devices: list[str], expected: tuple[str, ...]) -> None:
    assert parse_objectives(text, devices=devices) == expected


@pytest.mark.parametrize(
    ("texts", "devices", "expected"),
    [
        ([], TWO, {}),
        (["latency=80"], ["phone"], {"latency_ms": 80.0}),
        (["latency = 80", "top1=7.5e1"], TWO, {"latency_ms:phone": 80.0, "latency_ms:board": 80.0, "top1": 75.0}),
        (["latency:board=8", "latency:phone=80"], TWO, {"latency_ms:board": 8.0, "latency_ms:phone": 80.0}),
        (["params=5e6", "macs=3e8"], [], {"params": 5e6, "macs": 3e8}),
    ],
)
def test_limits_are_read_for_every_device_or_one(
    texts: list[str], devices: list[str], expected: dict[str, float]
) -> None:
    assert parse_limits(texts, devices=devices) == expected


@pytest.mark.parametrize("name", ["speed", "latency:tablet", "latency_ms", "", "top1:phone", "Latency"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    one, several = "top1, latency, params, macs", "top1, latency, latency:phone, latency:board, params, macs"
    for devices, known in (([], one), (["phone"], one), (TWO, several)):
        with pytest.raises(RequestError, match=f"unknown objective or limit '{name}'; known are {known}$"):
            parse_objectives(f"top1,{name}", devices=devices)
        with pytest.raises(RequestError, match=f"unknown objective or limit '{name}'; known are {known}$"):
            parse_limits([f"{name}=1"], devices=devices)


def test_latency_without_a_device_is_answered_with_how_to_name_one() -> None:
    with pytest.raises(RequestError, match=r"--table or --latency"):
        parse_objectives("top1,latency", devices=[])
    with pytest.raises(RequestError, match=r"--table or --latency"):
        parse_limits(["latency=80"], devices=[])


@pytest.mark.parametrize("text", ["top1", "top1,top1", "latency,latency:phone", "top1,latency,latency"])
@pytest.mark.parametrize("devices", [["phone"], TWO], ids=["one", "two"])
def test_objectives_are_at_least_two_and_none_twice(text: str, devices: list[str]) -> None:
    with pytest.raises(RequestError, match=f"'{text}'.*at least two different ones"):
        parse_objectives(text, devices=devices)


@pytest.mark.parametrize(
    "text", ["latency", "latency=", "latency=fast", "latency=inf", "latency=-inf", "latency=nan", "latency=1e999"]
)
def test_a_limit_that_is_no_finite_number_is_answered_with_how_to_write_one(text: str) -> None:
    with pytest.raises(RequestError, match=f"cannot read limit '{text}': write it as latency=80"):
        parse_limits([text], devices=["phone"])


@pytest.mark.parametrize("second", ["latency=9", "latency:board=9"])
def test_a_second_limit_on_a_quantity_is_refused(second: str) -> None:
    with pytest.raises(RequestError, match=f"'{second}'.*another on latency_ms:.*write each once"):
        parse_limits(["latency=8", second], devices=TWO)


def test_a_violation_is_the_sum_of_the_shares_by_which_limits_are_missed() -> None:
    target = problem(limits={"latency_ms": 80.0, "top1": 50.0})
    assert target.violation(values(latency_ms=80.0, top1=50.0)) == 0
    assert target.violation(values(latency_ms=100.0, top1=99.0)) == pytest.approx(0.25)
    assert target.violation(values(latency_ms=1.0, top1=40.0)) == pytest.approx(0.2)  # top1 is at least its limit
    assert target.violation(values(latency_ms=100.0, top1=40.0)) == pytest.approx(0.45)


def test_what_is_not_known_yet_or_not_limited_misses_nothing() -> None:
    target = problem(limits={"latency_ms": 80.0, "top1": 50.0})
    assert target.violation({}) == 0
    assert target.violation(values(top1=40.0)) == pytest.approx(0.2)
    assert target.violation(values(params=1e9)) == 0
    assert problem().violation(values(latency_ms=1e9)) == 0


def test_missing_a_limit_of_0_is_a_violation_like_any_other() -> None:
    target = problem(limits={"latency_ms": 0.0})
    assert 0 < target.violation(values(latency_ms=1.0)) < target.violation(values(latency_ms=2.0)) < np.inf


@given(
    st.dictionaries(st.sampled_from(QUANTITIES), st.floats(-100, 100)),
    st.lists(st.tuples(*(st.floats(-1e3, 1e3) for _ in QUANTITIES)), min_size=1, max_size=5),
    st.sets(st.sampled_from(QUANTITIES), min_size=1),
)
def test_violations_of_many_are_those_of_each(
    limits: dict[str, float], rows: list[tuple[float, ...]], known: set[str]
) -> None:
    target = problem(limits=limits)
    columns = {name: np.array(rows)[:, i] for i, name in enumerate(QUANTITIES) if name in known}
    of_all = target.violations(columns)
    assert of_all.shape == (len(rows),) and (of_all >= 0).all()
    for i, violation in enumerate(of_all):
        one = {name: Value(float(column[i]), "said") for name, column in columns.items()}
        assert target.violation(one) == violation
        within = all(one[name].value * sign <= limit * sign for name, limit, sign in signed(limits) if name in one)
        assert (violation == 0) == within


def signed(limits: dict[str, float]) -> list[tuple[str, float, int]]:
    """Limits with the sign by which they are at most."""
    return [(name, limit, -1 if name == "top1" else 1) for name, limit in limits.items()]


def test_an_outcome_has_the_objectives_as_far_as_all_are_known() -> None:
    target = problem(limits={"latency_ms": 80.0, "top1": 50.0})
    assert target.outcome(values(top1=60.0, latency_ms=70.0)) == Outcome("values", (-60.0, 70.0))
    assert target.outcome(values(latency_ms=100.0)) == Outcome("violation", (), 0.25)
    assert target.outcome(values(top1=40.0, latency_ms=70.0)) == Outcome("violation", (-40.0, 70.0), 0.2)
    assert target.minimised({"top1": 60.0, "latency_ms": 70.0}) == [-60.0, 70.0]


def test_cheap_values_keep_an_interval_that_says_something_and_their_source() -> None:
    genes = SPACE.sample(3, rng=np.random.default_rng(0))
    target = problem()
    for value, known in zip(target.cheap_arrays(genes)["latency_ms"], target.cheap_values(genes), strict=True):
        assert known == {"latency_ms": Value(value, "by macs", 0.9 * value, 1.1 * value)}


@pytest.mark.parametrize("quantity", ["params", "macs"])
def test_a_count_is_exact(quantity: str) -> None:
    genes = SPACE.sample(3, rng=np.random.default_rng(0))
    said = Counted(SPACE, quantity).predict(genes)
    assert said.value.tolist() == said.low.tolist() == said.high.tolist() == getattr(SPACE, quantity)(genes).tolist()
