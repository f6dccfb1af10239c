"""Which images train, which validate and which only test: disjoint rows, by the set's own splits or by a seed."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.parts import Part, Source, check_part, class_names
from mnas_evo.errors import RequestError

_TEST_SHARE = 0.2
_TEST_SEED = 0  # the test split is the data set's own: no seed of a search or a training moves it
_VALIDATION_SHARE = 0.25
_VALIDATION_MOST = 10_000  # top-1 to half a percentage point, whatever the set's size


@dataclass(frozen=True, slots=True)
class Split:
    """What is recorded of a split: its seed, how many images, and a SHA-256 over which rows and labels went where."""

    seed: int
    train: int
    validation: int
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Chosen:
    """Rows of one part."""

    part: Part
    rows: NDArray[np.int64]


def learn_rows(source: Source) -> Chosen:
    """Training images, all but those that test."""
    return _learn_and_test(source)[0]


def test_rows(source: Source, *, halves: bool = False) -> Chosen:
    """Test images: of the test split, else of the validation split, else a fifth of the training images.

    With `halves` they are the half of these that does not validate.
    """
    return _halves(source)[1] if halves else _test_rows(source)


def _halves(source: Source) -> tuple[Chosen, Chosen]:
    """The test images in two, of each class as many here as there; the same at every seed of a training."""
    test = _test_rows(source)
    first = stratified(test.part.labels[test.rows], len(test.rows) // 2, seed=_TEST_SEED)
    return Chosen(test.part, test.rows[first]), Chosen(test.part, np.delete(test.rows, first))


def _test_rows(source: Source) -> Chosen:
    if "test" in source.splits or "validation" in source.splits:
        part = source.read("test" if "test" in source.splits else "validation")
        check_part(part, class_names(source.read("train")))
        return Chosen(part, np.arange(len(part)))
    return _learn_and_test(source)[1]


def search_rows(source: Source, *, seed: int, count: int | None, halves: bool = False) -> tuple[Chosen, Chosen]:
    """Training images (only `count` of them, if given) and validation images.

    With `halves` all training images train, and half of the test images validate.

    Raises:
        RequestError: fewer than `count` images are there.
    """
    learn = learn_rows(source)
    if halves:
        train, validation = learn, _halves(source)[0]
    elif "test" in source.splits and "validation" in source.splits:
        part = source.read("validation")
        check_part(part, class_names(source.read("train")))
        train, validation = learn, Chosen(part, np.arange(len(part)))
    else:
        train, validation = _apart(source, learn, (_VALIDATION_SHARE, _VALIDATION_MOST), seed=seed)
    if count is None:
        return train, validation
    if not 1 <= count <= len(train.rows):
        raise RequestError(
            f"{source.name}@{count} asks for {count} of the {len(train.rows)} training images; "
            f"give @1 to @{len(train.rows)}, or none for all"
        )
    some = stratified(train.part.labels[train.rows], count, seed=seed)
    return Chosen(train.part, train.rows[some]), validation


def split_of(train: Chosen, validation: Chosen, *, seed: int) -> Split:
    """What is recorded of a split."""
    digest = hashlib.sha256()
    for chosen in (train, validation):
        digest.update(f"{chosen.part.split} {len(chosen.rows)}\n".encode())
        digest.update(chosen.rows.astype("<i8").tobytes() + chosen.part.labels[chosen.rows].astype("<i8").tobytes())
    return Split(seed, len(train.rows), len(validation.rows), digest.hexdigest())


def stratified(labels: NDArray[np.int64], count: int, *, seed: int) -> NDArray[np.int64]:
    """`count` places among labels (n,), ascending: of each class its share, rounded.

    Of one seed, fewer are always among more; and of up to half of the places, each class keeps some outside.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    mixed = labels[order]
    by_class = np.argsort(mixed, kind="stable")
    sizes = np.bincount(mixed)
    number = np.empty(len(labels), np.int64)  # of an image within its class
    number[by_class] = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[mixed[by_class]]
    first = np.argsort((number + 0.5) / sizes[mixed], kind="stable")[:count]
    return np.sort(order[first])


def _learn_and_test(source: Source) -> tuple[Chosen, Chosen]:
    part = source.read("train")
    class_names(part)
    everything = Chosen(part, np.arange(len(part)))
    if len(source.splits) > 1:
        return everything, Chosen(part, np.arange(0))
    return _apart(source, everything, (_TEST_SHARE, len(part)), seed=_TEST_SEED)


def _apart(source: Source, chosen: Chosen, share_and_most: tuple[float, int], *, seed: int) -> tuple[Chosen, Chosen]:
    """What stays and what is taken away; a stratified share."""
    share, most = share_and_most
    labels = chosen.part.labels[chosen.rows]
    if source.name == "digits":  # split as it was before other sets came: earlier figures stay comparable
        from sklearn.model_selection import train_test_split  # takes two seconds to import

        stay, away = train_test_split(np.arange(len(labels)), test_size=share, random_state=seed, stratify=labels)
        stay, away = np.sort(stay), np.sort(away)
    else:
        away = stratified(labels, min(int(len(labels) * share), most), seed=seed)
        stay = np.setdiff1d(np.arange(len(labels)), away, assume_unique=True)
    if not len(away):
        raise RequestError(
            f"{source.name} has {len(chosen.part)} images, too few to split; give ten or more of a class"
        )
    return Chosen(chosen.part, chosen.rows[stay]), Chosen(chosen.part, chosen.rows[away])
