"""From stored bytes to pixels: Pillow decodes in a few threads, and every image is brought to one shape."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mnas_evo.data.parts import Encoded, Part
from mnas_evo.errors import DamagedFile, RequestError

THREADS = min(8, os.cpu_count() or 1)
_CHUNK = 256  # images that one thread reads and decodes at a time
_SAMPLE = 256
_ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True, slots=True)
class Form:
    """Shape that images are given; those of another size are an error unless `resizes`."""

    channels: int
    height: int
    width: int
    resizes: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.height, self.width


@dataclass(frozen=True, slots=True)
class Look:
    """What a sample of a set's images is like: channels, and the (height, width) that occur."""

    channels: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    row: int
    path: str | None
    why: str


def look_at(part: Part, rows: NDArray[np.int64]) -> Look:
    """Channels and sizes of an evenly spaced sample: one channel where all of it is grey, else three.

    Raises:
        DamagedFile: an image of the sample cannot be decoded.
    """
    sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
    sizes, grey, faults = set(), True, []
    for row, encoded in zip(sample, part.encoded(sample), strict=True):
        try:
            image = _opened(encoded)
        except Exception as fault:  # Pillow's decoders raise whatever a broken byte led them to
            faults.append(_Fault(int(row), encoded.path, str(fault)))
            continue
        sizes.add((image.height, image.width))
        grey = grey and _is_grey(image)
    _check(part, faults, len(sample))
    return Look(1 if grey else 3, tuple(sorted(sizes)))


def decode(part: Part, rows: NDArray[np.int64], form: Form) -> NDArray[np.uint8]:
    """Pixels of some images, (len(rows), channels, height, width).

    Raises:
        DamagedFile: images that cannot be decoded: how many, and the first.
        RequestError: an image of another size, where no size was given.
    """
    pixels = np.empty((len(rows), *form.shape), np.uint8)
    decode_into(pixels, np.arange(len(rows)), (part, rows), form)
    return pixels


def decode_into(
    pixels: NDArray[np.uint8], places: NDArray[np.int64], images: tuple[Part, NDArray[np.int64]], form: Form
) -> None:
    """Decodes rows of a part into places of an array; raises as `decode`."""
    part, rows = images
    chunk = min(_CHUNK, max(16, len(rows) // THREADS))

    def fill(start: int) -> Sequence[_Fault]:
        some = slice(start, start + chunk)
        return _fill(pixels, places[some], (part, rows[some]), form)

    with ThreadPoolExecutor(THREADS) as pool:
        faults = [fault for found in pool.map(fill, range(0, len(rows), chunk)) for fault in found]
    _check(part, faults, len(rows))


def _fill(
    pixels: NDArray[np.uint8], places: NDArray[np.int64], images: tuple[Part, NDArray[np.int64]], form: Form
) -> Sequence[_Fault]:
    part, rows = images
    faults = []
    for place, row, encoded in zip(places, rows, part.encoded(rows), strict=True):
        try:
            image = _opened(encoded)
        except Exception as fault:  # Pillow's decoders raise whatever a broken byte led them to
            faults.append(_Fault(int(row), encoded.path, str(fault)))
            continue
        if not form.resizes and image.size != (form.width, form.height):
            raise RequestError(
                f"{part.set_name}: row {row} of {part.split} is {image.height}x{image.width}, others are "
                f"{form.height}x{form.width}; give one size to bring them to: --resolution {form.height}"
            )
        pixels[place] = _array(image, form)
    return faults


def _check(part: Part, faults: Sequence[_Fault], read: int) -> None:
    if faults:
        first = min(faults, key=lambda fault: fault.row)
        file = f" (file {first.path})" if first.path else ""
        raise DamagedFile(
            f"{part.set_name}: {len(faults)} of {read} images read from {part.split} cannot be decoded, the first in "
            f"row {first.row}{file}: {first.why}; remove or replace them"
        )


def _opened(encoded: Encoded) -> Image.Image:
    """The decoded image, upright, as 8-bit grey (L) or RGB; transparency is dropped."""
    if encoded.data is None and encoded.path is None:
        raise ValueError("the row holds no image")
    data = encoded.data if encoded.data is not None else Path(str(encoded.path)).read_bytes()
    with Image.open(io.BytesIO(data)) as stored:
        stored.load()
        image: Image.Image = stored
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode in ("L", "RGB"):
            return image
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers, not of 8 or 16 bits")
        if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion clips at 255
            return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
        if image.mode in ("1", "LA"):
            return image.convert("L")
        return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "L":
        return True
    pixels = np.asarray(image)
    return bool((pixels == pixels[:, :, :1]).all())


def _array(image: Image.Image, form: Form) -> NDArray[np.uint8]:
    """Shorter side to size, then the centre; Pillow's filter widens when it shrinks, so it does not alias."""
    if image.size != (form.width, form.height):
        image = ImageOps.fit(image, (form.width, form.height), Image.Resampling.BILINEAR)
    wanted = "L" if form.channels == 1 else "RGB"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return pixels[None] if form.channels == 1 else pixels.transpose(2, 0, 1)
