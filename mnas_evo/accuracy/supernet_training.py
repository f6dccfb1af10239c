"""Trains a supernet into a folder: several fair paths a step, exact to resume at every epoch."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mnas_evo.accuracy.paths import TrainedPaths, sandwiches, write_paths
from mnas_evo.data.datasets import Split, refuse_validation_on_test, search_data
from mnas_evo.errors import DamagedFile, RequestError, TrainingFailed
from mnas_evo.files import Form, Part, only_process, read_form, read_text, versions, write_bytes, write_form, write_text
from mnas_evo.models.foreign_weights import read_torch
from mnas_evo.models.supernet import Supernet
from mnas_evo.models.torch_network import ModuleOptions
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import parse_space
from mnas_evo.training.batches import Batches
from mnas_evo.training.feed import Feed
from mnas_evo.training.fitting import fit
from mnas_evo.training.memory import keep_compiled_convolutions
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import check_fits

PATHS = 4
"""Networks that a step trains: as many as the paper's space has ops, so that each of them is trained in every block."""

PATHS_FILE = "paths.npz"
"""Beside a supernet's weights: which networks each step trained, and their losses."""

WATCHED = 2_000
"""Validation images that two networks are watched on after every epoch."""

EpochDone = Callable[["SupernetEpoch", int], None]
"""Called after every epoch with it and the number of all epochs."""


class SupernetEpoch(Part):
    """What an epoch came to: the mean loss of all networks trained, and top-1, percent, of two networks.

    These are one of the largest and one of the smallest of the space, on some validation images with the statistics of
    their batch.
    """

    number: int
    train_loss: float
    largest_top1: float
    smallest_top1: float


class SupernetForm(Form):
    """supernet.json: what was asked, and the epochs done."""

    space: str
    space_fingerprint: str
    data: str
    split: Split
    recipe: Recipe
    seed: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    versions: dict[str, str]
    epochs: tuple[SupernetEpoch, ...] = ()


@dataclass(frozen=True, slots=True)
class SupernetRequest:
    """A supernet as it is asked for; the space in its TOML form."""

    space_text: str
    data: str
    recipe: Recipe
    seed: int = 0

    @property
    def space(self) -> SearchSpace:
        """The space."""
        return parse_space(self.space_text, source="the space")


_OF_ONE_NETWORK = ("weight_average", "clip_norm", "layer_decay", "unfreeze_epochs", "compile")


@dataclass(frozen=True, slots=True)
class TrainedSupernet:
    """A supernet that was trained to the end, and how; its modules are in evaluation mode."""

    form: SupernetForm
    supernet: Supernet

    @property
    def normalisation(self) -> Normalisation:
        """What its images are normalised by."""
        return Normalisation(self.form.mean, self.form.deviation)


