"""Space files: what they hold is the space, and all their faults are told together."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY, TINY_TOML

from mnas_evo.errors import OtherFormat, SpaceError
from mnas_evo.space.choices import GENES
from mnas_evo.space.notation import parse_network
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


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("op", ("mbconv_e6", "r0")),
        ("kernel", (5,)),
        ("se_ratio", (0.5,)),
        ("skip", ("none",)),
        ("filters", (1.5,)),
        ("layers", (2, 1, 0)),
    ],
)
def test_a_kind_that_a_block_chooses_itself_replaces_that_kind_alone(kind: str, options: tuple[object, ...]) -> None:
    space = parse_space(f"{TINY_TOML}choices = {{ {kind} = {json.dumps(options)} }}", source="mine")
    first, second = (dict(zip(GENES, block.options, strict=True)) for block in space.blocks)
    assert first == dict(zip(GENES, TINY.blocks[0].options, strict=True))
    assert second == {**first, kind: options}
    assert space.genomes == TINY.genomes // len(first[kind]) * len(options)


def sharing(kinds: str, *, own: str = "") -> str:
    """The tiny space's file with shared kinds, and with choices of the second block's own."""
    return TINY_TOML.replace("head = 16", f"head = 16\nshared = {kinds}") + own


def test_a_file_that_shares_nothing_says_so_by_saying_nothing() -> None:
    assert parse_space(sharing("[]"), source="mine") == TINY
    assert TINY.shared == ()


def test_shared_kinds_are_read_in_the_order_of_genes() -> None:
    space = parse_space(sharing('["layers", "op", "se_ratio"]'), source="mine")
    assert space.shared == ("op", "se_ratio", "layers")
    assert space.sizes.tolist() == [3, 2, 2, 1, 3, 2, 1, 3, 2]
    assert space == replace(TINY, shared=("op", "se_ratio", "layers"))


def test_all_kinds_may_be_shared() -> None:
    space = parse_space(sharing('["op", "kernel", "se_ratio", "skip", "filters", "layers"]'), source="mine")
    assert space.genomes == 72
    assert space.gene_blocks.tolist() == [0] * 6


def test_a_shared_kind_may_stand_in_a_block_that_offers_the_same() -> None:
    space = parse_space(sharing('["skip"]', own='choices = { skip = ["pool", "identity", "none"] }'), source="mine")
    assert space == replace(TINY, shared=("skip",))


@pytest.mark.parametrize(
    ("kinds", "own", "said"),
    [
        ('["depth"]', "", "shared.0: Input should be 'op', 'kernel'"),
        ('["op", 3]', "", "shared.1: Input should be 'op', 'kernel'"),
        ('"op"', "", "shared: "),
        ('["op", "kernel", "op"]', "", "shared names a kind twice: .*'op', 'kernel', 'op'"),
        ('["kernel"]', "choices = { kernel = [3, 5] }", "shared kernel: every block must offer the same options"),
        ('["se_ratio"]', "choices = { se_ratio = [0.25, 0.0] }", "shared se_ratio: every block .*in the same order"),
    ],
)
def test_kinds_that_cannot_be_shared_are_named(kinds: str, own: str, said: str) -> None:
    with pytest.raises(SpaceError, match=f"mine is no search space: .*{said}"):
        parse_space(sharing(kinds, own=own), source="mine")


def test_all_that_cannot_be_shared_is_told_together() -> None:
    filters = [n / 99_999 for n in range(1, 50_001)]
    own = f"choices = {{ op = ['conv'], kernel = [3, 5], skip = ['none'], filters = {filters} }}"
    with pytest.raises(SpaceError) as caught:
        parse_space(sharing('["op", "op", "skip", "kernel"]', own=own), source="mine")
    said = str(caught.value)
    for fault in ("a kind twice", "shared op:", "shared skip:", "shared kernel:", "block 2 has 400,000 choices"):
        assert fault in said
    assert "\n" not in said
    assert said.count("shared op:") == 1


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


def test_a_number_of_more_digits_than_python_reads_is_refused() -> None:
    with pytest.raises(SpaceError, match="mine"):
        parse_space(TINY_TOML.replace("classes = 4", f"classes = {'9' * 5_000}"), source="mine")


@pytest.mark.parametrize(
    "nested", ["[" * 2_000 + "]" * 2_000, "{a=" * 2_000 + "1" + "}" * 2_000], ids=["list", "table"]
)
def test_a_file_nested_deeper_than_python_reads_is_refused(nested: str) -> None:
    with pytest.raises(SpaceError, match="mine"):
        parse_space(TINY_TOML.replace("classes = 4", f"classes = {nested}"), source="mine")


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
        ("layers = 2\nstride = 2", "layers = 2\nstride = 2\nchoices = { depth = [3] }", "blocks.1.choices.depth: "),
        ("layers = 2\nstride = 2", "layers = 2\nstride = 2\nchoices = { op = [] }", "blocks.1.choices.op: "),
        (
            "layers = 2\nstride = 2",
            "layers = 2\nstride = 2\nchoices = { kernel = [4] }",
            "blocks.1.choices.kernel: .*odd",
        ),
        ("layers = 2\nstride = 2", "layers = 2\nstride = 2\nchoices = { skip = ['none', 'none'] }", "blocks.1.*twice"),
        # The limits: what the notation can write, and what a table can hold.
        ("input = [16, 16, 1]", "input = [100_000, 16, 1]", "input.0: .*less than or equal to 99999"),
        ("input = [16, 16, 1]", "input = [16, 16, 10_000]", "input.2: .*less than or equal to 9999"),
        ("classes = 4", "classes = 10_000_000", "classes: .*less than or equal to 9999999"),
        ("head = 16", "head = 1_000_000", "head: .*less than or equal to 999999"),
        ("channels = 8, stride = 2", "channels = 10_000, stride = 2", "stem.channels: .*less than or equal to 9999"),
        ("channels = 32", "channels = 10_000", "blocks.1.channels: .*less than or equal to 9999"),
        ("layers = 2\n", "layers = 901\n", "blocks.1.layers: .*less than or equal to 900"),
        ("kernel = [3]", "kernel = [101]", "choices.kernel.0: .*less than or equal to 99"),
        ("[0.75, 1.0]", "[10.5, 1.0]", "choices.filters.0: .*less than or equal to 10"),
        ("[-1, 0]", "[-21, 0]", "choices.layers.0: .*greater than or equal to -20"),
        ("[-1, 0]", "[21, 0]", "choices.layers.0: .*less than or equal to 20"),
    ],
)
def test_a_fault_is_named_with_its_place(was: str, now: str, said: str) -> None:
    assert TINY_TOML.count(was) == 1
    with pytest.raises(SpaceError, match=f"mine is no search space: .*{said}"):
        parse_space(TINY_TOML.replace(was, now), source="mine")


@pytest.mark.parametrize(
    "op",
    ["", "mbconv", "mbconv_e0", "mbconv_e03", "mbconv_e100", "mbconv_e-3", "mbconv_e3_k0", "mbconv_e3_k101",
     "mbconv_e3_k3_k5", "mbconv_k3_e3", "r0_k3", "r0_e1", "r1", "conv_e3", "dconv_e1", "conv_k", "Conv", " conv",
     "conv\\n", "mbconv_e²", "mbconv_e1٣", "conv_k2", "dconv_k10", "mbconv_e3_k4", "mbconv_e3_k98"],
)  # fmt: skip
def test_what_is_no_op_is_refused_with_its_place(op: str) -> None:
    with pytest.raises(SpaceError, match=r"mine is no search space: choices.op.1: "):
        parse_space(TINY_TOML.replace('"dconv"', f'"{op}"'), source="mine")


def test_a_block_may_have_100_000_choices_and_no_more() -> None:
    ratios = [n / 99_999 for n in range(50_001)]
    few = TINY_TOML.replace(', "dconv", "mbconv_e2"', "").replace(', "identity", "none"', "").replace("[-1, 0]", "[0]")
    space = parse_space(few.replace("[0.0, 0.25]", str(ratios[:-1])), source="mine")
    assert space.genomes == 100_000**2
    with pytest.raises(SpaceError, match="block 1 has 100,002 choices, at most 100,000 are possible; block 2 has"):
        parse_space(few.replace("[0.0, 0.25]", str(ratios)), source="mine")


def test_a_file_has_at_most_999_blocks() -> None:
    head, block, _ = TINY_TOML.split("[[blocks]]")
    assert len(parse_space(head + 999 * f"[[blocks]]{block}", source="mine").blocks) == 999
    with pytest.raises(SpaceError, match="blocks: "):
        parse_space(head + 1_000 * f"[[blocks]]{block}", source="mine")


def test_a_space_at_all_its_limits_has_strings_that_can_be_read() -> None:
    text = (
        TINY_TOML.replace("[16, 16, 1]", "[99_999, 99_999, 9_999]")
        .replace("classes = 4", "classes = 9_999_999")
        .replace("head = 16", "head = 999_999")
        .replace("channels = 8", "channels = 9_999")
        .replace("channels = 32\nlayers = 2\nstride = 2", "channels = 9_999\nlayers = 900\nstride = 4")
        .replace("mbconv_e2", "mbconv_e99_k99")
        .replace("kernel = [3]", "kernel = [99]")
        .replace("[0.75, 1.0]", "[1e-9, 10]")
        .replace("[-1, 0]", "[-20, 20]")
    )
    space = parse_space(text, source="mine")
    genes = np.array([space.sizes - 1, 0 * space.sizes])
    assert [parse_network(string) for string in space.strings(genes)] == space.networks(genes)
    widest = space.decode(genes[0]).blocks[1]
    assert (widest.out_channels, widest.layers, widest.kernel, widest.expansion) == (99_992, 920, 99, 99)


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


def test_the_example_of_the_guide_is_a_space() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "reference" / "spaces.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", guide, flags=re.DOTALL)
    space = parse_space(example, source="spaces.md")
    assert (space.name, space.shared, len(space.blocks)) == ("my-space", ("kernel",), 2)
    for name in space_names():
        assert f"`{name}`" in guide
        assert f"{load_space(name).architectures:,} |" in guide


@pytest.mark.parametrize("wrong", ["true", '"4"', "4.0"])
def test_a_number_of_another_type_is_no_number(wrong: str) -> None:
    with pytest.raises(SpaceError, match="classes: "):
        parse_space(TINY_TOML.replace("classes = 4", f"classes = {wrong}"), source="mine")


def test_faults_of_fields_do_not_hide_those_of_what_is_shared() -> None:
    faulty = TINY_TOML.replace("classes = 4", 'classes = 0\nshared = ["op", "op"]')
    with pytest.raises(SpaceError) as caught:
        parse_space(faulty, source="mine")
    assert "classes" in str(caught.value)
    assert "shared names a kind twice" in str(caught.value)


def test_a_space_whose_sharings_need_too_many_entries_is_refused() -> None:
    ratios = ", ".join(str(round(i / 3000, 4)) for i in range(1, 2001))
    faulty = TINY_TOML.replace("[0.0, 0.25]", f"[{ratios}]").replace(
        "classes = 4", 'classes = 4\nshared = ["se_ratio"]'
    )
    with pytest.raises(SpaceError, match="entries are needed"):
        parse_space(faulty, source="mine")
