"""Fitting: resumes exactly, and where memory runs out goes on in smaller parts to the same end."""

import logging
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnas_evo.data.datasets import ImageSet
from mnas_evo.errors import DamagedFile, TrainingFailed
from mnas_evo.training.batches import Batches
from mnas_evo.training.feed import Feed
from mnas_evo.training.fitting import fit
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.places import WORKER, pick_device
from mnas_evo.training.recipe import load_recipe

RECIPE = load_recipe("quick").model_copy(update={"batch": 16, "epochs": 3, "flip": True})
RNG = np.random.default_rng(0)
DATA = ImageSet(RNG.integers(0, 256, size=(90, 1, 8, 8), dtype=np.uint8), RNG.integers(0, 4, size=90))


class Stopped(BaseException):
    """A kill in the middle."""


def run_out_on_the_processor() -> None:
    torch.empty(2**62, dtype=torch.uint8)


def run_out_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def fail() -> None:
    torch.zeros(2) @ torch.zeros(3)


RUNS_OUT = [run_out_on_the_processor, run_out_on_a_gpu]


class Linear(L.LightningModule):
    """A linear map in training, without batch norm: its pieces add up to the whole but for rounding.

    From epoch `from_epoch` on it runs out of memory with more than `limit` images, in the way `runs_out` does.
    """

    def __init__(self, parts: int, *, limit: int = 999, from_epoch: int = 0, runs_out: Any = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.parts = parts
        self.weight = nn.Parameter(torch.zeros(4, 64, dtype=torch.float64))
        self.feed = Feed((DATA, DATA), RECIPE, seed=0, parts=parts)
        self.epochs: list[int] = []
        self.threads: set[int] = set()
        self.stop_after = -1
        self._room = limit, from_epoch
        self._runs_out = runs_out

    def train_dataloader(self) -> Batches:
        return self.feed.training(self.current_epoch)

    def configure_optimizers(self) -> Any:
        optimizer, schedule = optimizer_and_schedule([self.parameters()], RECIPE, steps=self.feed.steps())
        return [optimizer], [schedule]

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        optimizer.zero_grad()
        for images, labels, share in self.feed.pieces(*batch):
            limit, from_epoch = self._room
            if len(images) > limit and self.current_epoch >= from_epoch:
                self._runs_out()
            logits = self.feed.normalised(images).flatten(1).double() @ self.weight.T
            self.manual_backward(F.cross_entropy(logits, labels) * share)
        optimizer.step()
        schedule.step()

    def on_train_epoch_end(self) -> None:
        self.threads.add(torch.get_num_threads())
        self.epochs.append(self.current_epoch)

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == self.stop_after:
            raise Stopped


def fitted(folder: Path | None = None, **room: Any) -> Linear:
    return fit(lambda parts: Linear(parts, **room), RECIPE, folder=folder)


def in_parts(parts: int) -> Linear:
    return fit(lambda _: Linear(parts), RECIPE, folder=None)


def test_a_batch_in_parts_trains_as_the_whole_does() -> None:
    whole = fitted()
    assert whole.weight.abs().max() > 0.01
    for parts in (2, 8):
        assert torch.allclose(in_parts(parts).weight, whole.weight, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("runs_out", RUNS_OUT)
def test_where_memory_runs_out_training_goes_on_in_the_fewest_parts_that_fit(
    runs_out: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = fitted(limit=5, runs_out=runs_out)
    assert found.parts == 4 and found.epochs == [0, 1, 2]
    assert torch.equal(found.weight, in_parts(4).weight)
    assert [(r.name, r.levelno) for r in caplog.records] == [("mnas_evo", logging.WARNING)] * 2
    assert ["in 2 parts" in caplog.messages[0], "in 4 parts" in caplog.messages[1]] == [True, True]


def test_where_memory_runs_out_late_it_goes_on_from_the_last_epoch_kept(tmp_path: Path) -> None:
    found = fitted(tmp_path, limit=8, from_epoch=2, runs_out=run_out_on_a_gpu)
    assert found.parts == 2 and found.epochs == [2]
    assert torch.allclose(found.weight, fitted().weight, rtol=1e-4, atol=1e-7)
    assert not torch.equal(found.weight, in_parts(2).weight)  # two epochs were whole


def test_memory_that_is_short_for_two_images_is_an_error_and_no_result() -> None:
    with pytest.raises(TrainingFailed, match="out of memory even with 2 images"):
        fitted(limit=1, runs_out=run_out_on_the_processor)


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="size"):
        fitted(limit=1, runs_out=fail)


def test_an_error_after_resuming_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    fit(Linear, RECIPE.model_copy(update={"epochs": 1}), folder=tmp_path)
    with pytest.raises(RuntimeError, match="size"):
        fitted(tmp_path, limit=1, runs_out=fail)


@pytest.mark.parametrize("parts", [1, 4])
def test_a_training_in_parts_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, parts: int) -> None:
    def stopping(_: int) -> Linear:
        module = Linear(parts)
        module.stop_after = 2
        return module

    with pytest.raises(Stopped):
        fit(stopping, RECIPE, folder=tmp_path)
    resumed = fit(lambda _: Linear(parts), RECIPE, folder=tmp_path)
    assert resumed.epochs == [2]
    assert torch.equal(resumed.weight, in_parts(parts).weight)


def test_a_file_of_another_training_is_damaged_and_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(DamagedFile, match=r"last\.ckpt.*delete it"):
        fitted(tmp_path)


def test_threads_and_generator_are_the_callers_again() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        assert fitted(limit=5, runs_out=run_out_on_a_gpu).threads == {1}
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(2), expected)
    finally:
        torch.set_num_threads(before)


def test_workers_take_the_gpus_in_turn_and_the_processor_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    count = torch.cuda.device_count()
    expected = [f"cuda:{worker % count}" if count else "cpu" for worker in range(5)]
    found = []
    for worker in range(5):
        monkeypatch.setenv(WORKER, str(worker))
        found.append(pick_device())
    assert found == expected
    assert pick_device("cuda:7") == "cuda:7"
