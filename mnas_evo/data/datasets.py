"""Image data sets by name, and their seeded splits. What a search gets holds no test image, by construction."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.decoding import Form, Look, decode, decode_into, look_at
from mnas_evo.data.images import Images, ImageSet
from mnas_evo.data.parts import Part, class_names
from mnas_evo.data.sources import find_source
from mnas_evo.data.splits import Chosen, Split, learn_rows, search_rows, split_of, test_rows
from mnas_evo.data.streamed import StreamedImages
from mnas_evo.errors import RequestError

__all__ = [
    "ImageSet",
    "Images",
    "SearchData",
    "Split",
    "StreamedImages",
    "classes_of",
    "fewer",
    "refuse_validation_on_test",
    "search_data",
    "search_split",
    "shares_test_images",
    "test_data",
]

_HALVES = ":halves"
_IN_MEMORY_BYTES = 4 << 30  # of decoded pixels; sets with more are decoded batch by batch


@dataclass(frozen=True, slots=True)
class SearchData:
    """What a search may see: training and validation images, what the classes are called, and how it was split."""

    name: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    split: Split


def search_data(name: str, *, seed: int = 0, size: tuple[int, int] | None = None) -> SearchData:
    """Training and validation images of a data set at a (height, width); the split between them is the seed's.

    Raises:
        UnknownData: no such data set.
        RequestError: images differ in size and none was given, or @N asks for more images than there are.
        DamagedFile: images, labels or columns that cannot be read.
    """
    return _search_data(name, seed, size)


def search_split(name: str, *, seed: int = 0) -> Split:
    """How `search_data` splits a data set; no image is decoded.

    Raises:
        UnknownData: no such data set.
        RequestError: @N asks for more images than there are.
        DamagedFile: labels or columns that cannot be read.
    """
    place, count, halves = _parsed(name)
    return split_of(*search_rows(find_source(place), seed=seed, count=count, halves=halves), seed=seed)


def refuse_validation_on_test(name: str) -> None:
    """Keeps sets whose test images validate, DATA:halves, from what steers a search or a choice between networks.

    Raises:
        RequestError: it is one.
    """
    if _parsed(name)[2]:
        raise RequestError(f"{name} validates on test images, which is for final training alone; leave out {_HALVES}")


def fewer(name: str, count: int) -> str:
    """The DATA string with so many training images, and validation and test as they are."""
    place, _, halves = _parsed(name)
    return f"{place}{_HALVES if halves else ''}@{count}"


def shares_test_images(trained_on: str, name: str) -> bool:
    """Whether images that validated a training on one set would test it on the other."""
    (place, _, validated), (other, _, halves) = _parsed(trained_on), _parsed(name)
    return place == other and validated and not halves


def classes_of(name: str) -> tuple[str, ...]:
    """Names of a data set's classes, in the order of its labels; their numbers where it names none.

    Raises:
        UnknownData: no such data set.
        DamagedFile: labels or columns that cannot be read.
    """
    place, _, _ = _parsed(name)
    return class_names(find_source(place).read("train"))


def test_data(name: str, *, size: tuple[int, int] | None = None) -> Images:
    """Test images of a data set, which only final evaluation reads; their channels and size are the training images'.

    Raises:
        UnknownData: no such data set.
        RequestError: images differ in size and none was given.
        DamagedFile: images, labels or columns that cannot be read.
    """
    place, _, halves = _parsed(name)
    return images_of((test_rows(find_source(place), halves=halves),), _form(place, size))[0]


def images_of(chosen: tuple[Chosen, ...], form: Form, *, limit_bytes: int = _IN_MEMORY_BYTES) -> tuple[Images, ...]:
    """Images of one split: kept decoded where the whole split fits the limit, else those chosen, else streamed.

    Raises:
        DamagedFile: images that cannot be decoded.
        RequestError: images of another size, where no size was given.
    """
    part, each_bytes = chosen[0].part, int(np.prod(form.shape))
    rows = np.concatenate([some.rows for some in chosen])
    if len(part) * each_bytes <= limit_bytes:
        kept = _kept(part, form)
        kept.fill(rows)
        return tuple(kept.image_set(some.rows) for some in chosen)
    if len(rows) * each_bytes <= limit_bytes:
        return tuple(ImageSet(decode(part, some.rows, form), part.labels[some.rows]) for some in chosen)
    return tuple(StreamedImages(part, some.rows, form) for some in chosen)


class _Kept:
    """The decoded pixels of a split, filled as they are asked for: other seeds and sizes of split find them done."""

    def __init__(self, part: Part, form: Form) -> None:
        self._part = part
        self._form = form
        self._pixels = np.empty((len(part), *form.shape), np.uint8)
        self._done = np.zeros(len(part), np.bool_)

    def fill(self, rows: NDArray[np.int64]) -> None:
        missing = np.sort(rows[~self._done[rows]])
        decode_into(self._pixels, missing, (self._part, missing), self._form)
        self._done[missing] = True

    def image_set(self, rows: NDArray[np.int64]) -> ImageSet:
        return ImageSet(self._pixels[rows], self._part.labels[rows])


@lru_cache(maxsize=3)  # train, validation and test of one set
def _kept(part: Part, form: Form) -> _Kept:
    return _Kept(part, form)


@lru_cache(maxsize=1)  # a proxy search reads the same set for every network
def _search_data(name: str, seed: int, size: tuple[int, int] | None) -> SearchData:
    place, count, halves = _parsed(name)
    source, form = find_source(place), _form(place, size)
    train, validation = search_rows(source, seed=seed, count=count, halves=halves)
    if train.part is validation.part:
        trains, validates = images_of((train, validation), form)
    else:
        (trains,), (validates,) = images_of((train,), form), images_of((validation,), form)
    return SearchData(name, class_names(train.part), trains, validates, split_of(train, validation, seed=seed))


def _parsed(name: str) -> tuple[str, int | None, bool]:
    """A DATA string without its @N and :halves, N, and whether half of the test images validate."""
    place, at, count = name.rpartition("@")
    number = int(count) if at and count.isdecimal() else None
    place = name if number is None else place
    whole = place.removesuffix(_HALVES)
    return whole, number, whole != place


@lru_cache(maxsize=4)
def _look(place: str) -> Look:
    learn = learn_rows(find_source(place))
    return look_at(learn.part, learn.rows)


def _form(place: str, size: tuple[int, int] | None) -> Form:
    look = _look(place)
    if size is not None:
        return Form(look.channels, *size, resizes=True)
    if len(look.sizes) > 1:
        smallest, largest = ("x".join(map(str, look.sizes[end])) for end in (0, -1))
        raise RequestError(
            f"the images of {place} differ in size ({smallest} to {largest}, height x width); give one size to bring "
            "them to: --resolution 64"
        )
    return Form(look.channels, *look.sizes[0], resizes=False)
