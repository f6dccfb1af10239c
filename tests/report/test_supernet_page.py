"""The page of a supernet: what it was trained on, how it learned, what comes next; in training, and at its end."""

from pathlib import Path

import pytest
from support.page_text import Page, read_page
from support.report_folders import build_supernet

from mnas_evo.accuracy.supernet_training import SupernetForm
from mnas_evo.errors import DamagedFile
from mnas_evo.files import read_form
from mnas_evo.report.page import write_report
from mnas_evo.report.palette import dark_by_light


def page_of(folder: Path) -> Page:
    return read_page(write_report(folder, folder / "report.html"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_supernet(tmp_path_factory.mktemp("super & net"))


def test_the_page_says_what_it_was_trained_on_and_what_comes_next(folder: Path) -> None:
    page = page_of(folder)
    form = read_form(folder / "supernet.json", SupernetForm)
    assert "space two-blocks share: 16 architectures of 2 blocks for images of 32x32x1 and 10 classes" in page.words
    assert "digits@96, 96 images; 360 images validate" in page.words
    assert "came to its end after 3 epochs" in page.words
    assert f"reaches {form.epochs[-1].largest_top1:.2f} % top-1" in page.words
    (check,) = [code for code in page.codes if "rank-check" in code]
    assert f"--accuracy 'supernet:{folder},score=speed,steps=24' --space '{folder / 'space.toml'}'" in check
    assert any(code.startswith("mnas-evo search") for code in page.codes)


def test_losses_and_the_two_networks_watched_are_drawn(folder: Path) -> None:
    form = read_form(folder / "supernet.json", SupernetForm)
    drawn = page_of(folder).figures
    assert set(drawn) == {"figure-losses", "figure-top1"}
    (loss,) = drawn["figure-losses"]["data"]
    assert loss["x"] == [1, 2, 3] and loss["y"] == pytest.approx([epoch.train_loss for epoch in form.epochs], rel=1e-4)
    largest, smallest = drawn["figure-top1"]["data"]
    assert largest["y"] == pytest.approx([epoch.largest_top1 for epoch in form.epochs], rel=1e-4)
    assert smallest["y"] == pytest.approx([epoch.smallest_top1 for epoch in form.epochs], rel=1e-4)
    colours = {word for word in str([loss, largest, smallest]).replace("'", " ").split() if word.startswith("#")}
    assert colours and colours <= set(dark_by_light())


def test_one_in_training_is_shown_as_far_as_it_has_come(tmp_path: Path) -> None:
    page = page_of(build_supernet(tmp_path, stop_after=3))
    assert "2 of 3 epochs done so far" in page.words and "the command that began it goes on with it" in page.words
    assert page.figures["figure-losses"]["data"][0]["x"] == [1, 2]
    assert not [code for code in page.codes if "--against" in code]


def test_before_the_first_epoch_is_kept_there_is_a_page(tmp_path: Path) -> None:
    page = page_of(build_supernet(tmp_path, stop_after=1))
    assert "No epoch of 3 has been kept yet." in page.words and not page.figures


def test_a_checkpoint_that_is_being_written_is_no_error(tmp_path: Path) -> None:
    build_supernet(tmp_path, stop_after=3)
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:100])
    assert "No epoch of 3 has been kept yet." in page_of(tmp_path).words


def test_a_damaged_file_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "supernet.json").write_bytes((folder / "supernet.json").read_bytes())
    with pytest.raises(DamagedFile, match=r"space\.toml is missing"):
        page_of(tmp_path)
