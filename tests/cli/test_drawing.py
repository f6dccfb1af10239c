"""Networks and spaces drawn in a terminal: a line a block, a funnel, bars that tell what is dear."""

import re

import pytest
from hypothesis import given
from strategies import TINY, networks

from mnas_evo.cli.drawing import choices_lines, draw
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import NAMED, named_network
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space_file import load_space, parse_space, space_names

EVERY_KIND = parse_network(
    "32x32x1/stem8_s1/r0_s11_o8/r0_s22_o16/r2_k3_s11_o16_conv_pool_se0.25/r1_k3_s11_e1_o16_noskip"
    "/r2_k5_s22_e3_o24/r1_k3_s11_e6_o32/head32/10"
)


def places(network: Network) -> list[str]:
    """What each line of a drawing begins with."""
    return ["image", "stem", *(str(n + 1) for n in range(len(network.architecture.blocks))), "head", "classifier"]


def bars(drawing: str) -> list[int]:
    """Length of each line's bar of multiply-adds."""
    return [len(re.sub(r".* M(?=$| )|.*\dx\d+$", "", line).strip()) for line in drawing.splitlines()]


def test_a_drawing_shows_each_kind_of_block_its_size_and_its_share_of_the_work() -> None:
    assert draw(EVERY_KIND, unicode=False).splitlines() == [
        "  image                                     --------------        1 x 32x32",
        "  stem        conv 3x3, relu                ##############        8 x 32x32      0.1 M  #",
        "  1           nothing                       ##############        8 x 32x32",
        "  2           conv 1x1 /2, linear              #######           16 x 16x16      0.0 M",
        "  3           2 x conv 3x3, SE 0.25, pool      #######           16 x 16x16      1.2 M  ############",
        "  4           1 x dconv 3x3, no skip           #######           16 x 16x16      0.1 M  #",
        "  5           2 x MBConv3 5x5 /2, identity       ####              24 x 8x8      0.7 M  #######",
        "  6           1 x MBConv6 3x3                    ####              32 x 8x8      0.6 M  ######",
        "  head        conv 1x1                           ####              32 x 8x8      0.1 M  #",
        "  classifier  pool, dropout, linear               #                10 x 1x1      0.0 M",
    ]


@given(networks())
def test_any_network_is_drawn_with_one_line_a_block(network: Network) -> None:
    lines = draw(network, unicode=True).splitlines()
    assert [line.split()[0] for line in lines] == places(network)
    assert all(line == line.rstrip() for line in lines)


@given(networks())
def test_without_unicode_the_drawing_is_the_same_in_ascii(network: Network) -> None:
    plain = draw(network, unicode=False)
    assert plain.isascii()
    assert plain == draw(network, unicode=True).replace("█", "#").replace("░", "-")


@given(networks())
def test_bars_are_as_long_as_their_share_of_the_dearest_line(network: Network) -> None:
    graph = lower(network)
    macs = dict.fromkeys(places(network), 0)
    for place, layer in zip(graph.places, graph.layers, strict=True):
        macs[place.partition(".")[0]] += layer.macs
    assert bars(draw(network, unicode=False)) == [round(12 * one / max(macs.values())) for one in macs.values()]


@pytest.mark.parametrize("name", NAMED)
def test_the_lines_of_a_published_network_have_their_sizes_below_one_another(name: str) -> None:
    lines = draw(named_network(name), unicode=True).splitlines()
    sizes = [re.search(r"\d+ x \d+x\d+(?= |$)", line) for line in lines]
    assert len({size.end() for size in sizes if size is not None}) == 1 and None not in sizes


# Spaces


def test_a_space_is_drawn_block_by_block() -> None:
    assert choices_lines(TINY) == [
        "stem  8 channels /2, relu, symmetric padding",
        "1     8 channels, 1 layers                              "
        "op conv, dconv, mbconv_e2; kernel 3; se_ratio 0.0, 0.25; skip pool, identity, none",
        "2     24 or 32 channels, 1 or 2 layers /2",
        "head  16 channels, 4 classes",
    ]


OWN_TOML = """
format = 1
name = "own"
input = [16, 16, 3]
classes = 4
stem = { channels = 8, stride = 1 }
activation = "relu6"
padding = "same"
head = 16
shared = ["op"]

[choices]
op = ["dconv", "mbconv_e2_k5"]
kernel = [3]
se_ratio = [0.0]
skip = ["identity"]
filters = [1.0]
layers = [0]

[[blocks]]
channels = 8
layers = 2
stride = 1

[[blocks]]
channels = 16
layers = 1
stride = 2
choices = { kernel = [3, 7] }

[[blocks]]
channels = 16
layers = 1
stride = 1
choices = { kernel = [3, 7] }
"""


def test_what_a_space_shares_and_what_changes_from_block_to_block_is_told() -> None:
    assert [re.sub(" {2,}", " | ", line) for line in choices_lines(parse_space(OWN_TOML, source="own"))] == [
        "all blocks share: op",
        "stem | 8 channels, relu6, same padding",
        "1 | 8 channels, 2 layers | op dconv, mbconv_e2_k5; kernel 3; se_ratio 0.0; skip identity",
        "2 | 16 channels, 1 layers /2 | kernel 3, 7",
        "3 | 16 channels, 1 layers",
        "head | 16 channels, 4 classes",
    ]


@pytest.mark.parametrize("name", space_names())
def test_every_space_has_a_line_a_block_in_ascii(name: str) -> None:
    space = load_space(name)
    lines = choices_lines(space)
    assert len(lines) == len(space.blocks) + 2 + bool(space.shared)
    assert "\n".join(lines).isascii()
