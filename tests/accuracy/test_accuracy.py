"""What every accuracy source promises, and how --accuracy is read."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import DamagedFile, NotationError, RequestError, UnknownData
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space_file import load_space
from mnas_evo.training.loop import train

SPACE = load_space("digits")
GENES = SPACE.sample(4, rng=np.random.default_rng(0))


def table(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("architecture,top1,top1_std", *lines)) + "\n")
    return f"table:{path}"


def test_proxy_training_is_an_evaluator_that_repeats_itself_and_travels_to_another_process() -> None:
    source = parse_accuracy("proxy:digits,epochs=1,recipe=quick", SPACE)
    assert isinstance(source, Evaluator) and isinstance(source, ProxyTraining)
    network = SPACE.networks(GENES[:1])[0]
    first = source.evaluate(network, seed=1)
    again = pickle.loads(pickle.dumps(source)).evaluate(network, seed=1)
    assert first.top1 == again.top1 and 0 <= first.top1 <= 100 and first.seconds > 0


def test_a_proxy_judged_by_speed_says_what_its_training_losses_come_to() -> None:
    source = parse_accuracy("proxy:digits,epochs=2,score=speed", SPACE)
    assert isinstance(source, ProxyTraining) and source.source == "proxy:digits,epochs=2,recipe=quick,score=speed"
    network = SPACE.networks(GENES[:1])[0]
    data = search_data("digits", size=(32, 32))
    epochs = train(network, data=(data.train, data.validation), recipe=source.recipe, seed=5).epochs
    losses = [epoch.train_loss for epoch in epochs]
    assert source.evaluate(network, seed=5).top1 == pytest.approx(100 * math.exp(-sum(losses) / 2))


def test_of_two_networks_the_one_that_learns_in_fewer_steps_has_the_greater_speed() -> None:
    source = parse_accuracy("proxy:digits,epochs=3,score=speed", None)
    assert isinstance(source, ProxyTraining)
    # Two features cannot tell ten classes apart: 12.3 and 9.9 %.
    wide, narrow = (
        parse_network(f"32x32x1/{layers}/10")
        for layers in ("stem16/r1_k3_s22_e3_o64/head128", "stem2/r1_k3_s22_e1_o2/head2")
    )
    assert source.evaluate(wide, seed=0).top1 > source.evaluate(narrow, seed=0).top1


def test_the_number_of_threads_around_it_changes_nothing() -> None:
    source = parse_accuracy("proxy:digits,epochs=1,recipe=quick", SPACE)
    assert isinstance(source, Evaluator)
    network = SPACE.networks(GENES[:1])[0]
    alone = source.evaluate(network, seed=3).top1
    torch.set_num_threads(2)
    try:
        assert source.evaluate(network, seed=3).top1 == alone
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_the_fingerprint_follows_every_hyper_parameter() -> None:
    prints = {
        parse_accuracy(text, SPACE).fingerprint
        for text in (
            "proxy:digits",
            "proxy:digits,epochs=5",
            "proxy:digits,epochs=6",
            "proxy:digits,recipe=digits",
            "proxy:digits,score=speed",
        )
    }
    assert len(prints) == 4  # quick's own epochs are 5


def test_a_table_gives_exactly_what_it_lists(tmp_path: Path) -> None:
    strings = SPACE.strings(GENES)
    source = parse_accuracy(table(tmp_path / "t.csv", f"{strings[0]},91.25,", f"{strings[1]},92.5,0.3"), SPACE)
    assert not isinstance(source, Evaluator)
    said = source.predict(GENES[:2])
    assert said.value.tolist() == [91.25, 92.5]
    assert said.low[0] == said.high[0] == 91.25 and said.low[1] < 92.5 < said.high[1]
    with pytest.raises(RequestError, match="no line for"):
        source.predict(GENES[2:3])


@pytest.mark.parametrize("top1", ["nan", "-1", "101", "x"])
def test_a_table_with_an_insane_figure_is_refused_by_line(tmp_path: Path, top1: str) -> None:
    with pytest.raises(DamagedFile, match="line 2"):
        parse_accuracy(table(tmp_path / "t.csv", f"{SPACE.strings(GENES)[0]},{top1},"), SPACE)


def test_a_table_that_lists_an_architecture_twice_is_refused(tmp_path: Path) -> None:
    line = f"{SPACE.strings(GENES)[0]},90,"
    with pytest.raises(DamagedFile, match=r"line 3.*twice"):
        parse_accuracy(table(tmp_path / "t.csv", line, line), SPACE)


def test_an_unreadable_architecture_in_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotationError, match="nonsense"):
        parse_accuracy(table(tmp_path / "t.csv", "nonsense,90,"), SPACE)


def test_a_proxy_does_not_validate_on_test_images() -> None:
    with pytest.raises(RequestError, match="digits:halves validates on test images"):
        parse_accuracy("proxy:digits:halves", SPACE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy",
        "proxy:",
        "guess:digits",
        "proxy:digits,epochs=0",
        "proxy:digits,speed=9",
        "proxy:digits,score=9",
        "table:",
    ],
)
def test_a_source_that_cannot_be_read_is_an_error_that_says_how_to_write_it(text: str) -> None:
    with pytest.raises(RequestError, match=r"proxy|epochs"):
        parse_accuracy(text, SPACE)


def test_data_that_are_not_there_or_do_not_fit_the_space_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(UnknownData):
        parse_accuracy("proxy:mnist", SPACE)
    with pytest.raises(RequestError, match="224x224x1 and 10 classes"):
        parse_accuracy("proxy:digits", load_space("paper"))
