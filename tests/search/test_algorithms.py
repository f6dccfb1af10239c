"""Algorithms as they are written on the command line, and all that may be wrong with that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.search_problem import problem

from mnas_evo.errors import RequestError
from mnas_evo.search.algorithms import ALGORITHMS, DEFAULT, parse_algorithm
from mnas_evo.search.controller import Ppo
from mnas_evo.search.rl import RlSettings

POSITIVE = st.floats(1e-9, 1e9)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_name_alone_has_the_defaults_and_is_its_own_text(name: str) -> None:
    algorithm = parse_algorithm(f" {name} ")
    assert algorithm.settings == ALGORITHMS[name].settings()
    assert (algorithm.name, algorithm.text) == (name, name)


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in ALGORITHMS


@pytest.mark.parametrize(
    "text",
    [
        "surrogate-nsga2:first=10:batch=5:population=50:generations=7",
        "nsga2:population=50:start=mnasnet-a1+mobilenet-v2",
        "rl:reward=hard:target=40+80:setting=tuned:minibatch=8:learning_rate=0.001:normalised=False",
        "evolution:reward=absolute:targets=3:population=24:sample=4:batch=2",
        "evolution:target=0.125+1e-05",
        "random:batch=7",
    ],
)
def test_a_text_in_the_order_of_its_settings_is_written_as_it_was(text: str) -> None:
    assert parse_algorithm(text).text == text


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "reward": st.sampled_from(["soft", "hard", "absolute"]),
            "target": st.lists(POSITIVE, max_size=3).map(tuple),
            "targets": st.integers(1, 100),
            "setting": st.sampled_from(["paper", "tuned"]),
            "minibatch": st.none() | st.integers(1, 1000),
            "learning_rate": st.none() | POSITIVE,
            "normalised": st.none() | st.booleans(),
        },
    )
)
def test_what_is_written_is_read_back_to_the_last_digit(settings: dict[str, Any]) -> None:
    given_beside = parse_algorithm("rl", given=settings)
    assert parse_algorithm(given_beside.text) == given_beside
    assert parse_algorithm(given_beside.text).text == given_beside.text


def test_a_setting_that_is_the_default_is_not_written() -> None:
    assert parse_algorithm("nsga2:population=20") == parse_algorithm("nsga2")
    assert parse_algorithm("nsga2:population=20").text == "nsga2"


def test_the_text_overrides_what_is_given_beside_it_and_the_rest_stands() -> None:
    beside = {"population": 30, "sample": 5, "target": (40.0,)}
    found = parse_algorithm("evolution:population=24:target=80", given=beside)
    assert found.text == "evolution:target=80:population=24:sample=5"


def test_several_values_stand_with_a_plus_between_them() -> None:
    settings = parse_algorithm("rl:target=40+80.5").settings
    assert isinstance(settings, RlSettings)
    assert settings.target == (40.0, 80.5)
    assert parse_algorithm("rl", given={"target": [40, 80.5]}).settings == settings


def test_settings_of_others_are_left_out_where_it_is_not_strict() -> None:
    beside = {"population": 30, "minibatch": 5, "target": (40.0,)}
    assert parse_algorithm("nsga2", given=beside, strict=False).text == "nsga2:population=30"
    assert parse_algorithm("random", given=beside, strict=False).text == "random"
    with pytest.raises(RequestError, match=r"minibatch: extra inputs.*; target: extra inputs"):
        parse_algorithm("nsga2", given=beside)


def test_settings_in_the_text_are_its_own_and_wrong_ones_are_refused_however_strict() -> None:
    with pytest.raises(RequestError, match="minibatch: extra inputs"):
        parse_algorithm("nsga2:minibatch=5", strict=False)


@pytest.mark.parametrize("text", ["nsga3", "", "NSGA2", "nsga2 :population=5", "population=5"])
def test_an_unknown_algorithm_is_answered_with_the_known_ones(text: str) -> None:
    with pytest.raises(RequestError, match=f"unknown algorithm .*; known are {', '.join(ALGORITHMS)}$"):
        parse_algorithm(text)


@pytest.mark.parametrize("strict", [True, False])
def test_all_faults_are_named_at_once_with_the_settings_and_their_defaults(strict: bool) -> None:
    with pytest.raises(RequestError) as error:
        parse_algorithm("evolution:popluation=5:sample=many:batch=0:target=40+-1", strict=strict)
    said = str(error.value)
    for fault in (
        "popluation: extra inputs are not permitted",
        "sample: input should be a valid integer",
        "batch: input should be greater than or equal to 1",
        "target.1: input should be greater than 0",
    ):
        assert fault in said
    defaults = "reward=soft, target, targets=1, population=50, sample=10, batch=10"
    assert said.endswith(f"; settings of evolution, with their defaults if any: {defaults}")
    assert "\n" not in said


@pytest.mark.parametrize("text", ["nsga2:population", "nsga2:population=", "nsga2:", "random:batch=1.5", "rl:reward=s"])
def test_what_is_not_a_setting_and_its_value_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=f"^algorithm '{text}': .*settings of {text.split(':')[0]}"):
        parse_algorithm(text)


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(RequestError, match="gives a setting twice"):
        parse_algorithm("nsga2:population=5:population=7")


def test_rl_takes_from_its_setting_what_is_not_given() -> None:
    paper, tuned, between = (
        parse_algorithm(text).settings for text in ("rl", "rl:setting=tuned", "rl:setting=tuned:normalised=false")
    )
    assert isinstance(paper, RlSettings) and isinstance(tuned, RlSettings) and isinstance(between, RlSettings)
    assert paper.ppo == Ppo()
    assert tuned.ppo != paper.ppo
    assert (between.ppo.minibatch, between.ppo.normalised) == (tuned.ppo.minibatch, False)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_makes_a_searcher_that_asks(name: str) -> None:
    target = problem()
    genes = parse_algorithm(name).searcher(target, seed=0).ask()
    assert len(genes) > 0 and genes.shape[1] == len(target.space.sizes)
