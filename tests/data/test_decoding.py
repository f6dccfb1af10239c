"""From files to pixels: channels, sizes, depths; what is streamed is what is kept; what is said of broken images."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.data_sets import CLASSES, numbered, pixels, png, write_folder, write_parquet
from support.real_data import real_data

from mnas_evo.data.datasets import (
    ImageSet,
    StreamedImages,
    images_of,
    search_data,
    test_data,
)
from mnas_evo.data.decoding import Form, decode, look_at
from mnas_evo.data.parts import Encoded, Part
from mnas_evo.data.sources import find_source
from mnas_evo.data.splits import Chosen, search_rows
from mnas_evo.errors import DamagedFile, RequestError

test_data.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
GREY_8 = Form(1, 8, 8, resizes=False)
COLOUR_8 = Form(3, 8, 8, resizes=False)


def part_of(*files: bytes | None) -> Part:
    def encoded(rows: np.ndarray) -> list[Encoded]:
        return [Encoded(files[row], None) for row in rows]

    return Part("made", "train", np.zeros(len(files), np.int64), CLASSES, encoded)


def decoded(image: bytes, form: Form) -> np.ndarray:
    found: np.ndarray = decode(part_of(image), np.array([0]), form)[0]
    return found


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_lossless_files_give_back_their_pixels() -> None:
    grey, colour = pixels(5, grey=True), pixels(5)
    assert np.array_equal(decoded(png(grey), GREY_8), grey[None])
    assert np.array_equal(decoded(png(colour), COLOUR_8), colour.transpose(2, 0, 1))
    assert np.array_equal(decoded(saved(Image.fromarray(colour), "WEBP", lossless=True), COLOUR_8)[1], colour[:, :, 1])


@given(st.integers(0, 65535))
def test_sixteen_bits_are_scaled_to_eight_not_clipped(value: int) -> None:
    image = Image.fromarray(np.full((8, 8), value, np.uint16))
    assert set(decoded(png(image), GREY_8).ravel()) == {value >> 8}


def test_palettes_bits_and_transparency_come_out_as_grey_or_colour() -> None:
    colour = Image.fromarray(pixels(3))
    for made in (colour.quantize(8), colour.convert("RGBA"), colour.convert("CMYK"), colour):
        data = saved(made, "TIFF")
        assert np.array_equal(decoded(data, COLOUR_8), np.asarray(made.convert("RGB")).transpose(2, 0, 1))
    seen_through = saved(colour.quantize(8), "PNG", transparency=bytes(range(8)))
    assert decoded(seen_through, COLOUR_8).shape == (3, 8, 8)
    for made in (colour.convert("1"), colour.convert("LA"), colour.convert("L")):
        assert np.array_equal(decoded(png(made), GREY_8)[0], np.asarray(made.convert("L")))


def test_a_picture_taken_with_the_camera_turned_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = saved(Image.fromarray(pixels(4, size=(8, 12))), "PNG", exif=exif)
    upright = decoded(turned, Form(3, 12, 8, resizes=False))
    assert np.array_equal(upright, np.rot90(pixels(4, size=(8, 12)), -1).transpose(2, 0, 1))


def test_one_channel_only_where_every_image_is_grey() -> None:
    greys = [png(np.repeat(pixels(n, grey=True)[:, :, None], 3, 2)) for n in range(3)]
    everything = np.arange(4)
    assert look_at(part_of(*greys, png(pixels(9, grey=True))), everything).channels == 1
    assert look_at(part_of(*greys, png(pixels(9))), everything).channels == 3
    assert look_at(part_of(png(pixels(9)), *greys), everything).channels == 3
    assert look_at(part_of(*greys, png(pixels(9))), everything[:3]).channels == 1


def test_grey_images_among_coloured_ones_get_three_equal_channels(tmp_path: Path) -> None:
    data, labels = numbered(30)
    grey = pixels(0, grey=True)
    write_parquet(tmp_path / "train-0.parquet", [png(grey), *data[1:]], labels)
    write_parquet(tmp_path / "test-0.parquet", [png(grey)] * 3, [0, 1, 2])
    assert search_data(f"parquet:{tmp_path}").train.shape == (3, 8, 8)
    assert np.array_equal(test_data(f"parquet:{tmp_path}").pixels(np.array([0]))[0], np.stack([grey] * 3))


def test_channels_and_size_are_the_training_images_not_the_test_images(tmp_path: Path) -> None:
    greys = [png(pixels(n, grey=True)) for n in range(30)]
    write_parquet(tmp_path / "train-0.parquet", greys, numbered(30)[1])
    write_parquet(tmp_path / "test-0.parquet", *numbered(3))
    name = f"parquet:{tmp_path}"
    assert search_data(name).train.shape == test_data(name).shape == (1, 8, 8)


def test_images_are_brought_to_a_size_by_their_shorter_side_and_cut_to_the_centre() -> None:
    stripes = np.zeros((20, 40, 3), np.uint8)
    stripes[:, 10:30] = 200  # the middle square; the rest is cut off
    small = decoded(png(stripes), Form(3, 10, 10, resizes=True))
    assert small.shape == (3, 10, 10) and small[:, :, 1:9].min() == small.max() == 200
    tall = decoded(png(stripes), Form(3, 20, 10, resizes=True))
    assert tall.min() == 200
    noise = pixels(1, size=(64, 64), grey=True)  # finer than the small image can show: an even grey
    assert decoded(png(noise), Form(1, 8, 8, resizes=True)).std() < 20 < noise.std()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 20), st.integers(1, 20))
def test_any_image_can_be_brought_to_any_size(height: int, width: int, to_height: int, to_width: int) -> None:
    image = png(pixels(1, size=(max(height, 2), max(width, 2))))
    assert decoded(image, Form(3, to_height, to_width, resizes=True)).shape == (3, to_height, to_width)


def test_a_size_is_given_to_train_validation_and_test(tmp_path: Path) -> None:
    name = f"imagefolder:{write_folder(tmp_path / 'set')}"
    data, test = search_data(name, size=(12, 16)), test_data(name, size=(12, 16))
    assert data.train.shape == data.validation.shape == test.shape == (3, 12, 16)
    assert search_data("digits", size=(64, 64)).train.shape == (1, 64, 64)
    same = search_data(name, size=(8, 8)).train, search_data(name).train
    one, other = (images.pixels(np.arange(len(images))) for images in same)
    assert np.array_equal(one, other)


def test_images_of_several_sizes_need_one_given_and_the_error_says_how(tmp_path: Path) -> None:
    for place, name in enumerate(CLASSES):
        (tmp_path / name).mkdir()
        for index in range(10):
            image = png(pixels(index, size=(8 + place, 10)))
            (tmp_path / name / f"{index}.png").write_bytes(image)
    name = f"imagefolder:{tmp_path}"
    with pytest.raises(RequestError, match=r"differ in size \(8x10 to 10x10, height x width\).*--resolution 64"):
        search_data(name)
    with pytest.raises(RequestError, match="--resolution 64"):
        test_data(name)
    assert search_data(name, size=(8, 8)).train.shape == test_data(name, size=(8, 8)).shape == (3, 8, 8)


def test_an_image_of_another_size_that_no_sample_showed_is_an_error_too(tmp_path: Path) -> None:
    data, labels = numbered(30)
    write_parquet(tmp_path / "train-0.parquet", data, labels)
    write_parquet(tmp_path / "test-0.parquet", [*data[:2], png(pixels(0, size=(9, 8)))], [0, 1, 2])
    with pytest.raises(RequestError, match=r"row 2 of test is 9x8, others are 8x8.*--resolution 8"):
        test_data(f"parquet:{tmp_path}")


@pytest.mark.parametrize("name", ["digits", "fashion-mnist", "cifar10", "imagenette-96"])
@pytest.mark.parametrize("size", [None, (24, 40)])
def test_streamed_images_equal_those_in_memory_pixel_for_pixel(name: str, size: tuple[int, int] | None) -> None:
    place = name if name == "digits" else f"parquet:{real_data(name)}"
    source = find_source(place)
    train, _ = search_rows(source, seed=0, count=300)
    look = look_at(train.part, train.rows)
    form = Form(look.channels, *(size or look.sizes[0]), resizes=size is not None)
    streamed, kept, chosen = (
        images_of((train,), form, limit_bytes=limit)[0]
        for limit in (1, len(train.part) * int(np.prod(form.shape)), 300 * int(np.prod(form.shape)))
    )
    assert isinstance(streamed, StreamedImages) and isinstance(kept, ImageSet) and isinstance(chosen, ImageSet)
    assert len(streamed) == 300 and streamed.shape == kept.shape and np.array_equal(streamed.labels, kept.labels)
    assert np.array_equal(kept.images, chosen.images) and np.array_equal(kept.labels, chosen.labels)
    assert np.array_equal(streamed.pixels(np.arange(300)), kept.images)
    some = np.array([7, 299, 7, 0])
    assert np.array_equal(streamed.pixels(some), kept.images[some])
    fewer = streamed.rows(some)
    assert np.array_equal(fewer.labels, kept.labels[some])
    assert np.array_equal(fewer.pixels(np.array([1, 0])), kept.images[some[[1, 0]]])


def test_no_rows_are_no_images() -> None:
    assert decode(part_of(png(pixels(0))), np.arange(0), COLOUR_8).shape == (0, 3, 8, 8)


BROKEN = {
    "no image": b"not an image",
    "cut short": png(pixels(1, size=(40, 40)))[:-3000],
    "empty": b"",
    "absent": None,
    "floating point": saved(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_broken_images_are_counted_and_the_first_is_named(damage: str) -> None:
    part = part_of(png(pixels(0)), BROKEN[damage], png(pixels(2)), BROKEN[damage])
    said = r"made: 2 of 4 images read from train cannot be decoded, the first in row 1: .+; remove or replace them"
    with pytest.raises(DamagedFile, match=said):
        decode(part, np.arange(4), COLOUR_8)
    with pytest.raises(DamagedFile, match=said):
        look_at(part, np.arange(4))
    streamed = StreamedImages(part, np.arange(4), COLOUR_8)
    assert len(streamed.pixels(np.array([0, 2]))) == 2
    with pytest.raises(DamagedFile, match="1 of 2 images read from train cannot be decoded, the first in row 3"):
        streamed.pixels(np.array([0, 3]))


def test_a_broken_image_of_a_folder_is_named_by_its_file(tmp_path: Path) -> None:
    write_folder(tmp_path)
    file = tmp_path / "dog" / "0015.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DamagedFile, match=rf"in row 15 \(file {file}\): "):
        search_data(f"imagefolder:{tmp_path}")


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    part = find_source(f"imagefolder:{tmp_path}").read("train")
    (tmp_path / "dog" / "0015.png").unlink()
    with pytest.raises(DamagedFile, match=r"1 of 36 .*dog/0015.png\): .*No such file"):
        images_of((Chosen(part, np.arange(36)),), COLOUR_8)
