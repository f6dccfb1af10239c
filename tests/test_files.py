"""Files that last: whole or not at all, one process on a folder, and fingerprints of what was said where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.errors import DamagedFile, InUse, OtherFormat
from mnas_evo.files import (
    Form,
    fingerprint,
    only_process,
    parse_json,
    read_csv,
    read_form,
    write_csv,
    write_form,
    write_text,
)


class Sample(Form):
    """A form to try."""

    name: str
    numbers: tuple[int, ...] = ()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_a_form_is_read_as_it_was_written_and_bears_its_format(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    write_form(path, Sample(name="ä", numbers=(1, 2)))
    assert '"format": 1' in path.read_text(encoding="utf-8")
    assert read_form(path, Sample) == Sample(name="ä", numbers=(1, 2))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "sample.json is damaged"),
        ("{", "sample.json is damaged"),
        ("[]", "holds no JSON object"),
        ('{"format": 1}', "name: Field required"),
        ('{"format": 1, "name": 5, "numbers": ["x"]}', "name: .*; numbers.0: "),
        ('{"format": 1, "name": "x", "colour": 1}', "colour: "),
    ],
)
def test_a_damaged_form_is_named_with_every_fault(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_text(content)
    with pytest.raises(DamagedFile, match=said):
        read_form(path, Sample)


@pytest.mark.parametrize("content", ['{"format": 2, "surprise": true}', '{"format": 0}', "{}"])
def test_another_format_is_told_before_any_fault(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_text(content)
    with pytest.raises(OtherFormat, match="this version reads and writes format 1"):
        read_form(path, Sample)


def test_json_that_is_none_is_named_by_its_source() -> None:
    with pytest.raises(DamagedFile, match="the answer is damaged"):
        parse_json("nothing", source="the answer")


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers()), max_size=4))
def test_a_csv_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    write_csv(path, ["name", "number"], rows)
    assert [(row["name"], int(row["number"])) for _, row in read_csv(path, ["name", "number"])] == rows


def test_a_csv_may_have_more_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("extra,number,name\n1,2,x\n")
    assert list(read_csv(path, ["name", "number"])) == [(2, {"extra": "1", "number": "2", "name": "x"})]


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_texts_have_one_fingerprint_exactly_when_they_are_the_same_in_order(one: list[str], other: list[str]) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_texts_that_only_join_alike_have_different_fingerprints() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_a_folder_is_held_once(tmp_path: Path) -> None:
    held = only_process(tmp_path / "run", doing="searching")
    refused = pytest.raises(InUse, match=r"another process is searching .*run; wait for it or stop it")
    with held, refused, only_process(tmp_path / "run", doing="searching"):
        pass


def test_a_folder_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_process(tmp_path, doing="searching"):
        raise KeyError
    with only_process(tmp_path, doing="searching"):
        pass
