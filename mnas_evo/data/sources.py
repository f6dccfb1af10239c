"""Where DATA strings lead: embedded digits, folders of image files, parquet files, and sets of the Hugging Face hub."""

import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.hub import hub_source
from mnas_evo.data.parts import SPLIT_NAMES, Encoded, Part, Source, called
from mnas_evo.data.tables import parquet_part
from mnas_evo.errors import DamagedFile, UnknownData

FORMS = "digits, fashion-mnist, cifar10, imagefolder:DIR, parquet:DIR or hub:NAME, each with @N for N training images"
_ON_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist", "cifar10": "uoft-cs/cifar10"}
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@lru_cache(maxsize=4)  # a search opens its set for every network
def find_source(name: str) -> Source:
    """The data set of a DATA string (without @N).

    Raises:
        UnknownData: there is none, or it cannot be fetched.
        DamagedFile: its files cannot be read as images with labels.
    """
    kind, _, place = name.partition(":")
    if name == "digits":
        return _digits()
    if name in _ON_HUB or (kind == "hub" and place):
        return hub_source(name, _ON_HUB.get(name, place))
    if kind == "imagefolder" and place:
        return _image_folder(name, Path(place))
    if kind == "parquet" and place:
        return _parquet_folder(name, Path(place))
    raise UnknownData(f"no data set {name!r} here; known are {FORMS}")


def _once(name: str, parts: dict[str, Part]) -> Source:
    return Source(name, tuple(parts), parts.__getitem__)


def _digits() -> Source:
    """1,797 scans of handwritten digits (Alpaydin and Kaynak 1998, in scikit-learn), enlarged from 8x8 to 32x32."""
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    small = torch.from_numpy(found.images.astype(np.float32))[:, None] * (255 / 16)
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = large.round().clamp(0, 255).to(torch.uint8).numpy()

    def encoded(rows: NDArray[np.int64]) -> list[Encoded]:
        files = [io.BytesIO() for _ in rows]
        for file, image in zip(files, images[rows, 0], strict=True):
            Image.fromarray(image).save(file, "PPM")
        return [Encoded(file.getvalue(), None) for file in files]

    classes = tuple(str(digit) for digit in range(10))
    return _once("digits", {"train": Part("digits", "train", found.target.astype(np.int64), classes, encoded)})


def _image_folder(name: str, folder: Path) -> Source:
    """DIR/SPLIT/CLASS/FILE, or DIR/CLASS/FILE for one without splits.

    Listed here: the `datasets` library's own image folder looks at each file again at every start (0.5 ms a file), and
    takes class folders named like a split for splits.
    """
    _existing(name, folder, "train/CLASS/*.jpg (with test/ or val/ beside it) or CLASS/*.jpg")
    found = {split: folder / there for split, there in called(_class_folders(folder)).items()}
    if "train" not in found and found:
        raise UnknownData(
            f"{folder} has {', '.join(p.name for p in found.values())} but no train folder; add train/CLASS/*"
        )
    folders = found or {"train": folder}
    classes = _class_folders(folders["train"])
    if not classes:
        raise UnknownData(f"{folders['train']} has no class folders; put images into {folders['train']}/CLASS/")
    return _once(name, {split: _listed(name, split, (where, classes)) for split, where in folders.items()})


def _class_folders(folder: Path) -> tuple[str, ...]:
    return tuple(
        sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    )


def _listed(name: str, split: str, where: tuple[Path, tuple[str, ...]]) -> Part:
    folder, classes = where
    if others := sorted(set(_class_folders(folder)) - set(classes)):
        raise DamagedFile(f"{folder / others[0]} is of a class that train has not; add it to train or remove it")
    files = [_image_files(folder / each) for each in classes]
    if split == "train" and (empty := [each for each, own in zip(classes, files, strict=True) if not own]):
        raise DamagedFile(f"{folder / empty[0]} has no images; add some or remove it")
    paths = [path for own in files for path in own]

    def encoded(rows: NDArray[np.int64]) -> list[Encoded]:
        return [Encoded(None, paths[row]) for row in rows]

    labels = np.repeat(np.arange(len(classes)), [len(own) for own in files])
    return Part(name, split, labels.astype(np.int64), classes, encoded)


def _image_files(folder: Path) -> Sequence[str]:
    return sorted(
        os.path.join(inner, file)
        for inner, _, files in os.walk(folder)
        for file in files
        if os.path.splitext(file)[1].lower() in _SUFFIXES and not file.startswith(".")
    )


def _parquet_folder(name: str, folder: Path) -> Source:
    _existing(name, folder, "train-*.parquet, test-*.parquet or val-*.parquet")
    files = {
        split: sorted(path for each in names for path in folder.glob(f"{each}-*.parquet"))
        for split, names in SPLIT_NAMES.items()
    }
    if not files["train"]:
        there = sorted(path.name for path in folder.iterdir())[:5]
        raise UnknownData(
            f"{folder} has no train-*.parquet (it holds {', '.join(there) or 'nothing'}); name the folder of such "
            "files, or rename yours to train-0.parquet, test-0.parquet ..."
        )
    splits = tuple(split for split, found in files.items() if found)
    return Source(name, splits, lru_cache(maxsize=None)(lambda split: parquet_part(name, split, files[split])))


def _existing(name: str, folder: Path, wanted: str) -> None:
    if not folder.is_dir():
        raise UnknownData(f"{name}: there is no folder {folder}; give one that holds {wanted}")