def train_supernet(
    folder: Path, request: SupernetRequest, *, epoch_done: EpochDone, device: str = "auto"
) -> TrainedSupernet:
    """Trains into a folder, goes on with a training that was stopped there, or gives one that has ended.

    Raises:
        RequestError: the folder holds another supernet, the space does not fit the data, or the recipe asks for what
            only a network alone can have.
        TrainingFailed: the loss left the numbers, or memory is short even for 2 images.
        InUse: another process trains into the folder.
    """
    space = request.space
    _check_recipe(request.recipe)
    keep_compiled_convolutions()
    refuse_validation_on_test(request.data)
    data = search_data(request.data, size=(space.frame.height, space.frame.width))
    check_fits(space.network(space.decode(space.sizes * 0)), data)
    normalisation = Normalisation.of(data.train)
    asked = SupernetForm(
        space=space.name,
        space_fingerprint=space.fingerprint,
        data=request.data,
        split=data.split,
        recipe=request.recipe,
        seed=request.seed,
        mean=normalisation.mean,
        deviation=normalisation.deviation,
        versions=versions(),
    )
    place = Place(pick_device(device))
    with only_process(folder, doing="training into"):
        if (folder / "supernet.json").exists():
            found = read_form(folder / "supernet.json", SupernetForm)
            _check_same(found, asked, folder)
            if (folder / "supernet.pt").exists():
                return load_supernet(folder)
        write_text(folder / "space.toml", request.space_text)
        write_form(folder / "supernet.json", asked)

        # In no order: sets on disk stand class by class, and the statistics of a batch are of all classes.
        watched = np.random.default_rng(0).permutation(len(data.validation))[:WATCHED]
        images = data.train, data.validation.rows(watched)

        def make(parts: int) -> _SupernetTraining:
            feed = Feed(images, request.recipe, seed=request.seed, device=place.device, parts=parts)
            return _SupernetTraining(space, feed, request, epoch_done=epoch_done)

        module = fit(make, request.recipe, folder=folder, place=place)
        write_paths(folder / PATHS_FILE, module.paths)
        content = io.BytesIO()
        torch.save(module.supernet.cpu().state_dict(), content)
        write_form(folder / "supernet.json", asked.model_copy(update={"epochs": tuple(module.epochs)}))
        write_bytes(folder / "supernet.pt", content.getvalue())
        (folder / "last.ckpt").unlink(missing_ok=True)
    return load_supernet(folder)


def _check_recipe(recipe: Recipe) -> None:
    """Refuses what means nothing where weights are shared, instead of leaving it out unsaid."""
    if recipe.first_weights != "dirac":
        raise RequestError(
            f"recipe {recipe.name} has first_weights {recipe.first_weights}: from those a supernet learns next to "
            'nothing; copy it and write first_weights = "dirac"'
        )
    asked = [name for name in _OF_ONE_NETWORK if getattr(recipe, name) != Recipe.model_fields[name].default]
    if asked:
        raise RequestError(f"recipe {recipe.name} asks for {', '.join(asked)}, which a supernet does not have")


def _check_same(found: SupernetForm, asked: SupernetForm, folder: Path) -> None:
    for name in ("space", "space_fingerprint", "data", "split", "recipe", "seed"):
        was, now = getattr(found, name), getattr(asked, name)
        if was != now:
            raise RequestError(f"{folder} is a supernet with {name} {was!r}, not {now!r}; give another --out")


def read_supernet(folder: Path) -> tuple[SupernetForm, SearchSpace]:
    """How a supernet was trained, and the space it is for, from its folder.

    Raises:
        RequestError: none was trained to the end there.
        DamagedFile: a file of it cannot be read.
    """
    if not (folder / "supernet.json").is_file():
        raise RequestError(f"{folder} holds no supernet; train one: mnas-evo supernet --out {folder}")
    form = read_form(folder / "supernet.json", SupernetForm)
    if not (folder / "supernet.pt").is_file():
        raise RequestError(
            f"the supernet in {folder} is not trained to the end; the command that began it goes on with it"
        )
    space = parse_space(read_text(folder / "space.toml"), source=str(folder / "space.toml"))
    if space.fingerprint != form.space_fingerprint:
        raise DamagedFile(f"{folder / 'space.toml'} is not the space that this supernet was trained for")
    return form, space


def load_supernet(folder: Path) -> TrainedSupernet:
    """A supernet from its folder, on the CPU.

    Raises:
        RequestError: none was trained to the end there.
        DamagedFile: a file of it cannot be read, or its weights are not those of its space.
    """
    form, space = read_supernet(folder)
    supernet = Supernet(space, seed=0, options=_options(form.recipe))
    try:
        supernet.load_state_dict(read_torch(folder / "supernet.pt"))
    except (RuntimeError, AttributeError, TypeError) as error:
        raise DamagedFile(f"{folder / 'supernet.pt'} does not hold the weights of its space") from error
    return TrainedSupernet(form, supernet.eval())


