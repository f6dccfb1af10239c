"""The training loop, on Lightning: one for proxy and final training alike, exact to resume, no global seed left set."""

import logging
import math
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mnas_evo.data.datasets import ImageSet
from mnas_evo.errors import DamagedFile, TrainingFailed
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions, initialise
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.training.batches import Batches
from mnas_evo.training.recipe import Recipe

EpochDone = Callable[["Epoch", int], None]
"""Called after every epoch with it and the number of all epochs."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to; top-1 in percent, on the validation images."""

    number: int
    train_loss: float
    validation_loss: float
    top1: float


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation of each channel of the training images, on the scale 0 to 255."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, images: ImageSet) -> "Normalisation":
        """The normalisation of an image set."""
        values = torch.from_numpy(images.images).double()
        mean, deviation = values.mean((0, 2, 3)), values.std((0, 2, 3)).clamp_min(1e-3)
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    def apply(self, images: Tensor) -> Tensor:
        """Images uint8 (n, c, h, w) as normalised float32."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=images.device)[:, None, None]
        deviation = torch.tensor(self.deviation, dtype=torch.float32, device=images.device)[:, None, None]
        return (images.float() - mean) / deviation


@dataclass(frozen=True)
class Trained:
    """A trained network (on the CPU, in evaluation mode), its normalisation and its epochs."""

    network: GraphNetwork
    normalisation: Normalisation
    epochs: tuple[Epoch, ...]


def train(
    network: Network,
    *,
    data: tuple[ImageSet, ImageSet],
    recipe: Recipe,
    seed: int,
    folder: Path | None = None,
    epoch_done: EpochDone | None = None,
) -> Trained:
    """Trains a network on (training, validation) images.

    With a folder it keeps `last.ckpt` there and goes on from it; a resumed training ends as an uninterrupted one. It
    runs on the CPU with one thread: more threads round differently, and networks this small are slower with them.

    Raises:
        TrainingFailed: the loss left the numbers.
        DamagedFile: last.ckpt cannot be read.
    """
    last = folder / "last.ckpt" if folder is not None else None
    with _quiet(), _one_thread(), torch.random.fork_rng(devices=[]):
        module = _Classifier(network, data=data, recipe=recipe, seed=seed, epoch_done=epoch_done)
        trainer = _trainer(recipe, folder)
        resume = {"ckpt_path": str(last), "weights_only": True} if last is not None and last.exists() else {}
        _fit(trainer, module, resume)
    return Trained(module.network.cpu().eval(), module.normalisation, tuple(module.epochs))


def _fit(trainer: L.Trainer, module: "_Classifier", resume: dict[str, Any]) -> None:
    """Lightning's fit, with errors of our own, and an interrupt that stays one."""
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    try:
        trainer.fit(module, **resume)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
        if resume and module.current_epoch == 0 and not module.epochs:
            raise DamagedFile(
                f"{resume['ckpt_path']} cannot be read; delete it to begin this training again"
            ) from error
        raise


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Classifier(L.LightningModule):
    """A network in training. All randomness of an epoch comes from (seed, epoch)."""

    def __init__(
        self,
        network: Network,
        *,
        data: tuple[ImageSet, ImageSet],
        recipe: Recipe,
        seed: int,
        epoch_done: EpochDone | None,
    ) -> None:
        super().__init__()
        options = ModuleOptions(dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)
        self.network = GraphNetwork(lower(network), options=options)
        initialise(self.network, seed=seed)
        self.normalisation = Normalisation.of(data[0])
        self.epochs: list[Epoch] = []
        self._training_set, self._validation_set = data
        self._recipe = recipe
        self._seed = seed
        self._epoch_done = epoch_done
        self._losses: list[Tensor] = []
        self._validated: list[Tensor] = []

    def train_dataloader(self) -> Batches:
        recipe = self._recipe
        return Batches(
            self._training_set,
            batch=recipe.batch,
            seed=self._epoch_seed(),
            shift_pixels=recipe.shift_pixels,
            flip=recipe.flip,
        )

    def val_dataloader(self) -> Batches:
        return Batches(self._validation_set, batch=4 * self._recipe.batch)

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        parameters = [
            {"params": [p for p in self.network.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in self.network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "adamw":
            optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate)
        elif recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
        else:
            optimizer = torch.optim.RMSprop(
                parameters, lr=recipe.learning_rate, alpha=0.9, momentum=recipe.momentum, eps=1e-3
            )
        steps = len(self.train_dataloader())
        warmup, total = recipe.warmup_epochs * steps, recipe.epochs * steps

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self._epoch_seed())  # dropout's; train() puts the caller's generator back
        self._losses = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        logits = self.network(self.normalisation.apply(images))
        loss = F.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing)
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        self._validated = []

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self.network(self.normalisation.apply(images))
        loss = F.cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(1) == labels).sum()
        self._validated.append(torch.stack([loss.double(), right.double()]))

    def on_validation_epoch_end(self) -> None:
        loss, right = (torch.stack(self._validated).sum(0) / len(self._validation_set)).tolist()
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

    def _epoch_seed(self) -> int:
        return self._seed * 100_003 + self.current_epoch


def _trainer(recipe: Recipe, folder: Path | None) -> L.Trainer:
    keep = [ModelCheckpoint(folder, filename="last", save_top_k=1, enable_version_counter=False)] if folder else []
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=recipe.epochs,
        logger=False,
        callbacks=list(keep),
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's notes on hardware and loaders off the terminal; errors still come through."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
