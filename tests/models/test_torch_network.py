"""Torch modules: they have the graph's parameters, multiply-adds and shapes, and train."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_networks
from support.run_networks import conv_of, images_for, multiply_adds, ops_of, remove_norm
from torch import nn

from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Frame, Network, Padding
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import NAMED, named_network
from mnas_evo.space.notation import parse_network

SMALL = lower(
    parse_network("15x17x3/stem8_same/r2_k3_s22_e2_o12_se0.25/r2_k5_o12_conv_pool/r1_k3_s22_e3_o16_pool/head24/5")
)


@given(small_networks())
def test_counts_and_shapes_of_the_graph_are_those_of_the_module(network: Network) -> None:
    graph = lower(network)
    module = GraphNetwork(graph).eval()
    images = images_for(graph)
    assert sum(parameter.numel() for parameter in module.parameters()) == graph.params
    assert multiply_adds(module, images) == graph.macs
    value = images
    for layer, built in zip(graph.layers, module.layers, strict=True):
        value = built(value)
        assert value.shape[1:] == layer.out_shape or value.shape[1:] == layer.out_shape[:1]
    assert module(images).shape == (2, network.frame.classes)


@pytest.mark.parametrize("name", NAMED)
def test_a_published_network_is_built_with_as_many_parameters_and_multiply_adds_as_its_graph(name: str) -> None:
    graph = lower(named_network(name, task=Frame(height=64, width=64)))
    module = GraphNetwork(graph).eval()
    assert sum(parameter.numel() for parameter in module.parameters()) == graph.params
    assert multiply_adds(module, images_for(graph, n=1)) == graph.macs


@given(small_networks())
@settings(max_examples=10)
def test_parameters_are_named_by_layer_and_op(network: Network) -> None:
    graph = lower(network)
    owners = {tuple(name.split(".")[:4]) for name, _ in GraphNetwork(graph).named_parameters()}
    expected = {
        ("layers", str(number), "ops", str(j))
        for number, layer in enumerate(graph.layers)
        for j, op in enumerate(layer.ops)
        if op.params
    }
    assert owners == expected


def test_every_parameter_learns() -> None:
    module = GraphNetwork(SMALL)
    initialise(module, seed=0)
    module.train()
    nn.functional.cross_entropy(module(images_for(SMALL, n=4)), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_graph_of_one_layer_is_a_network_too() -> None:
    layer = SMALL.layers[1]
    module = GraphNetwork(Graph(layer.in_shape, (layer,), ("row",)))
    assert module(torch.zeros(2, *layer.in_shape)).shape == (2, math.prod(layer.out_shape))


def test_average_pooling_leaves_padding_out_of_its_mean() -> None:
    graph = lower(parse_network("6x6x3/stem4_s1/r1_k3_o4_conv_pool/head8/2"))
    kinds = [op.kind for op in graph.layers[1].ops]
    pool = ops_of(GraphNetwork(graph).layers[1])[kinds.index("avg_pool")]
    ones = torch.ones(1, 4, 6, 6)
    assert torch.equal(pool(ones), ones)


def test_options_reach_every_norm_and_the_dropout() -> None:
    module = GraphNetwork(SMALL, options=ModuleOptions(dropout=0.7, norm_momentum=0.2, norm_eps=0.3))
    norms = [found for found in module.modules() if isinstance(found, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.2, 0.3)}
    assert [found.p for found in module.modules() if isinstance(found, nn.Dropout)] == [0.7]


def test_the_papers_options_are_the_defaults() -> None:
    options = ModuleOptions()
    assert (options.dropout, options.norm_momentum, options.norm_eps) == (0.2, 0.01, 1e-3)


@given(
    st.sampled_from((3, 5, 7)), st.integers(1, 6), st.integers(1, 6), st.sampled_from((1, 2)),
    st.sampled_from(("symmetric", "same")), st.booleans(),
)  # fmt: skip
@settings(deadline=None)
def test_a_kernel_larger_than_its_image_learns_as_torchs_own_convolution(
    kernel: int, height: int, width: int, stride: int, padding: Padding, depthwise: bool
) -> None:
    kind = "e1_o3" if depthwise else "o3_conv"
    stem = "stem3_s1_same" if padding == "same" else "stem3_s1"
    graph = lower(parse_network(f"{height}x{width}x3/{stem}/r1_k{kernel}_s{stride}{stride}_{kind}/head4/5"))
    op, convolution = graph.layers[1].ops[0], ops_of(GraphNetwork(graph).double().layers[1])[0]
    top, left, bottom, right = op.pads
    value = torch.randn(2, 3, height, width, dtype=torch.double, requires_grad=True)
    weight = conv_of(convolution).weight
    padded = nn.functional.pad(value, (left, right, top, bottom))
    plain = nn.functional.conv2d(padded, weight, stride=stride, groups=op.groups)
    remove_norm(convolution)
    gradient = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, (value, weight), gradient)
    torch.testing.assert_close(convolution(value), plain)
    torch.testing.assert_close(torch.autograd.grad(convolution(value), (value, weight), gradient), expected)
    with torch.no_grad():
        torch.testing.assert_close(convolution(value), plain)


@pytest.mark.parametrize("images", [2, 300])  # 300 of 4x4 are more pixels than a product of matrices is taken for
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_1x1_convolution_computes_and_learns_as_torchs_own(images: int, layout: torch.memory_format) -> None:
    graph = lower(parse_network("4x4x3/stem8_s1/r1_k3_s11_e3_o16_se0.25/head4/5"))
    module = GraphNetwork(graph).double()
    pointwise = [
        (conv, one)
        for one in module.modules()
        if isinstance(conv := getattr(one, "conv", None), nn.Conv2d) and conv.kernel_size == (1, 1)
    ]
    assert len(pointwise) == 5 and sum(conv.bias is not None for conv, _ in pointwise) == 2
    for conv, convolution in pointwise:
        remove_norm(convolution)
        value = torch.randn(images, conv.in_channels, 4, 4, dtype=torch.double)
        value = value.contiguous(memory_format=layout).requires_grad_()
        learnt = [value, *conv.parameters()]
        plain, found = conv(value), convolution(value)
        gradient = torch.randn_like(plain)
        torch.testing.assert_close(found, plain)
        torch.testing.assert_close(
            torch.autograd.grad(found, learnt, gradient), torch.autograd.grad(plain, learnt, gradient)
        )
