"""The archive keeps exactly what it was told, once, and measurements apart."""

import sqlite3
from pathlib import Path

import pytest

from mnas_evo.errors import DamagedFile, OtherFormat
from mnas_evo.search.archive import Archive, Measurement, Tell, Value

TELL = Tell(
    0,
    1,
    "net",
    (1, 2, 3),
    "values",
    values={"top1": Value(91.5, "proxy"), "latency_ms": Value(1.25, "predicted", 1.1, 1.4)},
    seed=7,
    seconds=2.5,
)


def test_what_is_told_comes_back_in_order_of_batch_and_slot(tmp_path: Path) -> None:
    first = Tell(0, 0, "other", (0,), "failure", message="NaN")
    with Archive(tmp_path / "a.sqlite", create=True) as archive:
        archive.add_tells([TELL])
        archive.add_tells([first])
    with Archive(tmp_path / "a.sqlite") as archive:
        assert archive.tells() == [first, TELL]


def test_an_architecture_is_evaluated_once_but_may_be_told_again(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.sqlite", create=True) as archive:
        archive.add_tells([TELL])
        with pytest.raises(sqlite3.IntegrityError):
            archive.add_tells([Tell(1, 0, "net", (1, 2, 3), "values")])
        archive.add_tells([Tell(1, 0, "net", (1, 2, 3), "values", repeat=True)])
        assert [tell.repeat for tell in archive.tells()] == [False, True]


def test_measurements_never_touch_the_tells_and_the_newest_counts(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.sqlite", create=True) as archive:
        archive.add_tells([TELL])
        before = archive.tells()
        archive.add_measurements([Measurement("net", "latency_ms", 1.3, "measured:x", 0.5, {"campaign": "c"})])
        archive.add_measurements([Measurement("net", "latency_ms", 1.2, "measured:x")])
        assert archive.tells() == before
        assert archive.measurements("latency_ms")["net"].value == 1.2
        assert archive.measurements("top1") == {}


def test_a_missing_archive_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="missing"):
        Archive(tmp_path / "a.sqlite")
    assert not (tmp_path / "a.sqlite").exists()


def test_a_damaged_archive_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(DamagedFile, match="damaged"):
        Archive(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_an_archive_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with Archive(path, create=True):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(OtherFormat, match="format 9"):
        Archive(path)
