"""Splits stored as tables, read by the `datasets` library: which column is the image, which the label."""

import glob
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.parts import Encoded, Part
from mnas_evo.errors import DamagedFile, RequestError

_LABEL_NAMES = ("label", "labels", "fine_label")
_INTEGERS = ("int8", "int16", "int32", "int64")  # and with a u before
_ROWS_AT_A_TIME = 1000  # by itself the library takes the first row group's number, and trips over one of none


def library() -> ModuleType:
    """The `datasets` library, imported on first use for it takes a second; it counts no downloads and draws no bars."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    datasets = importlib.import_module("datasets")  # by name: it carries no type information
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else local files too send a request
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(
        logging.CRITICAL
    )  # what it logs as errors it raises too, and our errors are one line
    return datasets


def parquet_part(name: str, split: str, files: Sequence[Path]) -> Part:
    """One split of parquet files. Their Arrow form is kept in the library's own cache (HF_DATASETS_CACHE moves it).

    Raises:
        DamagedFile: the files cannot be read, or have no image or label column.
        RequestError: the cache cannot be written.
    """
    datasets = library()
    patterns = [glob.escape(str(file.absolute())) for file in files]
    try:
        table = datasets.load_dataset(
            "parquet", data_files={"train": patterns}, split="train", batch_size=_ROWS_AT_A_TIME
        )
    except Exception as fault:  # the library wraps whatever went wrong, and not always in its own kind
        raise _unreadable(name, split, files, fault) from fault
    return table_part(name, split, table)


def _unreadable(name: str, split: str, files: Sequence[Path], fault: Exception) -> Exception:
    cause: BaseException = fault
    while cause.__cause__ is not None:
        cause = cause.__cause__
    why = " ".join(str(cause).split())[:200]
    if isinstance(cause, OSError) and cause.errno is not None:  # of the file system, not of what is in the files
        return RequestError(f"{name}: {why}; make it readable, or let HF_DATASETS_CACHE name a folder to keep sets in")
    return DamagedFile(f"{name}: {split} ({', '.join(file.name for file in files)}) cannot be read: {why}; replace it")


def table_part(name: str, split: str, table: Any) -> Part:
    """One split of a `datasets.Dataset`.

    Raises:
        DamagedFile: no column, or more than one, may be the image or the label.
    """
    image, label = _image_column(name, split, table.features), _label_column(name, split, table.features)
    classes = getattr(table.features[label], "names", None)
    labels = table.select_columns([label]).with_format("arrow")[:].column(0)
    images = table.select_columns([image]).with_format("arrow")

    def encoded(rows: NDArray[np.int64]) -> list[Encoded]:
        found = images[rows.tolist()].column(0).to_pylist() if len(rows) else []
        return [Encoded(one.get("bytes"), one.get("path")) if one else Encoded(None, None) for one in found]

    numbers = labels.fill_null(-1).to_numpy().astype(np.int64)
    return Part(name, split, numbers, tuple(classes) if classes is not None else None, encoded)


def _image_column(name: str, split: str, features: Any) -> str:
    found: list[str] = [key for key, kind in features.items() if isinstance(kind, library().Image)]
    found = found or [key for key, kind in features.items() if isinstance(kind, dict) and "bytes" in kind]
    if len(found) == 1:
        return found[0]
    raise _not_one("image", "of images (a struct of bytes and path)", (name, split, features), found)


def _label_column(name: str, split: str, features: Any) -> str:
    classes = [key for key, kind in features.items() if isinstance(kind, library().ClassLabel)]
    numbers = [key for key, kind in features.items() if str(getattr(kind, "dtype", "")).strip("u") in _INTEGERS]
    named = [key for key in _LABEL_NAMES if key in classes + numbers]
    found: list[str] = named[:1] or classes or numbers
    if len(found) == 1:
        return found[0]
    raise _not_one("label", "label, labels or fine_label, of class numbers", (name, split, features), found)


def _not_one(what: str, wanted: str, where: tuple[str, str, Any], found: Sequence[str]) -> DamagedFile:
    name, split, features = where
    there = ", ".join(f"{key} ({_kind(kind)})" for key, kind in features.items())
    trouble = f"{len(found)} columns that may be the {what} ({', '.join(found)})" if found else f"no {what} column"
    return DamagedFile(f"{name}: {split} has {trouble}; its columns are {there}; name one {wanted}")


def _kind(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or type(feature).__name__)
