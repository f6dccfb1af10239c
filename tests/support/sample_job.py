"""A whole job in seconds: a table of a fake device, a random search on a table of accuracies, a training's record."""

import csv
import hashlib
from itertools import product
from pathlib import Path

import numpy as np
from strategies import TINY, TINY_TOML
from support.known_times import item_ms

from mnas_evo.data.splits import Split
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.files import write_form
from mnas_evo.finalists.final_training import TrainingForm
from mnas_evo.finalists.remeasure import remeasure
from mnas_evo.latency.fitting import fit
from mnas_evo.search.archive import Archive, Measurement
from mnas_evo.search.front import candidates, front
from mnas_evo.search.objectives import Counted
from mnas_evo.search.run import SearchRequest, archive_path, search
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network
from mnas_evo.training.loop import Epoch
from mnas_evo.training.recipe import load_recipe

EVALUATIONS = 40


def build_job(folder: Path) -> Path:
    """A job folder with a fitted table, a search that was measured again, published networks' top-1, and a training."""
    build_table(folder / "table", networks=30)
    fit(folder / "table")
    build_run(folder, folder / "run", evaluations=EVALUATIONS)
    remeasure(folder / "run", fake_device(seed=1), top=4, minutes=0.0, progress=quiet)
    with Archive(archive_path(folder / "run")) as archive:
        landmarks = [format_network(named_network(name, task=TINY.frame)) for name in LANDMARKS]
        top1 = [Measurement(name, "top1", 50.0 + i, "table:top1.csv") for i, name in enumerate(landmarks)]
        archive.add_measurements(top1)
        network = front(candidates(archive), ("top1", "latency_ms"))[0].network
    build_training(folder / "training", network)
    return folder


def fake_device(*, seed: int = 0) -> FakeDevice:
    """A device with known times, a little noise and a slow drift."""
    return FakeDevice(item_ms, noise=0.02, drift=lambda visit: 1 + 0.02 * np.sin(visit / 50), seed=seed)


def build_table(folder: Path, *, networks: int) -> None:
    """A table, not fitted."""
    profile(folder, fake_device(), ProfileRequest(TINY, networks=networks), target="fake", minutes=0.0, progress=quiet)


def build_run(
    folder: Path, run: Path, *, evaluations: int, objectives: str = "top1,latency", limits: tuple[str, ...] = ()
) -> None:
    """A random search over the tiny space into `run`, on a job folder's table; space and accuracies lie there too."""
    space, accuracies = folder / "tiny.toml", folder / "top1.csv"
    if not space.exists():
        space.write_text(TINY_TOML, encoding="utf-8")
        write_accuracies(accuracies)
    request = SearchRequest(
        space=str(space),
        tables=(str(folder / "table"),) if "latency" in objectives else (),
        accuracy=f"table:{accuracies}",
        algorithm="random",
        evaluations=evaluations,
        objectives=objectives,
        limits=limits,
    )
    search(run, request, progress=lambda done, what: None)


def write_accuracies(path: Path) -> None:
    """Top-1 of every architecture of the space: more for more parameters, and some that its string's digest says."""
    genomes = np.array(list(product(*(range(size) for size in TINY.sizes))), dtype=np.int64)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("architecture", "top1"))
        params = Counted(TINY, "params").predict(genomes).value
        for string, count in sorted(set(zip(TINY.strings(genomes), params, strict=True))):
            digest = hashlib.sha256(string.encode()).digest()[0]
            writer.writerow((string, 20 + 15 * np.log10(count) + digest / 64))


def build_training(folder: Path, network: str, *, epochs: int = 5) -> None:
    """The record of a training, as it is after its last epoch, or before the first has been written."""
    recipe = load_recipe("quick")
    done = tuple(
        Epoch(number=n, train_loss=2 / n, validation_loss=2.2 / n, top1=90.0 - 40 / n) for n in range(1, epochs + 1)
    )
    write_form(
        folder / "training.json",
        TrainingForm(
            network=network,
            data="digits",
            recipe=recipe,
            seed=0,
            versions={},
            weights=None,
            norm_eps=None,
            processes=1,
            split=Split(0, 60, 20, "x"),
            epochs=done,
        ),
    )


def quiet(share: float, text: str) -> None:
    """Progress nobody sees."""
