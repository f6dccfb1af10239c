"""Runs Lightning's loop on whatever is trained: quietly, exact to resume, within the memory there is."""

import gc
import logging
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from mnas_evo.errors import DamagedFile, RequestError, TrainingFailed
from mnas_evo.training.memory import freed_memory_kept, ran_out_of_memory
from mnas_evo.training.places import Place, is_first_process, one_thread
from mnas_evo.training.recipe import Recipe

M = TypeVar("M", bound=L.LightningModule)

_PARTS = tuple(2**doublings for doublings in range(16))  # a batch has fewer images than the last
_log = logging.getLogger("mnas_evo")


def fit(
    make: Callable[[int], M], recipe: Recipe, *, folder: Path | None, place: Place | None = None, logs: bool = False
) -> M:
    """Trains what `make(parts)` builds, a fresh module that runs each batch in `parts` pieces, and gives it back.

    With a folder it keeps `last.ckpt` there and goes on from it; a resumed training ends as an uninterrupted one. When
    memory runs out, training goes on from there in twice as many parts; batch and learning rate stay. It runs with
    one CPU thread: more threads round differently, and networks this small are slower with them. Weights lie channels
    last meanwhile, which halves a step's time on a processor. With `logs` the folder gets logs/ for TensorBoard.

    A place of several processes has Lightning start this very command again for each of the others, or takes those that
    a cluster has started; each of them comes by here and gets the trained module.

    Raises:
        TrainingFailed: memory is short even for pieces of 2 images, or whatever else the module finds.
        DamagedFile: last.ckpt cannot be read.
        RequestError: there are not so many devices.
    """
    place = place or Place()
    cuda = [torch.device(place.device).index or 0] if place.device.startswith("cuda") else []
    with _quiet(), one_thread(), freed_memory_kept(), torch.random.fork_rng(devices=cuda):
        for parts in _PARTS:
            if parts > 1:
                _log.warning("out of memory: each batch now runs in %d parts; batch and learning rate stay", parts)
            module = make(parts)
            module.to(memory_format=torch.channels_last)
            if _fitted(module, recipe, folder=folder, place=place, logs=logs):
                module.to(memory_format=torch.contiguous_format)
                return module
            if place.processes > 1:
                raise TrainingFailed("out of memory in one of several processes; give a recipe with a smaller batch")
            del module
            gc.collect()  # the loop and its tensors refer to each other
            if cuda:
                torch.cuda.empty_cache()
    raise TrainingFailed(f"out of memory even with a batch in {_PARTS[-1]} parts; take a smaller network or resolution")


def _fitted(module: L.LightningModule, recipe: Recipe, *, folder: Path | None, place: Place, logs: bool) -> bool:
    """Whether the module was trained to the end; False where memory ran out."""
    last = folder / "last.ckpt" if folder is not None else None
    resumes = last is not None and last.exists()
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    started = _Started()
    try:
        try:
            trainer = _trainer(started, recipe, folder=folder, place=place, logs=logs)
        except MisconfigurationException as error:
            raise RequestError(f"{place.devices} devices on each of {place.nodes} nodes: {error}") from error
        trainer.fit(module, ckpt_path=str(last) if resumes else None, weights_only=True if resumes else None)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
        if ran_out_of_memory(error):
            return False
        if resumes and not started.yes:
            raise DamagedFile(f"{last} cannot be read; delete it to begin this training again") from error
        raise
    return True


class _Started(L.Callback):
    """Knows whether training began, so that what failed was not the reading of a checkpoint."""

    yes = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.yes = True


def _trainer(started: _Started, recipe: Recipe, *, folder: Path | None, place: Place, logs: bool) -> L.Trainer:
    keep = [ModelCheckpoint(folder, filename="last", save_top_k=1, enable_version_counter=False)] if folder else []
    on_gpu = place.device.startswith("cuda")
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and on_gpu)
    one_gpu = [torch.device(place.device).index or 0] if on_gpu and place.processes == 1 else None
    # Layers that are frozen at first have no gradients, and DDP would wait for them.
    several = "ddp_find_unused_parameters_true" if recipe.unfreeze_epochs else "ddp"
    return L.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=one_gpu or place.devices,
        num_nodes=place.nodes,
        strategy=several if place.processes > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
        max_epochs=recipe.epochs,
        logger=TensorBoardLogger(folder, name="", version="logs")
        if logs and folder and is_first_process(place)
        else False,
        log_every_n_steps=1,
        callbacks=[started, *keep],
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's notes on hardware and loaders off the terminal; errors still come through."""
    rooms = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in (*rooms, "lightning.fabric.utilities.rank_zero")]
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
