"""Training: learns, repeats itself exactly, and goes on after a stop as if there had been none."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from mnas_evo.data.datasets import ImageSet, search_data
from mnas_evo.errors import DamagedFile, TrainingFailed
from mnas_evo.space.notation import parse_network
from mnas_evo.training.loop import Epoch, Trained, train
from mnas_evo.training.recipe import Recipe, load_recipe

NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r2_k3_s22_e1_o16/head32/10")
RECIPE = load_recipe("quick").model_copy(update={"epochs": 4, "dropout": 0.3})


class Stopped(BaseException):
    """A kill in the middle."""


def small() -> tuple[ImageSet, ImageSet]:
    data = search_data("digits")
    return data.train, data.validation.rows(np.arange(0, 360, 2))


def trained(
    recipe: Recipe = RECIPE, folder: Path | None = None, seed: int = 0, stop_after: int | None = None
) -> Trained:
    def epoch_done(epoch: Epoch, total: int) -> None:
        if epoch.number == stop_after:
            raise Stopped

    return train(NETWORK, data=small(), recipe=recipe, seed=seed, folder=folder, epoch_done=epoch_done)


def same(a: Trained, b: Trained) -> bool:
    states = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return a.epochs == b.epochs and all(torch.equal(x, y) for x, y in states)


def test_it_learns_digits_and_is_the_same_for_the_same_seed() -> None:
    first = trained()
    assert first.epochs[-1].top1 > 60 > first.epochs[0].top1
    assert first.epochs[-1].train_loss < first.epochs[0].train_loss
    assert same(first, trained())
    assert not same(first, trained(seed=1))


@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    with pytest.raises(Stopped):
        trained(folder=tmp_path, stop_after=stop_after)
    assert same(trained(folder=tmp_path), trained())


def test_a_damaged_resume_file_is_named_and_not_trained_over(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"not what Lightning wrote")
    with pytest.raises(DamagedFile, match=r"last\.ckpt.*delete it"):
        trained(folder=tmp_path)


def test_an_interrupt_in_the_middle_stays_one(tmp_path: Path) -> None:
    def interrupt(epoch: Epoch, total: int) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, data=small(), recipe=RECIPE, seed=0, folder=tmp_path, epoch_done=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_callers_random_numbers_go_on_undisturbed() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(RECIPE.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_loss_that_leaves_the_numbers_is_an_error_and_no_result() -> None:
    with pytest.raises(TrainingFailed, match="loss became"):
        trained(RECIPE.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd"}))
