"""The archive: all that a search asked, paid for and was told, in one SQLite file; what was measured later, apart.

`tells` and `tell_values` are append-only and hold exactly what the searcher saw, in (batch, slot) order: replayed
through the same searcher they give its state. `measurements` never touch them. One evaluation is one transaction; what
costs nothing is written a batch at a time.
"""

import datetime
import json
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnas_evo.errors import DamagedFile, MnasEvoError, OtherFormat
from mnas_evo.files import FORMAT, parse_json

_VARIABLES = 500  # of one statement; SQLite takes 999 in its oldest builds

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
    quantity TEXT NOT NULL,         -- top1 (percent), latency_ms (of several devices: latency_ms:NAME), params, macs
    value REAL NOT NULL,
    low REAL,
    high REAL,
    source TEXT NOT NULL,           -- where the number came from
    PRIMARY KEY (batch, slot, quantity),
    FOREIGN KEY (batch, slot) REFERENCES tells (batch, slot)
);
CREATE TABLE facts (                -- what a searcher said of itself once a batch was told
    batch INTEGER NOT NULL,
    name TEXT NOT NULL,
    value REAL,
    PRIMARY KEY (batch, name)
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
            # In WAL mode a killed process loses nothing by this; only a power cut may take the last few tells.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise MnasEvoError(f"{path} cannot be opened: {error}; what it holds is kept") from error
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

    def add_tells(self, tells: Sequence[Tell]) -> None:
        """Appends tells with their values, in one transaction."""
        now = _now()
        with self._writing():
            self._connection.executemany(
                "INSERT INTO tells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
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
                        now,
                    )
                    for tell in tells
                ],
            )
            self._connection.executemany(
                "INSERT INTO tell_values VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (tell.batch, tell.slot, name, value.value, value.low, value.high, value.source)
                    for tell in tells
                    for name, value in tell.values.items()
                ],
            )

    def tells(self) -> list[Tell]:
        """All tells in (batch, slot) order."""
        return self._read("1")

    def batch(self, number: int) -> list[Tell]:
        """The tells of one batch, by slot."""
        return self._read("tells.batch = ?", number)

    def first_tells(self, networks: Collection[str]) -> dict[str, Tell]:
        """How networks were told the first time, for those that were."""
        found: dict[str, Tell] = {}
        asked = sorted(set(networks))
        for start in range(0, len(asked), _VARIABLES):
            names = asked[start : start + _VARIABLES]
            marks = ", ".join("?" * len(names))
            found |= {tell.network: tell for tell in self._read(f"repeat = 0 AND network IN ({marks})", *names)}
        return found

    def add_facts(self, batch: int, facts: Mapping[str, float]) -> None:
        """Keeps what a searcher said of itself after a batch; said again on a replay, it stays as it was."""
        with self._writing():
            self._connection.executemany(
                "INSERT OR IGNORE INTO facts VALUES (?, ?, ?)",
                [(batch, name, value if math.isfinite(value) else None) for name, value in facts.items()],
            )

    def facts(self) -> dict[str, dict[int, float]]:
        """What a searcher said of itself: figures by name and batch."""
        found: dict[str, dict[int, float]] = {}
        for batch, name, value in self._query("SELECT batch, name, value FROM facts ORDER BY name, batch"):
            found.setdefault(name, {})[batch] = math.nan if value is None else value
        return found

    def _read(self, condition: str, *given: object) -> list[Tell]:
        values: dict[tuple[int, int], dict[str, Value]] = {}
        for batch, slot, name, value, low, high, source in self._query(
            "SELECT tells.batch, tells.slot, quantity, value, low, high, source FROM tells JOIN tell_values "
            f"ON tells.batch = tell_values.batch AND tells.slot = tell_values.slot WHERE {condition}",
            *given,
        ):
            values.setdefault((batch, slot), {})[name] = Value(value, source, low, high)
        rows = self._query(
            "SELECT batch, slot, network, genes, kind, repeat, violation, seed, seconds, message FROM tells "
            f"WHERE {condition} ORDER BY batch, slot",
            *given,
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
        except sqlite3.IntegrityError:  # a network evaluated twice: ours to mend
            raise
        except sqlite3.DatabaseError as error:  # full, locked, read-only, damaged
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
