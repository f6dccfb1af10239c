"""Small data sets made for tests: every image bears a number of its own in its first pixels, to be found again by."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def pixels(number: int, *, size: tuple[int, int] = (8, 8), grey: bool = False) -> NDArray[np.uint8]:
    """Noise (height, width) or (height, width, 3), whose first two grey values tell the number."""
    made = np.random.default_rng(number).integers(0, 256, size if grey else (*size, 3), dtype=np.uint8)
    made[0, :2] = np.array(divmod(number, 256), np.uint8) if grey else np.array(divmod(number, 256), np.uint8)[:, None]
    return made


def numbers(images: NDArray[np.uint8]) -> list[int]:
    """The numbers that images (n, channels, height, width) bear."""
    return [int(high) * 256 + int(low) for high, low in images[:, 0, 0, :2]]


def png(image: NDArray[np.uint8] | Image.Image) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "PNG")
    return file.getvalue()


def write_folder(folder: Path, *, of_each: int = 12, first: int = 0) -> Path:
    """FOLDER/CLASS/*.png, `of_each` of every class, numbered from `first`."""
    for place, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(of_each):
            number = first + place * of_each + index
            (folder / name / f"{number:04}.png").write_bytes(png(pixels(number)))
    return folder


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    *,
    named: bool = True,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """Images and labels as the hub stores them; without the names of classes and columns' kinds unless `named`."""
    table = pa.table(
        {
            columns[0]: pa.array([{"bytes": data, "path": None} for data in images], _IMAGE),
            columns[1]: pa.array(labels, pa.int64()),
        }
    )
    if named:
        names = ", ".join(f'"{name}"' for name in CLASSES)
        kinds = f'"{columns[0]}": {{"_type": "Image"}}, "{columns[1]}": {{"names": [{names}], "_type": "ClassLabel"}}'
        table = table.replace_schema_metadata({"huggingface": f'{{"info": {{"features": {{{kinds}}}}}}}'})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


def numbered(count: int, *, first: int = 0) -> tuple[list[bytes], list[int]]:
    """Colour images 8x8 with labels 0, 1, 2, 0, 1 ..."""
    return [png(pixels(first + index)) for index in range(count)], [index % len(CLASSES) for index in range(count)]


_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
