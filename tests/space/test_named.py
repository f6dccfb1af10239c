"""Published networks as their authors counted them, and the reading of an architecture argument."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from strategies import TINY
from support.real_data import real_data

from mnas_evo.errors import NotationError
from mnas_evo.space.architecture import Network
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


def test_efficientnet_lite0_has_its_published_number_of_parameters() -> None:
    assert lower(named_network("efficientnet-lite0")).params == 4_652_008


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("expansion", [3, 6])
def test_a1_with_one_kind_of_layer_has_a1s_widths_and_depths(expansion: int, kernel: int) -> None:
    network, a1 = named_network(f"a1-mbconv{expansion}-k{kernel}"), named_network("mnasnet-a1")
    assert network.frame == a1.frame
    assert network.architecture.blocks == tuple(
        replace(block, kernel=kernel, expansion=expansion, se_ratio=0.0) for block in a1.architecture.blocks
    )


# Scaled, as others published it. torchvision 0.28, timm 1.0.31.


@pytest.mark.parametrize(
    ("name", "width", "params"),
    [
        ("mnasnet-b1", 0.5, 2_218_512),
        ("mnasnet-b1", 0.75, 3_170_208),
        ("mnasnet-b1", 1.3, 6_282_256),
        ("mnasnet-b1", 1.4, 7_115_728),
        ("mnasnet-a1", 0.5, 2_082_006),
        ("mnasnet-a1", 0.75, 2_912_278),
        ("mnasnet-a1", 1.4, 6_105_992),
    ],
)
def test_a_scaled_network_has_its_published_number_of_parameters(name: str, width: float, params: int) -> None:
    assert lower(named_network(name).scaled(width)).params == params


@pytest.mark.parametrize(("width", "millions"), [(0.75, "3.20"), (1.0, "4.42"), (1.3, "6.33"), (1.4, "7.16")])
def test_mindcv_counts_running_statistics_among_b1s_parameters_and_cuts(width: float, millions: str) -> None:
    graph = lower(named_network("mnasnet-b1").scaled(width))
    assert (graph.params + graph.statistics) // 10_000 == int(millions.replace(".", ""))


def test_statistics_are_a_mean_and_a_variance_of_every_normalised_channel() -> None:
    graph = lower(parse_network("stem8/r1_k3_e2_o24_se0.25/head16"))
    assert graph.statistics == 2 * (8 + 16 + 16 + 24 + 16)  # stem, expansion, depthwise, projection, head


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("width", [0.35, 1.0, 1.4])
def test_the_input_changes_no_parameters_and_no_layer_vanishes(name: str, width: float) -> None:
    network = named_network(name).scaled(width)
    params = lower(network).params
    for size in (28, 32, 96, 128, 160, 192, 224):
        graph = lower(network.with_task(height=size, width=size, channels=3, classes=1000))
        assert graph.params == params
        assert all(min(shape) >= 1 for layer in graph.layers for shape in layer.values)
        assert graph.layers[-1].in_shape[1:] == (-(-size // 32), -(-size // 32))


def reference_network(name: str) -> Network:
    """What a model of another library is called here: torchvision's `mnasnet0_75`, timm's `semnasnet_075`."""
    library, model = name.split("/")
    if match := re.fullmatch(r"mnasnet(\d_\d+)", model) if library == "torchvision" else None:
        return named_network("mnasnet-b1").scaled(float(match[1].replace("_", ".")))
    if match := re.fullmatch(r"(se)?mnasnet_(\d{3})", model):
        return named_network("mnasnet-a1" if match[1] else "mnasnet-b1").scaled(int(match[2]) / 100)
    own = {"mnasnet_small": "mnasnet-small", "mnasnet_a1": "mnasnet-a1", "mnasnet_b1": "mnasnet-b1",
           "mobilenetv2_100": "mobilenet-v2", "efficientnet_lite0": "efficientnet-lite0"}  # fmt: skip
    return named_network(own[model])


def test_every_model_of_other_libraries_has_as_many_parameters_as_ours() -> None:
    models = json.loads(real_data("reference-state-dicts.json").read_text())["models"]
    assert {name: lower(reference_network(name)).params for name in models} == {
        name: model["params"] for name, model in models.items()
    }
    assert len(models) == 17


def test_block_strings_are_those_of_the_authors_code() -> None:
    published = json.loads(real_data("mnasnet-reference-archs.json").read_text())
    for name in ("mnasnet-a1", "mnasnet-b1", "mnasnet-small"):
        said = published[name]
        assert NAMED[name].split("/") == [f"stem{said['stem']}", *said["blocks"], f"head{said['head']}"]


def test_a1s_published_scalings_have_our_sizes() -> None:
    with real_data("mnasnet-a1-scaling.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({(row["input_size"], row["depth_multiplier"]) for row in rows}) == len(rows) == 25
    for row in rows:
        size = int(row["input_size"])
        network = named_network("mnasnet-a1").scaled(float(row["depth_multiplier"]))
        graph = lower(network.with_task(height=size, width=size, channels=3, classes=1000))
        assert f"{graph.params / 1e6:.1f}" == row["params_M"]
        assert 1 <= float(row["madds_M"]) * 1e6 / graph.macs <= 1.03  # theirs count squeezing a little differently


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
