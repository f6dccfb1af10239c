"""The TOML form of a search space; all faults of a file are reported together."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mnas_evo.errors import SpaceError
from mnas_evo.files import Part, parse_toml
from mnas_evo.space.architecture import Activation, Frame, Padding
from mnas_evo.space.space import BlockChoices, SearchSpace

Positive = Annotated[int, Field(ge=1)]


class ChoicesForm(Part):
    """Options of each kind, for all blocks or for one."""

    op: tuple[Annotated[str, Field(pattern=r"^(conv|dconv|mbconv_e[1-9]\d?)$")], ...] = Field(min_length=1)
    kernel: tuple[Positive, ...] = Field(min_length=1)
    se_ratio: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    skip: tuple[Literal["pool", "identity", "none"], ...] = Field(min_length=1)
    filters: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(min_length=1)
    layers: tuple[Annotated[int, Field(ge=-20, le=20)], ...] = Field(min_length=1)

    @field_validator("*", mode="after")
    @classmethod
    def _sane(cls, options: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if len(set(options)) != len(options):
            raise ValueError(f"{info.field_name} offers an option twice: {options}")
        if info.field_name == "kernel" and (even := [kernel for kernel in options if kernel % 2 == 0]):
            raise ValueError(f"kernels are odd, not {even}")
        return options


class BlockForm(Part):
    """One block of the skeleton; `choices` here replaces the file's own."""

    channels: Positive
    layers: Positive
    stride: Annotated[int, Field(ge=1, le=4)]
    choices: ChoicesForm | None = None


class StemForm(Part):
    """The stem's width and stride."""

    channels: Positive
    stride: Annotated[int, Field(ge=1, le=4)]


class SpaceForm(Part):
    """A space file, whole."""

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    input: tuple[Positive, Positive, Positive]
    classes: Positive
    stem: StemForm
    activation: Activation = "relu"
    padding: Padding = "symmetric"
    head: Positive
    choices: ChoicesForm
    blocks: tuple[BlockForm, ...] = Field(min_length=1)


def space_names() -> list[str]:
    """Names of the spaces that come with mnas-evo."""
    return sorted(entry.name.removesuffix(".toml") for entry in _stock().iterdir() if entry.name.endswith(".toml"))


def load_space(name_or_path: str) -> SearchSpace:
    """A space by name, or from a TOML file.

    Raises:
        SpaceError: no such space or file, or a file with faults, all of which are named.
        OtherFormat: a file of another format number.
    """
    if name_or_path in space_names():
        return parse_space((_stock() / f"{name_or_path}.toml").read_text(encoding="utf-8"), source=name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(space_names())
        raise SpaceError(f"no space is called {name_or_path!r} and no such file exists; known are {known}")
    try:
        return parse_space(path.read_text(encoding="utf-8"), source=name_or_path)
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
    return SearchSpace(form.name, frame, tuple(_block_choices(block, form.choices) for block in form.blocks))


def _block_choices(block: BlockForm, common: ChoicesForm) -> BlockChoices:
    choices = block.choices or common
    return BlockChoices(
        channels=block.channels,
        layers=block.layers,
        stride=block.stride,
        ops=choices.op,
        kernels=choices.kernel,
        se_ratios=choices.se_ratio,
        skips=choices.skip,
        filters=choices.filters,
        layer_changes=choices.layers,
    )


def _stock() -> Path:
    return Path(str(files("mnas_evo.space"))) / "spaces"
