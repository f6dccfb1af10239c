"""Where DATA strings lead, and what is said of folders, files, columns and labels that cannot be used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.data_sets import CLASSES, numbered, pixels, png, write_folder, write_parquet

from mnas_evo.data.datasets import search_data, test_data
from mnas_evo.data.sources import find_source
from mnas_evo.data.tables import library, table_part
from mnas_evo.errors import DamagedFile, RequestError, UnknownData

test_data.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def table(**columns: tuple[object, list[object]]) -> object:
    """A `datasets.Dataset` of columns (kind, values)."""
    datasets = library()
    features = datasets.Features({name: kind for name, (kind, _) in columns.items()})
    return datasets.Dataset.from_dict({name: values for name, (_, values) in columns.items()}, features=features)


def images(count: int = 3) -> tuple[object, list[object]]:
    return library().Image(), [{"bytes": png(pixels(number)), "path": None} for number in range(count)]


def kinds() -> tuple[object, object, object]:
    datasets = library()
    return datasets.ClassLabel(names=["a", "b"]), datasets.Value("int16"), datasets.Value("string")


def test_the_label_is_found_by_its_name_or_as_the_only_column_that_may_be_it() -> None:
    named, number, text = kinds()
    for columns, expected in (
        ({"coarse_label": (named, [0, 0, 0]), "fine_label": (named, [0, 1, 1])}, [0, 1, 1]),
        ({"fine_label": (named, [1, 0, 0]), "label": (named, [0, 1, 0])}, [0, 1, 0]),
        ({"id": (number, [7, 8, 9]), "labels": (number, [1, 1, 0])}, [1, 1, 0]),
        ({"id": (number, [7, 8, 9]), "species": (named, [1, 0, 0])}, [1, 0, 0]),
        ({"species": (number, [0, 1, 2]), "note": (text, ["x", "y", "z"])}, [0, 1, 2]),
    ):
        part = table_part("set", "train", table(photo=images(), **columns))
        assert part.labels.tolist() == expected and part.labels.dtype == np.int64


def test_names_of_classes_are_kept() -> None:
    named, number, _ = kinds()
    assert table_part("set", "train", table(image=images(), label=(named, [0, 1, 1]))).classes == ("a", "b")
    assert table_part("set", "train", table(image=images(), label=(number, [0, 1, 1]))).classes is None


def test_no_label_column_or_several_is_an_error_that_names_the_columns() -> None:
    named, number, text = kinds()
    with pytest.raises(
        DamagedFile, match=r"set: train has no label column; its columns are .*image.*, label \(string\)"
    ):
        table_part("set", "train", table(image=images(), label=(text, ["a", "b", "a"])))
    with pytest.raises(DamagedFile, match=r"2 columns that may be the label \(kind, size\); its columns are image \("):
        table_part("set", "train", table(image=images(), kind=(number, [0, 1, 0]), size=(number, [0, 1, 0])))
    with pytest.raises(DamagedFile, match=r"2 columns that may be the label \(kind, size\)"):
        table_part("set", "train", table(image=images(), kind=(named, [0, 1, 0]), size=(named, [0, 1, 0])))


def test_no_image_column_or_several_is_an_error_that_names_the_columns() -> None:
    number = kinds()[1]
    with pytest.raises(DamagedFile, match=r"no image column; its columns are label \(int16\)"):
        table_part("set", "train", table(label=(number, [0, 1, 0])))
    with pytest.raises(DamagedFile, match=r"2 columns that may be the image \(front, back\)"):
        table_part("set", "train", table(front=images(), back=images(), label=(number, [0, 1, 0])))


def relabelled(folder: Path, change: dict[int, int | None], *, split: str = "train", named: bool = True) -> str:
    """A parquet set of 30 + 30 images with some labels of one split changed."""
    for each in ("train", "test"):
        data, labels = numbered(30)
        own: list[int | None] = [change.get(row, label) if each == split else label for row, label in enumerate(labels)]
        write_parquet(folder / f"{each}-0.parquet", data, own, named=named)
    return f"parquet:{folder}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({4: -1, 9: -1}, r"2 of 30 images in train have a label that is not 0 to 2, the first in row 4 \(-1"),
        ({7: None}, r"1 of 30 images in train .* row 7 \(-1"),
    ],
)
def test_labels_out_of_range_are_counted_and_the_first_is_named(
    change: dict[int, int | None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DamagedFile, match=said):
        search_data(relabelled(tmp_path, change))


def test_a_label_beyond_the_names_is_out_of_range(tmp_path: Path) -> None:
    # Named in the first file only: with names in both, the library itself refuses the label.
    named = relabelled(tmp_path, {5: 3}, split="test", named=False)
    write_parquet(tmp_path / "train-0.parquet", *numbered(30))
    search_data(named)
    with pytest.raises(DamagedFile, match=r"1 of 30 images in test .*not 0 to 2, the first in row 5 \(3;"):
        test_data(named)


def test_a_test_split_without_labels_is_an_error_once_it_is_read(tmp_path: Path) -> None:
    name = relabelled(tmp_path, dict.fromkeys(range(30), -1), split="test", named=False)
    search_data(name)
    with pytest.raises(DamagedFile, match="30 of 30 images in test have a label that is not 0 to 2"):
        test_data(name)


def test_splits_that_name_their_classes_otherwise_are_an_error(tmp_path: Path) -> None:
    name = relabelled(tmp_path, {})
    there = pq.read_table(tmp_path / "test-0.parquet")
    other = there.schema.metadata[b"huggingface"].replace(b'"cat", "dog"', b'"dog", "cat"')
    pq.write_table(there.replace_schema_metadata({"huggingface": other}), tmp_path / "test-0.parquet")
    with pytest.raises(DamagedFile, match=r"test names other classes \(dog, cat, owl .*than its train \(cat, dog, owl"):
        test_data(name)


def test_one_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"every image of parquet:.* train has label 1; give images of two"):
        search_data(relabelled(tmp_path / "a", dict.fromkeys(range(30), 1)))
    write_folder(tmp_path / "b")
    for name in CLASSES[1:]:
        (tmp_path / "b" / name).rename(tmp_path / name)
    with pytest.raises(DamagedFile, match=r"train has label 0; give images of two classes"):
        search_data(f"imagefolder:{tmp_path / 'b'}")


def test_no_images_are_an_error(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [], [])
    with pytest.raises(DamagedFile, match=r"train \(train-0.parquet\) cannot be read: .*no data"):
        search_data(f"parquet:{tmp_path}")
    write_folder(tmp_path / "train")
    (tmp_path / "test").mkdir()
    with pytest.raises(DamagedFile, match="has no images in test; add some, or remove the split"):
        test_data(f"imagefolder:{tmp_path}")


def test_an_empty_file_among_others_is_no_trouble(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [], [])
    write_parquet(tmp_path / "train-1.parquet", *numbered(30))
    assert len(find_source(f"parquet:{tmp_path}").read("train")) == 30


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_a_folder_that_is_not_there_is_an_error_that_says_what_it_should_hold(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownData, match=rf"{kind}:.*there is no folder .*/nowhere; give one that holds .*train"):
        search_data(f"{kind}:{tmp_path / 'nowhere'}")


def test_a_folder_without_train_files_is_an_error_that_says_what_is_there(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data.parquet", *numbered(30))
    with pytest.raises(UnknownData, match=r"no train-\*.parquet \(it holds data.parquet\).*rename yours to train-0"):
        search_data(f"parquet:{tmp_path}")


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda folder: (folder / "train").rename(folder / "learn"), UnknownData, "has test but no train folder"),
        (lambda folder: (folder / "train" / "yak").mkdir(), DamagedFile, r"train/yak has no images; add some or"),
        (lambda folder: (folder / "test" / "yak").mkdir(), DamagedFile, r"test/yak is of a class that train has not"),
    ],
)
def test_a_folder_of_another_layout_is_an_error_that_names_what_is_wrong(
    damage: Callable[[Path], None], error: type[Exception], said: str, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / split)
    damage(tmp_path)
    with pytest.raises(error, match=said):
        search_data(f"imagefolder:{tmp_path}")


def test_a_folder_without_class_folders_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(png(pixels(1)))
    with pytest.raises(UnknownData, match=r"has no class folders; put images into .*/CLASS/"):
        search_data(f"imagefolder:{tmp_path}")


def test_files_that_are_no_images_are_no_part_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for stray in ("cat/Thumbs.db", "cat/._1.png", ".cache/1.png"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_bytes(b"")
    (tmp_path / "cat" / "more").mkdir()
    (tmp_path / "cat" / "more" / "x.PNG").write_bytes(png(pixels(999)))
    part = find_source(f"imagefolder:{tmp_path}").read("train")
    assert np.bincount(part.labels).tolist() == [13, 12, 12] and part.classes == CLASSES


def test_a_test_folder_may_lack_a_class_and_labels_do_not_shift(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / split)
    for file in (tmp_path / "test" / "cat").iterdir():
        file.unlink()
    (tmp_path / "test" / "cat").rmdir()
    assert set(test_data(f"imagefolder:{tmp_path}").labels) == {1, 2}


def test_a_file_that_is_no_parquet_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "train-0.parquet").write_bytes(b"not a table")
    with pytest.raises(DamagedFile, match=r"train \(train-0.parquet\) cannot be read: .*[Pp]arquet.*; replace it"):
        search_data(f"parquet:{tmp_path}")


def test_shards_of_other_columns_are_an_error(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", *numbered(30))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "train-1.parquet")
    with pytest.raises(DamagedFile, match=r"train \(train-0.parquet, train-1.parquet\) cannot be read: "):
        search_data(f"parquet:{tmp_path}")


def test_a_cache_that_cannot_be_written_is_an_error_that_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "train-0.parquet", *numbered(30))
    monkeypatch.setattr(library().config, "HF_DATASETS_CACHE", Path("/proc/no"))
    with pytest.raises(RequestError, match="HF_DATASETS_CACHE"):
        search_data(f"parquet:{tmp_path}")
