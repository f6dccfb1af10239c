"""What every data set promises, embedded, made or real: disjoint splits that are the same in every process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.data_sets import CLASSES, numbered, numbers, write_folder, write_parquet
from support.real_data import real_data

from mnas_evo.data.datasets import ImageSet, search_data, search_split, test_data
from mnas_evo.data.images import Images
from mnas_evo.data.sources import find_source
from mnas_evo.data.splits import search_rows, test_rows
from mnas_evo.errors import RequestError, UnknownData

test_data.__test__ = False  # type: ignore[attr-defined]  # pytest would take these for tests
test_rows.__test__ = False  # type: ignore[attr-defined]


def kept(images: Images) -> NDArray[np.uint8]:
    """Pixels of images that are in memory."""
    assert isinstance(images, ImageSet)
    return images.images


def folder_of_classes(where: Path) -> str:
    write_folder(where / "set")
    return f"imagefolder:{where / 'set'}"


def folder_with_splits(where: Path) -> str:
    for first, split in enumerate(("train", "val", "test")):
        write_folder(where / "set" / split, first=100 * first)
    return f"imagefolder:{where / 'set'}"


def folder_with_validation(where: Path) -> str:
    for first, split in enumerate(("train", "val")):
        write_folder(where / "set" / split, first=100 * first)
    return f"imagefolder:{where / 'set'}"


def parquet_with_test(where: Path) -> str:
    folder = where / "a set [1]"
    write_parquet(folder / "train-0.parquet", *numbered(30))
    write_parquet(folder / "train-1.parquet", *numbered(30, first=30))
    write_parquet(folder / "test-0.parquet", *numbered(30, first=60))
    return f"parquet:{folder}"


def parquet_of_numbers(where: Path) -> str:
    write_parquet(where / "set" / "train-0.parquet", *numbered(60), named=False, columns=("picture", "kind"))
    return f"parquet:{where / 'set'}"


MADE = (folder_of_classes, folder_with_splits, folder_with_validation, parquet_with_test, parquet_of_numbers)


def digits(where: Path) -> str:
    return "digits"


def fashion_mnist(where: Path) -> str:
    return f"parquet:{real_data('fashion-mnist')}"


def cifar10(where: Path) -> str:
    return f"parquet:{real_data('cifar10')}"


def imagenette(where: Path) -> str:
    return f"parquet:{real_data('imagenette-96')}"


Make = Callable[[Path], str]
every_set = pytest.mark.parametrize("make", (digits, *MADE, fashion_mnist, cifar10, imagenette))
every_small_set = pytest.mark.parametrize("make", (digits, *MADE))
every_made_set = pytest.mark.parametrize("make", MADE)


@every_small_set
def test_images_are_bytes_of_one_shape_with_labels_of_named_classes(make: Make, tmp_path: Path) -> None:
    name = make(tmp_path)
    data, test = search_data(name), test_data(name)
    assert data.name == name
    for images in (data.train, data.validation, test):
        assert isinstance(images, ImageSet) and images.images.dtype == np.uint8 and images.labels.dtype == np.int64
        assert images.images.shape == (len(images), *data.train.shape) and len(images.labels) == len(images) > 0
        assert set(images.labels) == set(range(len(data.classes)))
        some = np.array([2, 0])
        assert np.array_equal(images.pixels(some), images.images[some])
        assert np.array_equal(images.rows(some).pixels(np.array([1])), images.images[:1])
        assert np.array_equal(images.rows(some).labels, images.labels[some])


@every_set
def test_no_row_is_in_two_splits_and_a_search_has_none_of_the_test(make: Make, tmp_path: Path) -> None:
    source = find_source(make(tmp_path))
    test = test_rows(source)
    assert len(np.unique(test.rows)) == len(test.rows) > 0
    for seed in range(3):
        train, validation = search_rows(source, seed=seed, count=None)
        held = {(chosen.part.split, row) for chosen in (train, validation, test) for row in chosen.rows}
        assert len(held) == len(train.rows) + len(validation.rows) + len(test.rows)
        assert len(held) == sum(len(source.read(split)) for split in source.splits)


@every_made_set
def test_no_image_is_in_two_splits(make: Make, tmp_path: Path) -> None:
    name = make(tmp_path)
    data, test = search_data(name, seed=1), test_data(name)
    held = [number for images in (data.train, data.validation, test) for number in numbers(kept(images))]
    assert len(held) == len(set(held))


@every_set
def test_the_validation_split_is_stratified(make: Make, tmp_path: Path) -> None:
    train, validation = search_rows(find_source(make(tmp_path)), seed=0, count=None)
    sizes = [np.bincount(chosen.part.labels[chosen.rows]) for chosen in (train, validation)]
    share = len(validation.rows) / (len(train.rows) + len(validation.rows))
    assert np.abs(sizes[1] - share * (sizes[0] + sizes[1])).max() <= 1


@every_small_set
def test_fewer_training_images_leave_validation_and_test_as_they_are(make: Make, tmp_path: Path) -> None:
    name = make(tmp_path)
    source = find_source(name)
    whole, validation = search_rows(source, seed=3, count=None)
    fewer, same = search_rows(source, seed=3, count=12)
    more, _ = search_rows(source, seed=3, count=20)
    assert len(fewer.rows) == 12 and set(fewer.rows) < set(more.rows) < set(whole.rows)
    assert np.array_equal(same.rows, validation.rows)
    assert np.bincount(whole.part.labels[fewer.rows]).max() <= np.ceil(12 / len(np.unique(whole.part.labels)))
    assert np.array_equal(test_data(f"{name}@12").labels, test_data(name).labels)
    assert len(search_data(f"{name}@12").train) == 12


@every_set
def test_halves_train_on_all_and_validate_on_one_half_of_the_test_images(make: Make, tmp_path: Path) -> None:
    name = make(tmp_path)
    source = find_source(name)
    whole = test_rows(source)
    for seed in (0, 4):
        train, validation = search_rows(source, seed=seed, count=None, halves=True)
        test = test_rows(source, halves=True)
        assert sorted([*validation.rows, *test.rows]) == sorted(whole.rows)
        assert len(validation.rows) == len(whole.rows) // 2
        assert (train.part is not test.part) or not set(train.rows) & set(whole.rows)
    assert np.array_equal(test_data(f"{name}:halves@12").labels, test.part.labels[test.rows])
    found = search_data(f"{name}:halves@12")
    assert len(found.train) == 12 and len(found.validation) == len(validation.rows)


def test_another_seed_takes_other_images_and_another_fingerprint(tmp_path: Path) -> None:
    name = parquet_with_test(tmp_path)
    first, again, other = (search_data(name, seed=seed) for seed in (0, 0, 1))
    assert first.split == again.split and first.split.fingerprint != other.split.fingerprint
    assert (first.split.seed, first.split.train, first.split.validation) == (0, 45, 15)
    assert set(numbers(first.validation.pixels(np.arange(15)))) != set(numbers(other.validation.pixels(np.arange(15))))
    assert search_data(f"{name}@30").split.fingerprint != first.split.fingerprint
    own = folder_with_splits(tmp_path)
    fewer = [search_data(f"{own}@12", seed=seed).split for seed in (0, 1)]
    assert fewer[0].fingerprint != fewer[1].fingerprint  # validation is the set's own here: the choice of 12 differs


def test_the_fingerprint_tells_other_labels(tmp_path: Path) -> None:
    images, labels = numbered(30)
    prints = set()
    for place, own in enumerate((labels, [0, *labels[:-1]])):
        write_parquet(tmp_path / str(place) / "train-0.parquet", images, own)
        write_parquet(tmp_path / str(place) / "val-0.parquet", images, labels)
        write_parquet(tmp_path / str(place) / "test-0.parquet", images, labels)
        prints.add(search_data(f"parquet:{tmp_path / str(place)}").split.fingerprint)
    assert len(prints) == 2


def test_splits_and_pixels_are_the_same_in_two_other_processes_that_read_at_once(tmp_path: Path) -> None:
    names = ["digits", *(make(tmp_path / make.__name__) for make in MADE)]
    code = (
        "import hashlib, sys; from mnas_evo.data.datasets import search_data, test_data\n"
        "for name in sys.argv[1:]:\n"
        "    d, t = search_data(name, seed=5), test_data(name)\n"
        "    held = d.train.images.tobytes() + d.validation.images.tobytes() + t.images.tobytes()\n"
        "    print(hashlib.sha256(held).hexdigest(), d.split.fingerprint, 'datasets' in sys.modules)"
    )
    surroundings = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    call = [sys.executable, "-c", code, *names]
    running = [
        subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    (first, errors), (second, _) = answers
    assert first == second and errors == ""  # no bars, no warnings
    assert [line.split()[1] for line in first.splitlines()] == [search_data(n, seed=5).split.fingerprint for n in names]
    assert first.splitlines()[0].endswith("False")  # embedded data do not wait for the library, which takes a second


def test_digits_are_1797_grey_images_of_32_by_32_in_ten_classes() -> None:
    data = search_data("digits")
    assert (len(data.train), len(data.validation), len(test_data("digits"))) == (1077, 360, 360)
    assert data.train.shape == (1, 32, 32)
    assert data.train.pixels(np.arange(1077)).max() == 255
    assert data.classes == tuple("0123456789")


def test_digits_are_split_as_they_always_were() -> None:
    # Run folders of earlier versions hold figures of these rows.
    train, validation = search_rows(find_source("digits"), seed=0, count=None)
    assert train.rows[:6].tolist() == [0, 1, 2, 4, 7, 8]
    assert [int(chosen.rows.sum()) for chosen in (train, validation)] == [951253, 324509]
    assert int(test_rows(find_source("digits")).rows.sum()) == 337944


def test_a_test_split_tests_and_a_validation_split_validates(tmp_path: Path) -> None:
    name = folder_with_splits(tmp_path)
    data = search_data(name)
    parts = [
        numbers(images.pixels(np.arange(len(images)))) for images in (data.train, data.validation, test_data(name))
    ]
    assert [sorted(part) for part in parts] == [list(range(start, start + 36)) for start in (0, 100, 200)]


def test_a_validation_split_tests_where_there_is_no_other(tmp_path: Path) -> None:
    name = folder_with_validation(tmp_path)
    data, test = search_data(name), test_data(name)
    assert sorted(numbers(test.pixels(np.arange(36)))) == list(range(100, 136))
    assert (len(data.train), len(data.validation)) == (27, 9)


def test_without_other_splits_a_fifth_tests_whatever_the_seed(tmp_path: Path) -> None:
    name = folder_of_classes(tmp_path)
    test = set(numbers(test_data(name).pixels(np.arange(7))))
    for seed in range(3):
        data = search_data(name, seed=seed)
        assert (len(data.train), len(data.validation)) == (22, 7)
        assert not test & set(numbers(data.train.pixels(np.arange(22))))


def test_no_more_than_ten_thousand_images_validate() -> None:
    name = f"parquet:{real_data('fashion-mnist')}"
    train, validation = search_rows(find_source(name), seed=0, count=None)
    assert (len(train.rows), len(validation.rows)) == (50_000, 10_000)
    assert set(np.bincount(validation.part.labels[validation.rows])) == {1000}


def test_real_sets_have_their_known_shapes_and_names() -> None:
    for name, shape, named, tests in (
        ("fashion-mnist", (1, 28, 28), "Sneaker", 10_000),
        ("cifar10", (3, 32, 32), "frog", 10_000),
        ("imagenette-96", (3, 96, 96), "golf ball", 3_925),
    ):
        data = search_data(f"parquet:{real_data(name)}@500")
        assert len(data.train) == 500 and np.ptp(np.bincount(data.train.labels)) <= 8
        assert 60 < data.train.pixels(np.arange(500)).mean() < 140
        assert data.train.shape == shape and named in data.classes and len(data.classes) == 10
        assert len(test_rows(find_source(f"parquet:{real_data(name)}")).rows) == tests


def test_classes_bear_the_names_of_folders_or_of_the_file_or_else_their_numbers(tmp_path: Path) -> None:
    assert search_data(folder_of_classes(tmp_path / "a")).classes == CLASSES
    assert search_data(parquet_with_test(tmp_path / "b")).classes == CLASSES
    assert search_data(parquet_of_numbers(tmp_path / "c")).classes == ("0", "1", "2")


@pytest.mark.parametrize("count", [0, 1078, 10**9])
def test_a_number_of_training_images_that_cannot_be_is_an_error_that_says_how_many_can(count: int) -> None:
    with pytest.raises(RequestError, match=rf"digits@{count} .*1077.*@1077"):
        search_data(f"digits@{count}")


def test_a_set_too_small_to_split_is_an_error(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", *numbered(3))
    with pytest.raises(RequestError, match=r"3 images, too few to split"):
        search_data(f"parquet:{tmp_path}")


@pytest.mark.parametrize("name", ["mnist", "hub:", "parquet:", "imagefolder:", "digits@few", "torchvision:MNIST", ""])
def test_an_unknown_data_set_is_an_error_that_names_those_there_are(name: str) -> None:
    with pytest.raises(UnknownData, match=rf"'{name}'.*digits, fashion-mnist, cifar10, imagefolder:DIR"):
        search_data(name)


def test_local_sets_are_read_without_a_word_to_the_network(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "asked = []\n"
        "def refuse(*name, **_): asked.append(name); raise OSError('no network')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from mnas_evo.data.datasets import search_data, test_data\n"
        "[(search_data(name), test_data(name)) for name in sys.argv[1:]]; print(asked)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, parquet_with_test(tmp_path / "a"), folder_of_classes(tmp_path / "b")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_split_is_told_without_decoding_an_image() -> None:
    for name in ("digits", "digits@100"):
        assert search_split(name, seed=3) == search_data(name, seed=3).split
    assert search_split("digits", seed=3) != search_split("digits", seed=4)
