"""Trains one network on its own: proxy and final training alike, exact to resume, no global seed left set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnas_evo.data.images import Images
from mnas_evo.errors import TrainingFailed
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.training.averaging import weight_average
from mnas_evo.training.batches import Batches, Shard, Turns
from mnas_evo.training.feed import Feed
from mnas_evo.training.fitting import fit
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.places import Place
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

    def in_words(self) -> str:
        """What it came to, in a few words."""
        return f"loss {self.train_loss:.3f}, validation top-1 {self.top1:.2f} %"


@dataclass(frozen=True)
class Trained:
    """A trained network (on the CPU, in evaluation mode), its normalisation and its epochs."""

    network: GraphNetwork
    normalisation: Normalisation
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True)
class Watching:
    """What is told of a training as it goes, by its first process alone.

    `progress` is called with the share done, 0 to 1, and what there is to say; `epoch_done` with each epoch and the
    number of all; `improved` with the network in training whenever it classifies more validation images than before.
    """

    progress: Callable[[float, str], None] = lambda share, note: None
    epoch_done: EpochDone = lambda epoch, total: None
    improved: Callable[[Trained], None] = lambda trained: None


class Beginning(Protocol):
    """Weights that a training begins with, instead of fresh ones, and what their images were normalised by."""

    def normalisation_for(self, network: Network) -> Normalisation:
        """What images of a network that begins with these weights are normalised by."""
        ...

    def begin(self, network: Network, *, options: ModuleOptions, seed: int) -> GraphNetwork:
        """The network with these weights; what of it is drawn is the seed's.

        Raises:
            OtherWeights: they are of other layers.
        """
        ...


def train(
    network: Network,
    *,
    data: tuple[Images, Images],
    recipe: Recipe,
    seed: int,
    folder: Path | None = None,
    watching: Watching | None = None,
    weights: Beginning | None = None,
    place: Place | None = None,
    logs: bool = False,
) -> Trained:
    """Trains a network on (training, validation) images, on the CPU or at the place given.

    With a folder it keeps `last.ckpt` there and goes on from it; a resumed training ends as an uninterrupted one. With
    `logs` it keeps logs/ for TensorBoard beside it. What comes back are the last epoch's weights, or their average.

    Raises:
        TrainingFailed: the loss left the numbers, or memory is short even for 2 images.
        DamagedFile: last.ckpt cannot be read.
        OtherWeights: the weights are of other layers.
    """
    place = place or Place()
    if min(map(len, data)) < 2 * place.processes:
        raise TrainingFailed(
            f"{place.processes} processes need more images than {' + '.join(str(len(d)) for d in data)}"
        )
    normalisation = weights.normalisation_for(network) if weights else None

    def make(parts: int) -> _Classifier:
        feed = Feed(data, recipe, seed=seed, device=place.device, parts=parts, normalisation=normalisation)
        options = ModuleOptions(dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)
        if weights:
            begun = weights.begin(network, options=options, seed=seed)
        else:
            begun = GraphNetwork(lower(network), options=options)
            initialise(begun, seed=seed, first=recipe.first_weights)
        return _Classifier(begun, feed, recipe=recipe, watching=watching or Watching())

    module = fit(make, recipe, folder=folder, place=place, logs=logs)
    return Trained(module.judged.cpu().eval(), module.feed.normalisation, tuple(module.epochs))


class _Classifier(L.LightningModule):
    """A network in training."""

    def __init__(self, network: GraphNetwork, feed: Feed, *, recipe: Recipe, watching: Watching) -> None:
        super().__init__()
        self.automatic_optimization = False  # a batch may run in pieces
        self.network = network
        self.average = weight_average(network, recipe.weight_average) if recipe.weight_average else None
        self.feed = feed
        self.epochs: list[Epoch] = []
        # Not a part of the module: a compiled one would put its name before every weight's.
        self._forward: tuple[Any] = (torch.compile(network) if recipe.compile else network,)
        self._recipe = recipe
        self._watching = watching
        self._losses: list[Tensor] = []
        self._validated: list[Tensor] = []

    @property
    def judged(self) -> GraphNetwork:
        """The network that is validated and kept: the average of its weights, or itself."""
        network = self.network if self.average is None else self.average.module
        assert isinstance(network, GraphNetwork)
        return network

    @property
    def _shard(self) -> Shard:
        return Shard(self.trainer.global_rank, self.trainer.world_size)

    def train_dataloader(self) -> Turns:
        return Turns(self.feed.training(self.current_epoch, self._shard), size=_TURN)

    def val_dataloader(self) -> Batches:
        return self.feed.validation(self._shard)

    def configure_optimizers(self) -> Any:
        stages = [layer.parameters() for layer in self.network.layers]
        shard = self._shard
        steps = self.feed.steps(shard)
        optimizer, schedule = optimizer_and_schedule(stages, self._recipe, steps=steps, processes=shard.processes)
        return [optimizer], [schedule]

    def on_train_epoch_start(self) -> None:
        seed = self.feed.epoch_seed(self.current_epoch)
        torch.manual_seed(self._shard.seed(seed))  # dropout's; fit() puts the caller's back
        self._losses = []
        self._thaw()

    def _thaw(self) -> None:
        """Which layers learn in this epoch: from the classifier on ever more. Frozen ones keep their statistics too."""
        if not self._recipe.unfreeze_epochs:
            return
        layers = self.network.layers
        learning = max(1, math.ceil(len(layers) * self.current_epoch / self._recipe.unfreeze_epochs))
        for number, layer in enumerate(reversed(layers)):
            layer.requires_grad_(number < learning).train(number < learning)

    def training_step(self, batches: Iterator[tuple[Tensor, Tensor]], index: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        for batch in batches:
            optimizer.zero_grad()
            losses = []
            for images, labels, share in self.feed.pieces(*batch):
                logits = self._forward[0](self.feed.normalised(images))
                loss = F.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing) * share
                self.manual_backward(loss)
                losses.append(loss.detach())
            if self._recipe.clip_norm:
                nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.clip_norm)
            optimizer.step()
            schedule.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            self._losses.append(torch.stack(losses).sum())
        self._say(index)

    def _say(self, turn: int) -> None:
        """Tells the progress after a turn, and where there are logs the loss and the learning rate."""
        if not self.trainer.is_global_zero:
            return
        done, total = self.current_epoch, self._recipe.epochs
        loss = float(self._losses[-1])
        before = f", validation top-1 {self.epochs[-1].top1:.2f} %" if self.epochs else ""
        share = (done + (turn + 1) / self.trainer.num_training_batches) / total
        self._watching.progress(share, f"epoch {done + 1} of {total}, loss {loss:.3f}{before}")
        schedule: Any = self.lr_schedulers()
        self._log({"train/loss": loss, "train/learning rate": schedule.get_last_lr()[0]})

    def _log(self, values: dict[str, float]) -> None:
        if self.logger is not None:
            self.logger.log_metrics(values, step=self.global_step)

    def on_validation_epoch_start(self) -> None:
        self._validated = []
        if self.trainer.world_size > 1:  # each has seen other images: the first one's statistics are those kept
            for statistics in self.judged.buffers():
                torch.distributed.broadcast(statistics, src=0)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self.judged(self.feed.normalised(images))
        loss = F.cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(1) == labels).sum()
        self._validated.append(torch.stack([loss.double(), right.double()]))

    def on_validation_epoch_end(self) -> None:
        sums, of_training = torch.stack(self._validated).sum(0), torch.stack(self._losses).mean()
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
            of_training = self.trainer.strategy.reduce(of_training, reduce_op="mean")
        loss, right = (sums / self.feed.validation_images).tolist()
        train_loss = float(of_training)
        if not (math.isfinite(loss) and math.isfinite(train_loss)):
            raise TrainingFailed(
                f"the loss became {train_loss} in epoch {self.current_epoch + 1}, {loss} on validation images"
            )
        self._end(Epoch(self.current_epoch + 1, train_loss, loss, 100 * right))

    def _end(self, epoch: Epoch) -> None:
        is_best = all(epoch.top1 > before.top1 for before in self.epochs)
        self.epochs.append(epoch)
        if not self.trainer.is_global_zero:
            return
        losses = {"train/epoch loss": epoch.train_loss, "validation/loss": epoch.validation_loss}
        self._log({**losses, "validation/top-1": epoch.top1, "epoch": epoch.number})
        if is_best:
            self._watching.improved(Trained(self.judged, self.feed.normalisation, tuple(self.epochs)))
        total = self._recipe.epochs
        self._watching.progress(epoch.number / total, f"epoch {epoch.number} of {total}, {epoch.in_words()}")
        self._watching.epoch_done(epoch, total)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mnas_evo_epochs"] = [asdict(epoch) for epoch in self.epochs]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in checkpoint["mnas_evo_epochs"]]
