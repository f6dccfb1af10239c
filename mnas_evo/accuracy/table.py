"""Accuracy from a CSV of architecture, top1[, top1_std]: exact, and silent about nothing."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas_evo.accuracy.contract import NORMAL_90
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import fingerprint, read_csv, read_text
from mnas_evo.latency.contract import Prediction
from mnas_evo.space.architecture import Frame
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import Genes, SearchSpace


@dataclass(frozen=True)
class AccuracyTable:
    """Top-1 and its deviation, percent, of the architectures of one space that a file lists."""

    path: Path
    space: SearchSpace
    entries: Mapping[str, tuple[float, float]]

    @property
    def fingerprint(self) -> str:
        """The file's content."""
        return fingerprint("table", read_text(self.path))

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"table:{self.path.name}"

    def predict(self, genes: Genes) -> Prediction:
        """Top-1 of genomes (n, g), with the deviation's 90 % interval.

        Raises:
            RequestError: an architecture is not in the file.
        """
        found = []
        for string in self.space.strings(genes):
            if string not in self.entries:
                raise RequestError(f"{self.path} has no line for {string}")
            found.append(self.entries[string])
        top1, deviation = np.array(found).reshape(-1, 2).T
        return Prediction(top1, top1 - NORMAL_90 * deviation, top1 + NORMAL_90 * deviation)


def read_accuracy_table(path: Path, space: SearchSpace) -> AccuracyTable:
    """Reads the CSV.

    Raises:
        DamagedFile: a line cannot be read or stands there twice; it is named.
    """
    entries: dict[str, tuple[float, float]] = {}
    for line in accuracy_lines(path, task=space.frame):
        if line.string in entries:
            raise DamagedFile(f"{line.where}: {line.string} stands there twice")
        entries[line.string] = (line.top1, line.deviation)
    if not entries:
        raise RequestError(f"{path} lists no architecture")
    return AccuracyTable(path, space, entries)


@dataclass(frozen=True, slots=True)
class AccuracyLine:
    """A line of such a file: where it stands, the full string, top-1 and its deviation, percent, and all columns."""

    where: str
    string: str
    top1: float
    deviation: float
    row: Mapping[str, str]


def accuracy_lines(path: Path, *, task: Frame) -> Iterator[AccuracyLine]:
    """Lines of a CSV; what a string leaves unsaid, input and classes, is taken from `task`.

    Raises:
        DamagedFile: a line cannot be read; it is named.
    """
    for number, row in read_csv(path, ("architecture", "top1")):
        where = f"{path}, line {number}"
        string = format_network(parse_network(row["architecture"], defaults=task))
        try:
            top1, deviation = float(row["top1"]), float(row.get("top1_std") or 0)
        except ValueError as error:
            raise DamagedFile(f"{where}: {error}") from error
        if not (math.isfinite(top1) and 0 <= top1 <= 100 and deviation >= 0):
            raise DamagedFile(f"{where}: top1 {row['top1']} is no percentage")
        yield AccuracyLine(where, string, top1, deviation, row)
