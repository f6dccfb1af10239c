"""A table of the tiny space and searches on it, on devices whose times are known, for tests of what comes after."""

import csv
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from strategies import TINY, TINY_TOML
from support.known_times import item_ms

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.latency.fitting import fit
from mnas_evo.search.objectives import Counted
from mnas_evo.search.run import SearchRequest, search

GENOMES = np.array(list(itertools.product(*(range(size) for size in TINY.sizes))), dtype=np.int64)


def steady(truth_ms: Callable[[str], float] = item_ms, **faults: object) -> FakeDevice:
    """A device without noise, which measures the same whenever it is asked."""
    return FakeDevice(truth_ms, noise=0.0, **faults)  # type: ignore[arg-type]


def slower(factor: float, *, sampled: frozenset[str] = frozenset(), front: float = 1.0) -> Callable[[str], float]:
    """Times of a device by now `factor` times as slow, and what no table sampled `front` times slower yet."""

    def truth_ms(item: str) -> float:
        is_new = "/" in item and item not in sampled
        return item_ms(item) * factor * (front if is_new else 1.0)

    return truth_ms


def quiet(share: float, text: str) -> None:
    """Progress nobody sees."""


def build(folder: Path) -> Path:
    """A fitted table in `table`, and beside it the space and an accuracy for each of its architectures."""
    folder.mkdir(parents=True, exist_ok=True)
    profile(folder / "table", steady(), ProfileRequest(TINY, networks=30), target="fake", minutes=0.0, progress=quiet)
    fit(folder / "table")
    (folder / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    params = Counted(TINY, "params").predict(GENOMES).value
    with (folder / "top1.csv").open("w", encoding="utf-8", newline="") as file:
        lines = sorted(
            {(name, 20 + 15 * np.log10(count)) for name, count in zip(TINY.strings(GENOMES), params, strict=True)}
        )
        csv.writer(file).writerows([("architecture", "top1"), *lines])
    return folder


def searched(folder: Path, name: str = "run", **asked: object) -> Path:
    """A random search on the table of a folder, 60 evaluations if no other budget is asked for."""
    given: dict[str, object] = {
        "space": str(folder / "tiny.toml"),
        "tables": (str(folder / "table"),),
        "accuracy": f"table:{folder / 'top1.csv'}",
        "algorithm": "random",
        "evaluations": 60,
        **asked,
    }
    search(folder / name, SearchRequest(**given), progress=lambda done, note: None)  # type: ignore[arg-type]
    return folder / name


def copied(folder: Path, to: Path) -> Path:
    """A copy that a test may change, with the searches' tables in it."""
    shutil.copytree(folder, to)
    for run in to.glob("*/run.json"):
        run.write_text(run.read_text(encoding="utf-8").replace(str(folder), str(to)), encoding="utf-8")
    return to
