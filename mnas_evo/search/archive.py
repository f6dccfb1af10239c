"""The archive: all that a search asked, paid for and was told, in one SQLite file; what was measured later, apart.

`tells` and `tell_values` are append-only and hold exactly what the searcher saw, in (batch, slot) order: replayed
through the same searcher they give its state. `measurements` never touch them. One evaluation is one transaction.
"""

import datetime
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnas_evo.errors import DamagedFile, MnasEvoError, OtherFormat
from mnas_evo.files import FORMAT, parse_json

Kind = Literal["values", "violation", "failure"]

_SCHEMA = """
CREATE TABLE tells (
    batch INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    network TEXT NOT NULL,          -- full canonical string
    genes TEXT NOT NULL,            -- JSON list
    kind TEXT NOT NULL CHECK (kind IN ('values', 'violation', 'failure')),
    repeat INTEGER NOT NULL,        -- 1: told again, evaluated before
    violation REAL NOT NULL,        -- share by which limits were missed
    seed INTEGER NOT NULL,
    seconds REAL NOT NULL,          -- what it cost
    message TEXT NOT NULL,          -- why it failed
    at TEXT NOT NULL,
    PRIMARY KEY (batch, slot)
);
CREATE UNIQUE INDEX evaluated_once ON tells (network) WHERE repeat = 0;
CREATE TABLE tell_values (
    batch INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    quantity TEXT NOT NULL,         -- top1 (percent), latency_ms, params, macs
    value REAL NOT NULL,
    low REAL,
    high REAL,
    source TEXT NOT NULL,           -- where the number came from
    PRIMARY KEY (batch, slot, quantity),
    FOREIGN KEY (batch, slot) REFERENCES tells (batch, slot)
);
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    network TEXT NOT NULL,
    quantity TEXT NOT NULL,
    value REAL NOT NULL,
    spread_percent REAL,
    source TEXT NOT NULL,
    details TEXT NOT NULL,          -- JSON object
    at TEXT NOT NULL
);
CREATE INDEX measured ON measurements (network, quantity);
"""


@dataclass(frozen=True, slots=True)
class Value:
    """One number, its 90 % interval where it has one, and where it came from."""

    value: float
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """One slot of one batch, as the searcher saw it."""

    batch: int
    slot: int
    network: str
    genes: tuple[int, ...]
    kind: Kind
    repeat: bool = False
    values: Mapping[str, Value] = field(default_factory=dict)
    violation: float = 0.0
    seed: int = 0
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number found after the search, or beside it."""

    network: str
    quantity: str
    value: float
    source: str
    spread_percent: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Archive:
    """archive.sqlite of a run; closed with `close` or a `with` statement."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not create and not path.is_file():
            raise DamagedFile(f"{path} is missing; {path.parent} holds no search")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._connection = sqlite3.connect(path, timeout=30)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise DamagedFile(f"{path} is damaged: {error}; restore it from a copy or give another --run") from error
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _prepare(self) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            with self._connection:
                self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        elif found != FORMAT:
            raise OtherFormat(f"{self._path} has format {found}; this version reads and writes format {FORMAT}")

    def add_tell(self, tell: Tell) -> None:
        """Appends a tell with its values, in one transaction."""
        with self._writing():
            self._connection.execute(
                "INSERT INTO tells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    tell.batch,
                    tell.slot,
                    tell.network,
                    json.dumps(tell.genes),
                    tell.kind,
                    int(tell.repeat),
                    tell.violation,
                    tell.seed,
                    tell.seconds,
                    tell.message,
                    _now(),
                ),
            )
            self._connection.executemany(
                "INSERT INTO tell_values VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (tell.batch, tell.slot, name, value.value, value.low, value.high, value.source)
                    for name, value in tell.values.items()
                ],
            )

    def tells(self) -> list[Tell]:
        """All tells in (batch, slot) order."""
        values: dict[tuple[int, int], dict[str, Value]] = {}
        for batch, slot, name, value, low, high, source in self._query(
            "SELECT batch, slot, quantity, value, low, high, source FROM tell_values"
        ):
            values.setdefault((batch, slot), {})[name] = Value(value, source, low, high)
        rows = self._query(
            "SELECT batch, slot, network, genes, kind, repeat, violation, seed, seconds, message FROM tells "
            "ORDER BY batch, slot"
        )
        return [
            Tell(
                batch,
                slot,
                network,
                tuple(self._json(genes)),
                kind,
                bool(repeat),
                values.get((batch, slot), {}),
                violation,
                seed,
                seconds,
                message,
            )
            for batch, slot, network, genes, kind, repeat, violation, seed, seconds, message in rows
        ]

    def add_measurements(self, measurements: Sequence[Measurement]) -> None:
        """Appends measurements, all or none."""
        with self._writing():
            self._connection.executemany(
                "INSERT INTO measurements (network, quantity, value, spread_percent, source, details, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (m.network, m.quantity, m.value, m.spread_percent, m.source, json.dumps(dict(m.details)), _now())
                    for m in measurements
                ],
            )

    def measurements(self, quantity: str) -> dict[str, Measurement]:
        """The newest measurement of each network."""
        rows = self._query(
            "SELECT network, quantity, value, source, spread_percent, details FROM measurements WHERE quantity = ? "
            "ORDER BY id",
            quantity,
        )
        return {
            network: Measurement(network, name, value, source, spread, self._json(details))
            for network, name, value, source, spread, details in rows
        }

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        try:
            with self._connection:
                yield
        except sqlite3.OperationalError as error:  # full, locked, read-only
            raise MnasEvoError(f"{self._path} cannot be written: {error}; what it holds is kept") from error

    def _json(self, text: str) -> Any:
        return parse_json(text, source=self._path)

    def _query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connection.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.DatabaseError as error:
            raise DamagedFile(f"{self._path} is damaged: {error}; restore it from a copy") from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