def _options(recipe: Recipe) -> ModuleOptions:
    return ModuleOptions(dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)


class _SupernetTraining(L.LightningModule):
    """A supernet in training."""

    def __init__(self, space: SearchSpace, feed: Feed, request: SupernetRequest, *, epoch_done: EpochDone) -> None:
        super().__init__()
        self.automatic_optimization = False  # a step adds up the gradients of several networks
        self.supernet = Supernet(space, seed=request.seed, options=_options(request.recipe))
        self.feed = feed
        self.epochs: list[SupernetEpoch] = []
        self._recipe = request.recipe
        self._epoch_done = epoch_done
        self._next_paths: Iterator[Genes] = iter(())
        self._genes: list[Genes] = []
        self._losses: list[Tensor] = []
        self._of_epochs: list[TrainedPaths] = []
        ends = next(sandwiches(space, paths=2, rng=np.random.default_rng(0)))
        self._ends = space.networks(ends)
        self._right: list[Tensor] = []

    @property
    def paths(self) -> TrainedPaths:
        """What every step trained, and the losses."""
        return TrainedPaths.joined(self._of_epochs)

    def train_dataloader(self) -> Batches:
        return self.feed.training(self.current_epoch)

    def val_dataloader(self) -> Batches:
        return self.feed.validation()

    def configure_optimizers(self) -> Any:
        optimizer, schedule = optimizer_and_schedule(
            [self.supernet.parameters()], self._recipe, steps=self.feed.steps()
        )
        return [optimizer], [schedule]

    def on_train_epoch_start(self) -> None:
        seed = self.feed.epoch_seed(self.current_epoch)
        torch.manual_seed(seed)  # dropout's; fit() puts the caller's back
        self._next_paths = sandwiches(self.supernet.space, paths=PATHS, rng=np.random.default_rng(seed))
        self._genes, self._losses = [], []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        optimizer.zero_grad()
        genes = next(self._next_paths)
        networks = self.supernet.space.networks(genes)
        losses = torch.zeros(len(networks), device=batch[0].device)
        for images, labels, share in self.feed.pieces(*batch):
            normalised = self.feed.normalised(images)
            for number, network in enumerate(networks):
                logits = self.supernet(normalised, network)
                loss = F.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing) * share
                self.manual_backward(loss / len(networks))
                losses[number] += loss.detach()
        self._genes.append(genes)
        self._losses.append(losses)
        optimizer.step()
        schedule.step()

    def on_validation_epoch_start(self) -> None:
        self._right = []

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        normalised = self.feed.normalised(images)
        right = [(self.supernet(normalised, network).argmax(1) == labels).sum() for network in self._ends]
        self._right.append(torch.stack([*right, torch.full_like(right[0], len(labels))]))

    def on_validation_epoch_end(self) -> None:
        largest, smallest, count = torch.stack(self._right).sum(0).tolist()
        paths = TrainedPaths(np.stack(self._genes), torch.stack(self._losses).cpu().numpy())
        train_loss = float(paths.losses.mean())
        number = self.current_epoch + 1
        if not math.isfinite(train_loss):
            raise TrainingFailed(f"the loss became {train_loss} in epoch {number}; try a lower learning rate")
        self._of_epochs.append(paths)
        self.epochs.append(
            SupernetEpoch(
                number=number,
                train_loss=train_loss,
                largest_top1=100 * largest / count,
                smallest_top1=100 * smallest / count,
            )
        )
        self._epoch_done(self.epochs[-1], self._recipe.epochs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mnas_evo_epochs"] = [epoch.model_dump() for epoch in self.epochs]
        checkpoint["mnas_evo_paths"] = [paths.tensors() for paths in self._of_epochs]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.epochs = [SupernetEpoch(**epoch) for epoch in checkpoint["mnas_evo_epochs"]]
        self._of_epochs = [TrainedPaths.of_tensors(paths) for paths in checkpoint["mnas_evo_paths"]]
