"""Files that last: written whole or not at all, read with their format checked, one process on a folder at a time."""

import csv
import hashlib
import io
import json
import os
import platform
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from mnas_evo.errors import DamagedFile, InUse, MnasEvoError, OtherFormat

FORMAT = 1


class Form(BaseModel):
    """Base of every JSON file's form: frozen, with no unknown key, and a format number."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    format: int = FORMAT


class Part(BaseModel):
    """A part of a form, which has no format number of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


FormType = TypeVar("FormType", bound=Form)
PartType = TypeVar("PartType", bound=Part)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole: a kill or a power cut in the middle leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_form(path: Path, form: Form) -> None:
    """Writes a form as indented JSON."""
    write_text(path, form.model_dump_json(indent=1) + "\n")


def read_form(path: Path, form: type[FormType]) -> FormType:
    """Reads a JSON file of a form.

    Raises:
        DamagedFile: it is not there, is no JSON, or does not fit the form.
        OtherFormat: its format number is another.
    """
    raw = parse_json(read_text(path), source=path)
    if not isinstance(raw, dict):
        raise DamagedFile(f"{path} is damaged: it holds no JSON object")
    if raw.get("format") != FORMAT:
        raise OtherFormat(f"{path} has format {raw.get('format')!r}; this version reads and writes format {FORMAT}")
    try:
        return form.model_validate(raw)
    except ValidationError as error:
        raise DamagedFile(f"{path} is damaged: {faults(error)}") from error


def parse_toml(text: str, form: type[PartType], *, source: str, what: str, error: type[MnasEvoError]) -> PartType:
    """A TOML text of a form, which names its format number itself; `source` and `what` are named in errors.

    Raises:
        error: it is no TOML, or does not fit the form; all faults are named.
        OtherFormat: its format number is another.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # also a number of thousands of digits, and nesting without end
        raise error(f"{source} is no TOML: {fault}") from fault
    if raw.get("format", FORMAT) != FORMAT:
        raise OtherFormat(f"{source} has format {raw['format']!r}; this version reads format {FORMAT}")
    try:
        return form.model_validate(raw)
    except ValidationError as fault:
        raise error(f"{source} is no {what}: {faults(fault)}") from fault


def faults(error: ValidationError) -> str:
    """All faults of a form in one line, each with its place."""
    places = ((".".join(str(part) for part in fault["loc"]) or "file", fault["msg"]) for fault in error.errors())
    return "; ".join(f"{place}: {message}" for place, message in places)


def versions() -> dict[str, str]:
    """Versions of everything that a result may depend on."""
    packages = ("mnas-evo", "torch", "lightning", "numpy", "scikit-learn", "lightgbm", "pymoo", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def read_text(path: Path) -> str:
    """Text of a file.

    Raises:
        DamagedFile: it is not there or holds no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DamagedFile(f"{path} is missing") from error
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path} is damaged: it is no text") from error


def parse_json(text: str, *, source: object) -> object:
    """A JSON document.

    Raises:
        DamagedFile: it is no JSON; the source is named.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DamagedFile(f"{source} is damaged: {error}") from error


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes a CSV file whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def csv_columns(path: Path) -> tuple[str, ...]:
    """Names of a CSV file's columns.

    Raises:
        DamagedFile: its first line cannot be read.
    """
    return tuple(_csv_reader(path).fieldnames or ())


def read_csv(path: Path, header: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and columns of each row of a CSV file that must have at least the header's columns.

    Raises:
        DamagedFile: a column is missing, or a row is longer or shorter than the header.
    """
    reader = _csv_reader(path)
    if missing := [name for name in header if name not in (reader.fieldnames or ())]:
        raise DamagedFile(f"{path} is damaged: it has no column {', '.join(missing)}")
    for row in _rows(reader, path):
        if None in row or None in row.values():
            raise DamagedFile(
                f"{path}, line {reader.line_num}: it does not have {len(reader.fieldnames or ())} columns"
            )
        yield reader.line_num, row


def _csv_reader(path: Path) -> "csv.DictReader[str]":
    reader = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff")))  # which spreadsheets begin with
    try:
        _ = reader.fieldnames
    except csv.Error as error:
        raise DamagedFile(f"{path}, line 1: {error}") from error
    return reader


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        # The reader counts a line once it has understood it.
        raise DamagedFile(f"{path}, line {reader.line_num + 1}: {error}") from error


def fingerprint(*texts: str) -> str:
    """SHA-256 of texts, in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text).to_bytes(8, "big"))
        digest.update(text.encode())
    return digest.hexdigest()


@contextmanager
def only_process(folder: Path, *, doing: str) -> Iterator[None]:
    """Holds a folder for this process; the lock goes with the process, however it ends.

    Raises:
        InUse: another process holds it.
    """
    with _held(folder / ".lock", f"{doing} {folder}"):
        yield


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Holds a file that lines are added to for this process, by a hidden lock file beside it.

    Raises:
        InUse: another process holds it.
    """
    with _held(path.with_name(f".{path.name}.lock"), f"adding to {path}"):
        yield


@contextmanager
def _held(path: Path, doing: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InUse(f"another process is {doing}; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()
