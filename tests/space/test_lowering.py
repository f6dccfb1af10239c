"""The one lowering: order of ops, edges, shapes, keys, counts; and that graphs tell architectures apart."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import blocks, near_pairs, networks, small_networks

from mnas_evo.space.architecture import Block, Frame, Network
from mnas_evo.space.graph import Graph, Layer, LayerSpec, Op
from mnas_evo.space.lowering import block_layers, lower, lower_layer
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network

SPEC = LayerSpec("mbconv", 3, 3, 0.25, "", 16, 24, 2, 112, 112, "relu", "symmetric")


def kinds(layer: Layer) -> list[str]:
    """Ops of a layer, depthwise convolutions told apart."""
    return ["dconv" if op.groups > 1 else op.kind for op in layer.ops]


@given(near_pairs())
def test_equal_architectures_lower_to_equal_graphs_and_unequal_ones_do_not(pair: tuple[Network, Network]) -> None:
    one, other = pair
    assert (lower(one) == lower(other)) == (one == other)


@given(networks())
def test_every_op_reads_values_that_stand_before_it(network: Network) -> None:
    for layer in lower(network).layers:
        for j, op in enumerate(layer.ops):
            assert op.inputs
            assert all(0 <= value <= j for value in op.inputs)


@given(networks())
def test_layers_form_a_chain_from_the_image_to_the_classes(network: Network) -> None:
    graph = lower(network)
    shape = graph.in_shape
    for layer in graph.layers:
        assert layer.in_shape == shape
        shape = layer.out_shape
    assert shape == (network.frame.classes, 1, 1)


@given(networks())
def test_every_layer_has_its_own_place(network: Network) -> None:
    graph = lower(network)
    assert len(set(graph.places)) == len(graph.places) == len(graph.layers)
    assert (graph.places[0], *graph.places[-2:]) == ("stem", "head", "classifier")


@given(networks())
def test_equal_layers_are_the_same_object(network: Network) -> None:
    one, other = lower(network).layers, lower(network).layers
    assert all(a is b for a, b in zip(one, other, strict=True))


@given(small_networks())
def test_a_network_can_be_built_from_its_json_alone(network: Network) -> None:
    graph = lower(network)
    read = json.loads(json.dumps(graph.to_json()))
    names = {field.name for field in fields(Op)}
    shape, layers = tuple(read["in_shape"]), []
    for layer, entry in zip(graph.layers, read["layers"], strict=True):
        assert all(set(op) == names for op in entry["ops"])
        values: list[dict[str, Any]] = [
            {name: tuple(value) if isinstance(value, list) else value for name, value in op.items()}
            for op in entry["ops"]
        ]
        ops = [Op(**each) for each in values]
        layers.append(Layer(layer.spec, shape, tuple(ops)))
        shape = layers[-1].out_shape
    assert Graph(graph.in_shape, tuple(layers), tuple(entry["place"] for entry in read["layers"])) == graph
    assert [entry["key"] for entry in read["layers"]] == [layer.spec.key for layer in graph.layers]


@given(st.data())
def test_two_layers_have_one_key_exactly_when_they_are_equal(data: st.DataObject) -> None:
    sizes = {"height": 8, "width": 8}
    frame = st.builds(
        Frame, activation=st.sampled_from(["relu", "relu6"]), padding=st.sampled_from(["symmetric", "same"])
    )
    some = blocks(in_channels=8, channels=st.just(12), most_kernel=3, most_stride=2, most_layers=2)
    layers = [layer for _ in range(2) for layer in block_layers(data.draw(some), **sizes, frame=data.draw(frame))]
    for one in layers:
        for other in layers:
            assert (one.spec.key == other.spec.key) == (one == other)


def test_se_ratios_count_to_four_decimals_in_block_key_and_string_alike() -> None:
    one, other, another = (
        Block("mbconv", 3, 3, ratio, "identity", 30, 24, 2, 1) for ratio in (0.3333333, 0.3333334, 0.3334)
    )
    assert one == other != another
    frame = Frame(stem_channels=30)
    keys = {block_layers(block, height=8, width=8, frame=frame)[0].spec.key for block in (one, other, another)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (SPEC, "mbconv_e3_k3_se0.25_i16_o24_s2_112x112_relu"),
        (replace(SPEC, skip="pool", se_ratio=0.0), "mbconv_e3_k3_pool_i16_o24_s2_112x112_relu"),
        (replace(SPEC, op="conv", expansion=1, skip="add"), "conv_k3_se0.25_add_i16_o24_s2_112x112_relu"),
        (replace(SPEC, activation="relu6", padding="same"), "mbconv_e3_k3_se0.25_i16_o24_s2_112x112_relu6_same"),
        (replace(SPEC, op="project", se_ratio=0.0, width=56), "project_i16_o24_s2_112x56"),
        (replace(SPEC, op="classifier", se_ratio=0.0, stride=1, height=7, width=7), "classifier_i16_o24_7x7"),
    ],
)
def test_a_key_reads_as_the_layer_is(spec: LayerSpec, key: str) -> None:
    assert spec.key == key


@pytest.mark.parametrize(
    ("block", "ops"),
    [
        ("r1_k5_o24_conv", ["conv", "relu"]),
        (
            "r1_k5_o24_conv_se0.25",
            ["conv", "relu", "global_pool", "conv", "relu", "conv", "sigmoid", "mul"],
        ),
        ("r1_k3_e1_o24", ["dconv", "relu", "conv"]),
        ("r1_k3_e6_o24", ["conv", "relu", "dconv", "relu", "conv"]),
        (
            "r1_k3_e6_o24_se0.25",
            ["conv", "relu", "dconv", "relu", "global_pool", "conv", "relu", "conv", "sigmoid", "mul", "conv"],
        ),
        ("r1_k3_e1_o16", ["dconv", "relu", "conv", "add"]),
        ("r1_k3_e1_o16_noskip", ["dconv", "relu", "conv"]),
        ("r1_k3_e1_o16_pool", ["dconv", "relu", "conv", "avg_pool", "add"]),
        ("r1_k3_e1_o24_pool", ["dconv", "relu", "conv", "avg_pool", "conv", "add"]),
        ("r1_k3_s22_o16_conv_pool", ["conv", "relu", "avg_pool", "add"]),
        ("r0_s22_o24", ["conv"]),
    ],
)
def test_a_layer_has_the_papers_ops_in_order(block: str, ops: list[str]) -> None:
    graph = lower(parse_network(f"stem16/{block}/head1280"))
    assert kinds(graph.layers[1]) == ops


def test_a_block_of_no_layers_that_changes_no_shape_leaves_nothing() -> None:
    graph = lower(parse_network("stem16/r0_o16/head1280"))
    assert graph.places == ("stem", "head", "classifier")


def test_only_the_first_layer_of_a_block_has_the_stride() -> None:
    graph = lower(parse_network("stem16/r3_k3_s22_e6_o24/head1280"))
    block = [layer.spec for place, layer in zip(graph.places, graph.layers, strict=True) if place.startswith("1.")]
    assert [spec.stride for spec in block] == [2, 1, 1]
    assert [spec.skip for spec in block] == ["", "add", "add"]
    assert [spec.height for spec in block] == [112, 56, 56]


def test_squeeze_and_excite_squeezes_to_a_share_of_the_layers_input() -> None:
    layer = lower(parse_network("stem16/r1_k3_e6_o24_se0.25/head1280")).layers[1]
    squeeze, expand = [op for op in layer.ops if op.kind == "conv" and not op.norm]
    assert squeeze.out_shape == (4, 1, 1)
    assert expand.out_shape == (96, 1, 1)


def test_squeeze_and_excite_keeps_one_channel_at_least() -> None:
    layer = lower(parse_network("stem2/r1_k3_e6_o24_se0.25/head1280")).layers[1]
    assert next(op.out_shape for op in layer.ops if op.kind == "conv" and not op.norm) == (1, 1, 1)


@pytest.mark.parametrize(
    ("padding", "size", "pads"),
    [("symmetric", 224, (1, 1, 1, 1)), ("same", 224, (0, 0, 1, 1)), ("same", 223, (1, 1, 1, 1))],
)
def test_same_padding_is_tensorflows_and_may_be_uneven(padding: str, size: int, pads: tuple[int, ...]) -> None:
    suffix = {"symmetric": "", "same": "_same"}[padding]
    stem = lower(parse_network(f"{size}x{size}x3/stem32{suffix}/r1_k3_e6_o16/head1280")).layers[0]
    assert stem.ops[0].pads == pads
    assert stem.out_shape == (32, 112, 112)


def test_counts_of_a_layer_are_those_of_the_formula() -> None:
    layer = lower_layer(replace(SPEC, se_ratio=0.0))
    expand, depthwise, project = 16 * 48, 9 * 48, 48 * 24
    assert layer.params == expand + depthwise + project + 2 * (48 + 48 + 24)
    assert layer.macs == expand * 112 * 112 + (depthwise + project) * 56 * 56


def test_the_most_elements_alive_count_what_a_skip_holds_back() -> None:
    graph = lower(parse_network("4x4x8/stem8_s1/r1_k3_e1_o8/head8/2"))
    one = 8 * 4 * 4
    assert graph.layers[0].peak_elements == 2 * one
    assert graph.layers[1].peak_elements == 3 * one  # the input waits for the addition
    assert graph.peak_elements == 3 * one


def test_mobilenet_v2s_most_elements_are_those_of_its_first_expansion() -> None:
    # Block 2's first activation: 96 channels of 112 × 112, in and out.
    assert lower(named_network("mobilenet-v2")).peak_elements == 2 * 96 * 112 * 112
