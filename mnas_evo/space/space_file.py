"""The TOML form of a search space; all faults of a file are reported together."""

import math
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mnas_evo.errors import SpaceError
from mnas_evo.files import Part, parse_toml
from mnas_evo.space.architecture import Activation, Frame, Padding, Skip
from mnas_evo.space.choices import GENES, OP_PATTERN, BlockChoices
from mnas_evo.space.space import SearchSpace

Pixels = Annotated[int, Field(strict=True, ge=1, le=99_999)]
Width = Annotated[int, Field(strict=True, ge=1, le=9_999)]  # times filters of 10 it can still be written
_MOST_CHOICES = 100_000  # a block; the paper's has 432
_MOST_ENTRIES = 1_000_000  # a block's choices times the combinations of what is shared: what look-up tables hold


Ops = Annotated[tuple[Annotated[str, Field(pattern=OP_PATTERN)], ...], Field(min_length=1)]
Kernels = Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=99)], ...], Field(min_length=1)]
SeRatios = Annotated[tuple[Annotated[float, Field(strict=True, ge=0, le=1)], ...], Field(min_length=1)]
Skips = Annotated[tuple[Skip, ...], Field(min_length=1)]
Filters = Annotated[tuple[Annotated[float, Field(strict=True, gt=0, le=10)], ...], Field(min_length=1)]
LayerChanges = Annotated[tuple[Annotated[int, Field(strict=True, ge=-20, le=20)], ...], Field(min_length=1)]


class _Options(Part):
    """What holds for options wherever they stand."""

    @field_validator("*", mode="after")
    @classmethod
    def _sane(cls, options: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if len(set(options)) != len(options):
            raise ValueError(f"{info.field_name} offers an option twice: {options}")
        if info.field_name == "kernel" and (even := [kernel for kernel in options if kernel % 2 == 0]):
            raise ValueError(f"kernels are odd, not {even}")
        return options


class ChoicesForm(_Options):
    """Options of each kind, for all blocks."""

    op: Ops
    kernel: Kernels
    se_ratio: SeRatios
    skip: Skips
    filters: Filters
    layers: LayerChanges


class OwnChoicesForm(_Options):
    """Options of the kinds in which one block departs from the file's own."""

    op: Ops | None = None
    kernel: Kernels | None = None
    se_ratio: SeRatios | None = None
    skip: Skips | None = None
    filters: Filters | None = None
    layers: LayerChanges | None = None


class BlockForm(Part):
    """One block of the skeleton; each kind in `choices` here replaces the file's own."""

    channels: Width
    layers: Annotated[int, Field(strict=True, ge=1, le=900)]
    stride: Annotated[int, Field(strict=True, ge=1, le=4)]
    choices: OwnChoicesForm = OwnChoicesForm()

    def options(self, kind: str, common: ChoicesForm) -> tuple[Any, ...]:
        """The block's options of a kind."""
        own: tuple[Any, ...] | None = getattr(self.choices, kind)
        found: tuple[Any, ...] = getattr(common, kind) if own is None else own
        return found


class StemForm(Part):
    """The stem's width and stride."""

    channels: Width
    stride: Annotated[int, Field(strict=True, ge=1, le=4)]


class SpaceForm(Part):
    """A space file, whole."""

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    input: tuple[Pixels, Pixels, Width]
    classes: Annotated[int, Field(strict=True, ge=1, le=9_999_999)]
    stem: StemForm
    activation: Activation = "relu"
    padding: Padding = "symmetric"
    head: Annotated[int, Field(strict=True, ge=1, le=999_999)]
    shared: tuple[Literal["op", "kernel", "se_ratio", "skip", "filters", "layers"], ...] = ()
    choices: ChoicesForm
    blocks: tuple[BlockForm, ...] = Field(min_length=1, max_length=999)

    @field_validator("blocks")  # of a field, not of the whole: told together with what is wrong elsewhere
    @classmethod
    def _blocks_fit(cls, blocks: tuple[BlockForm, ...], info: ValidationInfo) -> tuple[BlockForm, ...]:
        common, shared = info.data.get("choices"), info.data.get("shared", ())
        if common is None:
            return blocks
        wrong = [f"shared names a kind twice: {shared}"] if len(set(shared)) < len(shared) else []
        wrong += [
            f"shared {kind}: every block must offer the same options in the same order"
            for kind in dict.fromkeys(shared)
            if len({block.options(kind, common) for block in blocks}) > 1
        ]
        for number, block in enumerate(blocks, start=1):
            sizes = {kind: len(block.options(kind, common)) for kind in GENES}
            count = math.prod(sizes.values())
            if count > _MOST_CHOICES:
                wrong.append(f"block {number} has {count:,} choices, at most {_MOST_CHOICES:,} are possible")
            elif (entries := count * math.prod(sizes[kind] for kind in set(shared))) > _MOST_ENTRIES:
                wrong.append(f"block {number} shares so many options that {entries:,} entries are needed")
        if wrong:
            raise ValueError("; ".join(wrong))
        return blocks


def space_names() -> list[str]:
    """Names of the spaces that come with mnas-evo."""
    return sorted(entry.name.removesuffix(".toml") for entry in _stock().iterdir() if entry.name.endswith(".toml"))


def load_space(name_or_path: str) -> SearchSpace:
    """A space by name, or from a TOML file.

    Raises:
        SpaceError: no such space or file, or a file with faults, all of which are named.
        OtherFormat: a file of another format number.
    """
    return parse_space(space_text(name_or_path), source=name_or_path)


def space_text(name_or_path: str) -> str:
    """The TOML text of a space by name, or of a file.

    Raises:
        SpaceError: no such space or file, or a file of other bytes than text.
    """
    path = _stock() / f"{name_or_path}.toml" if name_or_path in space_names() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(space_names())
        raise SpaceError(f"no space is called {name_or_path!r} and no such file exists; known are {known}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpaceError(f"{name_or_path} is no text file") from error


def parse_space(text: str, *, source: str) -> SearchSpace:
    """A space from TOML text; `source` is named in errors."""
    form = parse_toml(text, SpaceForm, source=source, what="search space", error=SpaceError)
    height, width, channels = form.input
    frame = Frame(
        height=height,
        width=width,
        channels=channels,
        stem_channels=form.stem.channels,
        stem_stride=form.stem.stride,
        activation=form.activation,
        padding=form.padding,
        head_channels=form.head,
        classes=form.classes,
    )
    blocks = tuple(_block_choices(block, form.choices) for block in form.blocks)
    return SearchSpace(form.name, frame, blocks, tuple(kind for kind in GENES if kind in form.shared))


def _block_choices(block: BlockForm, common: ChoicesForm) -> BlockChoices:
    return BlockChoices(block.channels, block.layers, block.stride, *(block.options(kind, common) for kind in GENES))


def _stock() -> Path:
    return Path(str(files("mnas_evo.space"))) / "spaces"
