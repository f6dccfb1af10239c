"""Block strings: what is written is read back, and what cannot be read is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import near_pairs, networks

from mnas_evo.errors import NotationError
from mnas_evo.space.architecture import Architecture, Block, Frame, Network
from mnas_evo.space.named import NAMED
from mnas_evo.space.notation import format_architecture, format_network, parse_network


@given(networks())
def test_a_network_is_read_back_from_its_full_string(network: Network) -> None:
    assert parse_network(format_network(network)) == network


@given(networks())
def test_a_network_is_read_back_from_its_short_string_and_its_frame(network: Network) -> None:
    assert parse_network(format_architecture(network), defaults=network.frame) == network


@given(networks())
def test_a_full_string_leaves_nothing_to_the_defaults(network: Network) -> None:
    elsewhere = Frame(height=7, width=9, channels=5, stem_stride=3, activation="relu6", padding="same", classes=3)
    assert parse_network(format_network(network), defaults=elsewhere) == network


@given(near_pairs())
def test_two_networks_have_one_string_exactly_when_they_are_equal(pair: tuple[Network, Network]) -> None:
    one, other = pair
    assert (format_network(one) == format_network(other)) == (one == other)


def test_a_tiny_se_ratio_is_written_so_that_it_can_be_read() -> None:
    network = Network(Architecture((Block("mbconv", 3, 6, 0.00002, "identity", 32, 16, 1, 1),)), Frame())
    assert parse_network(format_network(network)) == network


@pytest.mark.parametrize("name", [name for name in NAMED if not name.startswith("a1-")])  # those are our words
def test_an_official_string_is_canonical_but_for_what_it_says_too_much(name: str) -> None:
    network = parse_network(NAMED[name], check_inputs=False)
    assert parse_network(format_architecture(network)) == network
    short = NAMED[name].replace("_noskip", "").replace("k3_s11_e1_i16_o8", "k3_s11_e1_i8_o8")
    assert format_architecture(network) == short


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("r1_k3_s11_e1_i32_o16_noskip", "r1_k3_s11_e1_i32_o16"),  # identity adds nothing here
        ("r2_k3_s11_e1_o16_noskip", "r2_k3_s11_e1_i32_o16_noskip"),
        ("o16_e1_k3_r1", "r1_k3_s11_e1_i32_o16"),  # any order; stride 1 unless said
        ("r1_k5_s22_o16_conv_se0.25", "r1_k5_s22_i32_o16_se0.25_conv"),
        ("pool_r1_k5_s22_o16_conv_se0.250", "r1_k5_s22_i32_o16_se0.25_pool_conv"),
        ("r1_k3_e6_o16_se0", "r1_k3_s11_e6_i32_o16"),
        ("r0_k5_e6_o16_s22_se0.5_pool", "r0_s22_i32_o16"),
        ("r0_o32", "r0_s11_i32_o32"),
        ("r3_k07_e006_o0016", "r3_k7_s11_e6_i32_o16"),
    ],
)
def test_each_way_to_write_a_block_has_one_canonical_form(written: str, canonical: str) -> None:
    assert format_architecture(parse_network(f"stem32/{written}/head1280")) == f"stem32/{canonical}/head1280"


def test_what_a_string_leaves_unsaid_has_the_papers_values() -> None:
    frame = parse_network("stem32/r1_k3_e1_o16/head1280").frame
    assert frame == Frame(224, 224, 3, 32, 2, "relu", "symmetric", 1280, 1000)


def test_a_string_says_everything_of_the_frame() -> None:
    frame = parse_network(" 96x128x1 / stem8_s1_relu6_same / r1_k3_e1_o16 / head64 / 10 \n").frame
    assert frame == Frame(96, 128, 1, 8, 1, "relu6", "same", 64, 10)


def test_input_channels_that_contradict_the_block_before_are_named() -> None:
    with pytest.raises(NotationError, match="block 2, 'r1_k3_e6_i24_o32': i24 contradicts the 16 channels"):
        parse_network("stem32/r1_k3_e1_i32_o16/r1_k3_e6_i24_o32/head1280")


def test_contradicting_input_channels_can_be_overlooked_for_official_strings() -> None:
    network = parse_network("stem32/r1_k3_e1_i99_o16/head1280", check_inputs=False)
    assert network.architecture.blocks[0].in_channels == 32


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no architecture"),
        ("stem32/head1280", "no architecture"),
        ("224x224x3/1000", "no architecture"),
        ("stm32/r1_k3_e1_o16/head1280", "'stm32' is no stem"),
        ("stem0/r1_k3_e1_o16/head1280", "'stem0' is no stem"),
        ("stem32_s0/r1_k3_e1_o16/head1280", "'stem32_s0' is no stem"),
        ("stem32_gelu/r1_k3_e1_o16/head1280", "'stem32_gelu' is no stem"),
        ("stem32/r1_k3_e1_o16/tail1280", "'tail1280' is no head"),
        ("stem32/r1_k3_e1_o16/head", "'head' is no head"),
        ("0x224x3/stem32/r1_k3_e1_o16/head1280", "'0x224x3' is no stem"),
        ("stem32/r1_k3_e1_o16/head1280/0", "'0' is no head"),
        ("stem32//head1280", "block 1, ''"),
        ("stem32/r1_k3_e1_o16_/head1280", "block 1.*cannot read ''"),
        ("stem32/r1_k3_e1_o16_fast/head1280", "block 1.*cannot read 'fast'"),
        ("stem32/r1_k3_e1_o-16/head1280", "block 1.*cannot read 'o-16'"),
        ("stem32/r1_k3.5_e1_o16/head1280", "block 1.*cannot read 'k3.5'"),
        ("stem32/r1_k3_e1_o16_se-1/head1280", "block 1.*cannot read 'se-1'"),
        ("stem32/r1_k3_e1_o16_sefull/head1280", "block 1.*cannot read 'sefull'"),
        ("stem32/r1_k3_k5_e1_o16/head1280", "block 1.*kernel is given twice"),
        ("stem32/r1_k3_e1_o16_pool_noskip/head1280", "block 1.*skip is given twice"),
        ("stem32/r1_k3_e1/head1280", "block 1.*out_channels not given"),
        ("stem32/k3_e1_o16/head1280", "block 1.*layers not given"),
        ("stem32/r1_e1_o16/head1280", "block 1.*kernel not given"),
        ("stem32/r1_k3_o16/head1280", "block 1.*either an expansion, as e6, or conv"),
        ("stem32/r1_k3_e6_o16_conv/head1280", "block 1.*either an expansion, as e6, or conv"),
        ("stem32/r1_k3_s2_e6_o16/head1280", "block 1.*two equal digits, as s22, not s2"),
        ("stem32/r1_k3_s12_e6_o16/head1280", "block 1.*two equal digits, as s22, not s12"),
        ("stem32/r1_k3_s00_e6_o16/head1280", "block 1.*stride is 1 to 9, not 0"),
        ("stem32/r1_k4_e6_o16/head1280", "block 1.*odd and positive, not 4"),
        ("stem32/r1_k3_e6_o0/head1280", "block 1.*out_channels is 1 to 99999, not 0"),
        ("stem32/r1_k3_e0_o16/head1280", "block 1.*expansion is 1 to 999, not 0"),
        ("stem32/r1_k3_e6_o16_se1.5/head1280", r"block 1.*between 0 and 1, not at 1\.5"),
        ("stem32/r1_k3_e1_o16/r1_k3_e9_o24_x/head1280", "block 2, 'r1_k3_e9_o24_x'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(NotationError, match=said):
        parse_network(text)


@given(st.text() | st.text("stemhead0123456789_/xkrionpl.", max_size=40) | st.from_regex(r"stem\d+/(\w{1,9}/)*head\d+"))
def test_no_text_ends_in_another_error_than_the_projects(text: str) -> None:
    try:
        network = parse_network(text)
    except NotationError:
        return
    assert parse_network(format_network(network)) == network
