"""Published networks as their authors counted them, and the reading of an architecture argument."""

from pathlib import Path

import pytest
from strategies import TINY

from mnas_evo.errors import NotationError
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import LANDMARKS, NAMED, named_network, read_networks
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space_file import load_space

SHORT = "stem32/r1_k3_s11_e1_i32_o16/head1280"


@pytest.mark.parametrize(
    ("name", "params", "millions_of_macs"),
    [
        ("mnasnet-a1", 3_887_038, 311.6),
        ("mnasnet-b1", 4_383_312, 314.4),
        ("mnasnet-small", 2_030_264, 68.3),
        ("mobilenet-v2", 3_504_872, 300.8),
    ],
)
def test_a_published_network_has_its_published_size(name: str, params: int, millions_of_macs: float) -> None:
    graph = lower(named_network(name))
    assert graph.params == params
    assert graph.macs / 1e6 == pytest.approx(millions_of_macs, rel=0.005)


def test_every_landmark_has_a_name() -> None:
    assert set(LANDMARKS) <= set(NAMED)


def test_a_named_network_takes_the_tasks_input_and_classes_and_keeps_its_layers() -> None:
    network = named_network("mobilenet-v2", task=TINY.frame)
    frame = network.frame
    assert (frame.height, frame.width, frame.channels, frame.classes) == (16, 16, 1, 4)
    assert (frame.stem_channels, frame.activation, frame.head_channels) == (32, "relu6", 1280)
    assert network.architecture == named_network("mobilenet-v2").architecture


def test_mnasnet_small_contradicts_itself_and_is_accepted_by_name_only() -> None:
    with pytest.raises(NotationError, match="i16 contradicts the 8 channels"):
        parse_network(NAMED["mnasnet-small"])
    assert named_network("mnasnet-small").architecture.blocks[0].in_channels == 8


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_a1_and_b1_do_not_lie_in_the_papers_space(name: str) -> None:
    assert not load_space("paper").contains(named_network(name))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotationError, match=r"'mnasnet-a4'.*mnasnet-a1, mnasnet-b1"):
        named_network("mnasnet-a4")


def test_an_argument_is_a_name() -> None:
    assert read_networks("mnasnet-a1", task=TINY.frame) == [named_network("mnasnet-a1", task=TINY.frame)]


def test_an_argument_is_a_string() -> None:
    assert read_networks(SHORT, task=TINY.frame) == [parse_network(f"16x16x1/{SHORT}/4")]


def test_an_argument_is_a_file_of_names_and_strings(tmp_path: Path) -> None:
    file = tmp_path / "networks.txt"
    file.write_text(f"# chosen by hand\nmnasnet-a1\n\n  {SHORT}  \n")
    assert read_networks(str(file)) == [named_network("mnasnet-a1"), parse_network(SHORT)]


def test_a_comment_in_a_file_may_be_indented(tmp_path: Path) -> None:
    file = tmp_path / "networks.txt"
    file.write_text(f"  # chosen by hand\n{SHORT}\n")
    assert read_networks(str(file)) == [parse_network(SHORT)]


def test_a_name_goes_before_a_file_that_is_called_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mnasnet-a1").write_text(SHORT)
    assert read_networks("mnasnet-a1") == [named_network("mnasnet-a1")]


def test_full_strings_make_a_file_that_is_read_back(tmp_path: Path) -> None:
    networks = [named_network(name) for name in sorted(NAMED)]
    file = tmp_path / "networks.txt"
    file.write_text("\n".join(format_network(network) for network in networks))
    assert read_networks(str(file)) == networks


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "networks.txt holds no architecture string"),
        (b"# nothing\n\n", "networks.txt holds no architecture string"),
        (b"\xff\xfe\x00", "networks.txt is no text file"),
        (b"mnasnet-a1\nmnasnet-a4\n", "networks.txt: 'mnasnet-a4'"),
        (b"stem32/r1_k4_e1_o16/head1280\n", "networks.txt: block 1.*odd and positive, not 4"),
    ],
)
def test_a_file_that_holds_no_networks_is_named_with_the_reason(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "networks.txt"
    file.write_bytes(content)
    with pytest.raises(NotationError, match=said):
        read_networks(str(file))


@pytest.mark.parametrize("text", ["", "no-such-file.txt", "stem32/head1280", "\0", "x" * 300], ids=ascii)
def test_an_argument_that_is_nothing_is_answered_with_what_it_may_be(text: str) -> None:
    with pytest.raises(NotationError, match="stem32"):
        read_networks(text)


def test_a_string_longer_than_a_path_may_be_is_read() -> None:
    deep = "stem16/" + "/".join(["r1_k3_s11_e6_i16_o16_se0.25_pool"] * 200) + "/head1280"
    (network,) = read_networks(deep)
    assert len(network.architecture.blocks) == 200
