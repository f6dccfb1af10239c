"""Space files: what they hold is the space, and all their faults are told together."""

from pathlib import Path

import pytest
from strategies import TINY, TINY_TOML

from mnas_evo.errors import OtherFormat, SpaceError
from mnas_evo.space.space_file import load_space, parse_space, space_names


@pytest.mark.parametrize("name", space_names())
def test_every_space_that_comes_with_the_package_loads_under_its_name(name: str) -> None:
    assert load_space(name).name == name


def test_the_papers_and_the_demos_space_come_with_the_package() -> None:
    assert set(space_names()) >= {"paper", "digits"}


def test_a_file_is_read_as_it_stands() -> None:
    frame, (first, second) = TINY.frame, TINY.blocks
    assert (frame.height, frame.width, frame.channels, frame.classes) == (16, 16, 1, 4)
    assert (frame.stem_channels, frame.stem_stride, frame.head_channels) == (8, 2, 16)
    assert (frame.activation, frame.padding) == ("relu", "symmetric")
    assert (first.channels, first.layers, first.stride) == (8, 1, 1)
    assert (second.channels, second.layers, second.stride) == (32, 2, 2)
    assert second.options == (
        ("conv", "dconv", "mbconv_e2"),
        (3,),
        (0.0, 0.25),
        ("pool", "identity", "none"),
        (0.75, 1.0),
        (-1, 0),
    )


def test_a_space_is_loaded_from_a_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TINY_TOML)
    assert load_space(str(file)) == TINY


def test_a_blocks_own_choices_replace_the_files() -> None:
    own = """
[blocks.choices]
op = ["mbconv_e6"]
kernel = [3, 5, 7]
se_ratio = [0.0]
skip = ["identity"]
filters = [1.0]
layers = [0]
"""
    space = parse_space(TINY_TOML + own, source="mine")
    assert space.blocks[0] == TINY.blocks[0]
    assert space.blocks[1].options == (("mbconv_e6",), (3, 5, 7), (0.0,), ("identity",), (1.0,), (0,))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"'papier'.*digits, .*paper"):
        load_space("papier")


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match=r"mine\.toml is no text"):
        load_space(str(file))


def test_a_file_that_is_no_toml_is_refused_with_the_line() -> None:
    with pytest.raises(SpaceError, match=r"mine is no TOML.*line 2"):
        parse_space("format = 1\nname = tiny", source="mine")


def test_a_newer_format_is_refused_with_both_numbers() -> None:
    with pytest.raises(OtherFormat, match="mine has format 2; this version reads format 1"):
        parse_space(TINY_TOML.replace("format = 1", "format = 2"), source="mine")


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("format = 1", "", "format: Field required"),
        ('name = "tiny"', 'name = "../tiny"', "name: "),
        ("input = [16, 16, 1]", "input = [16, 16]", "input.2: "),
        ("input = [16, 16, 1]", "input = [16, 0, 1]", "input.1: .*greater than or equal to 1"),
        ("classes = 4", "classes = -4", "classes: "),
        ("classes = 4", "classes = 4\ncolour = 1", "colour: "),
        ("channels = 8, stride = 2", "channels = 8", "stem.stride: "),
        ("channels = 8, stride = 2", "channels = 8, stride = 5", "stem.stride: "),
        ('"dconv"', '"fconv"', "choices.op.1: "),
        ('"mbconv_e2"', '"mbconv_e0"', "choices.op.2: "),
        ('"dconv"', '"conv"', "op offers an option twice"),
        ("kernel = [3]", "kernel = [4]", r"kernels are odd, not \[4\]"),
        ("kernel = [3]", "kernel = []", "choices.kernel: "),
        ("[0.0, 0.25]", "[0.0, 1.25]", "choices.se_ratio.1: "),
        ("[0.0, 0.25]", "[0.0, nan]", "choices.se_ratio.1: "),
        ('"pool", ', '"shuffle", ', "choices.skip.0: "),
        ("[0.75, 1.0]", "[0.0, 1.0]", "choices.filters.0: "),
        ("[0.75, 1.0]", "[inf, 1.0]", "choices.filters.0: "),
        ("[-1, 0]", "[-1.5, 0]", "choices.layers.0: "),
        ("layers = 1\n", "layers = 0\n", "blocks.0.layers: "),
        ("layers = 2\nstride = 2", "layers = 2\nstride = 2\ndepth = 3", "blocks.1.depth: "),
    ],
)
def test_a_fault_is_named_with_its_place(was: str, now: str, said: str) -> None:
    assert TINY_TOML.count(was) == 1
    with pytest.raises(SpaceError, match=f"mine is no search space: .*{said}"):
        parse_space(TINY_TOML.replace(was, now), source="mine")


def test_a_file_without_blocks_is_refused() -> None:
    with pytest.raises(SpaceError, match="blocks: "):
        parse_space(TINY_TOML.split("[[blocks]]")[0], source="mine")


def test_faults_in_several_places_are_told_together() -> None:
    faulty = (
        TINY_TOML.replace("classes = 4", "classes = 0")
        .replace('"dconv"', '"fconv"')
        .replace("[0.75, 1.0]", "[0.75, -1.0]")
        .replace("layers = 1\n", "layers = 0\n")
    )
    with pytest.raises(SpaceError) as caught:
        parse_space(faulty, source="mine")
    said = str(caught.value)
    assert all(place in said for place in ("classes", "choices.op.1", "choices.filters.1", "blocks.0.layers"))
    assert "\n" not in said


def test_an_even_kernel_and_a_repeated_option_are_told_together() -> None:
    faulty = TINY_TOML.replace("kernel = [3]", "kernel = [4]").replace('"dconv"', '"conv"')
    with pytest.raises(SpaceError) as caught:
        parse_space(faulty, source="mine")
    assert "op offers an option twice" in str(caught.value)
    assert "kernels are odd, not [4]" in str(caught.value)
