"""Where the sums of rows come from: a table's own rows, or those of other devices, rescaled, until own ones are there.

borrowed.csv of a table: key, source, ms; a price that a fit made may be below 0. A layer's own row takes the place of
what every source says of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnas_evo.errors import DamagedFile, UnmeasuredOp
from mnas_evo.files import read_csv, write_csv
from mnas_evo.latency.table import Table
from mnas_evo.space.graph import Layer

_HEADER = ("key", "source", "ms")


class Rows(Protocol):
    """Times of layers, from one or several sources."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        ...

    def times_ms(self, layer: Layer) -> tuple[float, ...]:
        """The layer's time from each source, ms.

        Raises:
            UnmeasuredOp: there is none.
        """
        ...


@dataclass(frozen=True)
class OwnRows:
    """The rows of a table: one source."""

    table: Table

    @property
    def sources(self) -> tuple[str, ...]:
        """One."""
        return ("rows",)

    def times_ms(self, layer: Layer) -> tuple[float, ...]:
        """The layer's row, ms, alone.

        Raises:
            UnmeasuredOp: there is none.
        """
        return (self.table.row_ms(layer),)


@dataclass(frozen=True)
class BorrowedRows:
    """A table's own rows, and for the layers that it lacks what other tables say, rescaled: ms by source and key."""

    table: Table
    borrowed: Mapping[str, Mapping[str, float]]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the other tables."""
        return tuple(self.borrowed)

    def times_ms(self, layer: Layer) -> tuple[float, ...]:
        """The layer's time from each source, ms; where the table has a row of its own, that.

        Raises:
            UnmeasuredOp: neither the table nor every source has it.
        """
        key = self.table.row_key(layer)
        if (own := self.table.rows.get(key)) is not None:
            return (own.ms,) * len(self.borrowed)
        for source, rows in self.borrowed.items():
            if key not in rows:
                raise UnmeasuredOp(
                    f"neither {self.table.name} nor {source} has a row for {key}. Measure it: mnas-evo profile TARGET "
                    f"--table {self.table.folder} --missing, with the --space or --arch that holds it"
                )
        return tuple(rows[key] for rows in self.borrowed.values())


def write_borrowed(path: Path, rows: BorrowedRows) -> None:
    """Writes borrowed.csv."""
    entries = [(key, source, f"{ms:.6g}") for source, found in rows.borrowed.items() for key, ms in found.items()]
    write_csv(path, _HEADER, sorted(entries))


def read_borrowed(path: Path, table: Table, *, sources: Sequence[str]) -> BorrowedRows:
    """Reads borrowed.csv.

    Raises:
        DamagedFile: a line holds no sane time, or a source that is not one of these.
    """
    found: dict[str, dict[str, float]] = {source: {} for source in sources}
    for line, row in read_csv(path, _HEADER):
        where = f"{path}, line {line}"
        if row["source"] not in found:
            raise DamagedFile(f"{where}: {row['source']!r} is none of the sources {', '.join(sources)}")
        if row["key"] in found[row["source"]]:
            raise DamagedFile(f"{where}: {row['key']} stands there twice")
        try:
            ms = float(row["ms"])
        except ValueError as error:
            raise DamagedFile(f"{where}: {error}") from error
        if not math.isfinite(ms):
            raise DamagedFile(f"{where}: ms is {row['ms']}, which is no price")
        found[row["source"]][row["key"]] = ms
    return BorrowedRows(table, found)
