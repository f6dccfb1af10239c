"""Data sets: real images, disjoint splits that are the same in every process, and no test image in a search."""

import subprocess
import sys

import numpy as np
import pytest

from mnas_evo.data.datasets import search_data, test_data
from mnas_evo.errors import UnknownData

test_data.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def digest(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_digits_are_1797_grey_images_of_32_by_32_in_ten_classes() -> None:
    data = search_data("digits")
    assert len(data.train) + len(data.validation) + len(test_data("digits")) == 1797
    assert data.train.images.shape[1:] == (1, 32, 32) and data.train.images.dtype == np.uint8
    assert data.train.images.max() == 255
    assert data.classes == tuple("0123456789")
    assert set(data.train.labels) == set(range(10))


def test_a_search_sees_no_test_image_whatever_its_seed() -> None:
    test = digest(test_data("digits").images)
    for seed in range(3):
        data = search_data("digits", seed=seed)
        train, validation = digest(data.train.images), digest(data.validation.images)
        # A few scans are equal to the pixel; what is held apart is the rows.
        assert len(train & test) + len(validation & test) + len(train & validation) <= 3


def test_the_validation_split_is_the_seeds_and_stratified() -> None:
    first, again, other = (search_data("digits", seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.validation.images, again.validation.images)
    assert not np.array_equal(first.validation.labels, other.validation.labels)
    counts = np.bincount(first.validation.labels)
    assert counts.min() >= 0.9 * counts.max()


def test_splits_are_the_same_in_another_process() -> None:
    code = (
        "import hashlib; from mnas_evo.data.datasets import search_data; d = search_data('digits', seed=5);"
        "print(hashlib.sha256(d.train.images.tobytes() + d.validation.labels.tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_an_unknown_data_set_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UnknownData, match=r"'mnist'.*digits"):
        search_data("mnist")
