"""Which of a network's classes each class of a data set is: by name where both have names, else by number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.datasets import classes_of, shares_test_images
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.training.checkpoint import Checkpoint

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Matched:
    """What the network's classes are called, and for each class of the data set the network's.

    `said` is what a reader must know of how they were matched; empty where both name the same in the same order.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    said: str = ""

    def labels(self, of_data: NDArray[np.int64]) -> NDArray[np.int64]:
        """Labels of the data set as the network's."""
        return np.array(self.places, np.int64)[of_data]


def match_data(checkpoint: Checkpoint, data: str) -> Matched:
    """Matches the classes of a data set that is to test a checkpoint.

    Raises:
        RequestError: it has other classes, or half of its test images validated the checkpoint's training.
        UnknownData: no such data set.
        DamagedFile: its labels cannot be read, or the checkpoint names more or fewer classes than its network has.
    """
    if shares_test_images(checkpoint.data, data):
        raise RequestError(
            f"half of {data}'s test images validated this training, on {checkpoint.data}; test it on the other half: "
            f"--data {checkpoint.data}"
        )
    return match_classes(checkpoint, classes_of(data), data=data)


def match_classes(checkpoint: Checkpoint, classes: tuple[str, ...], *, data: str) -> Matched:
    """Matches a data set's classes, in the order of its labels, to a checkpoint's.

    The same names are matched whatever their order, and some of them are enough. Numbers are numbers of classes, then
    as many classes are needed on both sides: of another count, 0 and 1 hardly mean the same.

    Raises:
        RequestError: the data set has other classes.
        DamagedFile: the checkpoint names more or fewer classes than its network has.
    """
    known, count = checkpoint.classes, checkpoint.network.frame.classes
    if len(known) != count:
        raise DamagedFile(
            f"the checkpoint is damaged: it names {len(known)} classes and its network has {count}; train it again"
        )
    names = tuple(_writable(name) for name in known)
    if known == classes:
        return Matched(names, tuple(range(count)))
    place = {name: number for number, name in enumerate(known)}
    by_name = len(place) == count and place.keys() >= set(classes) and len(set(classes)) == len(classes)
    if by_name and (len(classes) == count or not _numbered(known)):
        return Matched(names, tuple(place[name] for name in classes), _by_name(len(classes), count))
    if len(classes) != count:
        raise RequestError(
            f"{data} has {len(classes)} classes ({_some(classes)}), the network {count} ({_some(known)}); give data of "
            "the network's classes, or train it on these"
        )
    if _numbered(classes):
        said = f"{data} numbers its classes; they are taken to be the network's in order"
        return Matched(names, tuple(int(name) for name in classes), said)
    if _numbered(known):
        said = f"the weights number their classes; {data}'s are taken to be these in order"
        return Matched(tuple(_writable(name) for name in classes), tuple(range(count)), said)
    strange = [name for name in classes if name not in place]
    raise RequestError(
        f"{data} has classes that the network does not know ({_some(strange or classes)}); it knows {_some(known)}. "
        f"Call them as the network does, or by their numbers in its order, 0 to {count - 1}"
    )


def _numbered(names: tuple[str, ...]) -> bool:
    """Whether names are the numbers from 0 on, in any order."""
    return set(names) == {str(number) for number in range(len(names))}


def _by_name(some: int, count: int) -> str:
    if some < count:
        return f"the data has {some} of the network's {count} classes; they were matched by name"
    return "the data has the network's classes in another order; they were matched by name"


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(_writable(name) for name in names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def _writable(name: str) -> str:
    """A name as it can be written to a file; a folder's may hold bytes that are no text."""
    return name.encode(errors="replace").decode()
