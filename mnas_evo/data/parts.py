"""A data set as it lies: its splits, each with labels and images that are still encoded."""

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import DamagedFile

# What the splits are called in folders, files and on the hub; the first that is there is taken.
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as it is stored: the bytes of its file, or the file's path, or both."""

    data: bytes | None
    path: str | None


@dataclass(frozen=True, eq=False)
class Part:
    """One split of a set; `classes` is None where the labels are bare numbers; `encoded` reads some rows' images."""

    set_name: str
    split: str
    labels: NDArray[np.int64]
    classes: tuple[str, ...] | None
    encoded: Callable[[NDArray[np.int64]], list[Encoded]]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set that was found: its splits (of train, validation and test) and how to read one."""

    name: str
    splits: tuple[str, ...]
    read: Callable[[str], Part]


def called(there: Container[str]) -> dict[str, str]:
    """By what names the splits are there, of those that are."""
    found = {split: [name for name in names if name in there] for split, names in SPLIT_NAMES.items()}
    return {split: names[0] for split, names in found.items() if names}


def class_names(train: Part) -> tuple[str, ...]:
    """Names of a set's classes by its training split; where it names none, their numbers.

    Raises:
        DamagedFile: no images, or images of one class.
    """
    check_part(train, train.classes)
    if len(np.unique(train.labels)) < 2:
        raise DamagedFile(
            f"every image of {train.set_name}'s {train.split} has label {train.labels[0]}; "
            "give images of two classes or more"
        )
    return train.classes or tuple(str(number) for number in range(int(train.labels.max()) + 1))


def check_part(part: Part, classes: tuple[str, ...] | None) -> None:
    """Whether there are images and every label is one of the classes; with None, whether it is a number from 0 on.

    Raises:
        DamagedFile: no images, labels that are not, or a split that names the classes otherwise.
    """
    if not len(part):
        raise DamagedFile(f"{part.set_name} has no images in {part.split}; add some, or remove the split")
    if classes is not None and part.classes not in (None, classes):
        raise DamagedFile(
            f"{part.set_name}'s {part.split} names other classes ({', '.join(part.classes[:5])} ...) than its train "
            f"({', '.join(classes[:5])} ...); store both splits with one list of names"
        )
    wrong = part.labels < 0
    if classes is not None:
        wrong |= part.labels >= len(classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        allowed = "0 or more" if classes is None else f"0 to {len(classes) - 1}"
        raise DamagedFile(
            f"{part.set_name}: {int(wrong.sum())} of {len(part)} images in {part.split} have a label that is not "
            f"{allowed}, the first in row {row} ({part.labels[row]}; -1 stands for none); label them or leave them out"
        )
