"""A small problem for tests of comparisons: the tiny space, with top-1 of all or some of its architectures in a CSV."""

import hashlib
from itertools import product
from pathlib import Path

import numpy as np
from strategies import TINY, TINY_TOML

from mnas_evo.comparing.runs import CompareRequest
from mnas_evo.files import write_csv
from mnas_evo.search.run import SearchRequest


def write_space(folder: Path) -> Path:
    """The tiny space's TOML file in a folder."""
    path = folder / "tiny.toml"
    path.write_text(TINY_TOML, encoding="utf-8")
    return path


def write_top1(path: Path, *, constant: bool = False, shift: float = 0.0) -> Path:
    """Top-1 of every architecture: more for more parameters, and some that its string's digest says."""
    genes = np.unique(TINY.canonical(np.array(list(product(*map(range, TINY.sizes))), dtype=np.int64)), axis=0)
    params = TINY.params(genes)
    rows = []
    for string, count in zip(TINY.strings(genes), params.tolist(), strict=True):
        digest = hashlib.sha256(string.encode()).digest()[0] / 64
        rows.append((string, 50.0 if constant else f"{20 + 15 * np.log10(count) + digest + shift:.4f}"))
    write_csv(path, ("architecture", "top1"), rows)
    return path


def asked_for(
    folder: Path, *algorithms: str, seeds: int = 2, workers: int = 1, evaluations: int = 30, **more: object
) -> CompareRequest:
    """A comparison of algorithms on the space and accuracies that lie in a folder; `more` is the searches'."""
    given = {"objectives": "top1,macs", **more}
    accuracy = f"table:{folder / 'top1.csv'}"
    search = SearchRequest(
        str(folder / "tiny.toml"),
        (),
        accuracy,
        evaluations=evaluations,
        workers=workers,
        **given,  # type: ignore[arg-type]
    )
    return CompareRequest(algorithms, seeds, search)


def quiet(share: float, text: str) -> None:
    """Progress nobody sees."""
