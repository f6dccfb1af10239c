"""Trains one network on its own: proxy and final training alike, exact to resume, no global seed left set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from mnas_evo.data.images import Images
from mnas_evo.errors import TrainingFailed
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions, initialise
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.training.batches import Batches, Turns
from mnas_evo.training.feed import Feed
from mnas_evo.training.fitting import fit
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.places import pick_device
from mnas_evo.training.recipe import Recipe

_TURN = 8  # batches: around each turn Lightning takes .5 ms, of the 17 of a step on 28x28 images

EpochDone = Callable[["Epoch", int], None]
"""Called after every epoch with it and the number of all epochs."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to; top-1 in percent, on the validation images."""

    number: int
    train_loss: float
    validation_loss: float
    top1: float


@dataclass(frozen=True)
class Trained:
    """A trained network (on the CPU, in evaluation mode), its normalisation and its epochs."""

    network: GraphNetwork
    normalisation: Normalisation
    epochs: tuple[Epoch, ...]


def train(
    network: Network,
    *,
    data: tuple[Images, Images],
    recipe: Recipe,
    seed: int,
    folder: Path | None = None,
    epoch_done: EpochDone | None = None,
    device: str = "cpu",
) -> Trained:
    """Trains a network on (training, validation) images; `device` is cpu, cuda:K, or auto for a GPU where there is one.

    With a folder it keeps `last.ckpt` there and goes on from it; a resumed training ends as an uninterrupted one.

    Raises:
        TrainingFailed: the loss left the numbers, or memory is short even for 2 images.
        DamagedFile: last.ckpt cannot be read.
    """
    place = pick_device(device)

    def make(parts: int) -> _Classifier:
        feed = Feed(data, recipe, seed=seed, device=place, parts=parts)
        return _Classifier(network, feed, recipe=recipe, seed=seed, epoch_done=epoch_done)

    module = fit(make, epochs=recipe.epochs, folder=folder, device=place)
    return Trained(module.network.cpu().eval(), module.feed.normalisation, tuple(module.epochs))


class _Classifier(L.LightningModule):
    """A network in training."""

    def __init__(
        self, network: Network, feed: Feed, *, recipe: Recipe, seed: int, epoch_done: EpochDone | None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a batch may run in pieces
        options = ModuleOptions(dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)
        self.network = GraphNetwork(lower(network), options=options)
        initialise(self.network, seed=seed)
        self.feed = feed
        self.epochs: list[Epoch] = []
        self._recipe = recipe
        self._epoch_done = epoch_done
        self._losses: list[Tensor] = []
        self._validated: list[Tensor] = []

    def train_dataloader(self) -> Turns:
        return Turns(self.feed.training(self.current_epoch), size=_TURN)

    def val_dataloader(self) -> Batches:
        return self.feed.validation()

    def configure_optimizers(self) -> Any:
        optimizer, schedule = optimizer_and_schedule(self.network.parameters(), self._recipe, steps=self.feed.steps)
        return [optimizer], [schedule]

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.feed.epoch_seed(self.current_epoch))  # dropout's; fit() puts the caller's back
        self._losses = []

    def training_step(self, batches: Iterator[tuple[Tensor, Tensor]], index: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        for batch in batches:
            optimizer.zero_grad()
            losses = []
            for images, labels, share in self.feed.pieces(*batch):
                logits = self.network(self.feed.normalised(images))
                loss = F.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing) * share
                self.manual_backward(loss)
                losses.append(loss.detach())
            optimizer.step()
            schedule.step()
            self._losses.append(torch.stack(losses).sum())

    def on_validation_epoch_start(self) -> None:
        self._validated = []

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self.network(self.feed.normalised(images))
        loss = F.cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(1) == labels).sum()
        self._validated.append(torch.stack([loss.double(), right.double()]))

    def on_validation_epoch_end(self) -> None:
        loss, right = (torch.stack(self._validated).sum(0) / self.feed.validation_images).tolist()
        train_loss = float(torch.stack(self._losses).mean())
        if not (math.isfinite(loss) and math.isfinite(train_loss)):
            raise TrainingFailed(f"the loss became {train_loss} in epoch {self.current_epoch + 1}")
        self.epochs.append(Epoch(self.current_epoch + 1, train_loss, loss, 100 * right))
        if self._epoch_done is not None:
            self._epoch_done(self.epochs[-1], self._recipe.epochs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mnas_evo_epochs"] = [asdict(epoch) for epoch in self.epochs]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in checkpoint["mnas_evo_epochs"]]
