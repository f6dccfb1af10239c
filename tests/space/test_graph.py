"""Keys of layers: what a key says is read back, and nothing else is a key."""

import pytest
from hypothesis import given
from strategies import networks

from mnas_evo.errors import NotationError
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import parse_key
from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import load_space, space_names


@pytest.mark.parametrize("name", space_names())
def test_the_key_of_every_layer_of_a_shipped_space_is_read_back(name: str) -> None:
    for layer in load_space(name).layers():
        assert parse_key(layer.spec.key).key == layer.spec.key


@given(networks())
def test_a_key_tells_all_of_a_layer_but_a_classifiers_activation(network: Network) -> None:
    *layers, classifier = lower(network).layers
    assert [parse_key(layer.spec.key) for layer in layers] == [layer.spec for layer in layers]
    assert parse_key(classifier.spec.key).key == classifier.spec.key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "conv",
        "dense_i3_o32_s2_224x224",
        "conv_i3_o32_s2_224x224_relu",  # no kernel
        "conv_k3_i3_o32_224x224_relu",  # no stride
        "conv_k3_i3_o32_s2_224x224",  # no activation
        "mbconv_k3_i16_o24_s2_112x112_relu",  # no expansion
        "conv_e3_k3_i3_o32_s2_224x224_relu",  # an expansion
        "project_k1_i16_o24_s2_56x56",
        "classifier_i1280_o1000_s1_7x7",
        "conv_k3_i3_o0_s2_224x224_relu",
        "conv_k03_i3_o32_s2_224x224_relu",
        "conv_k3_se0_i3_o32_s2_224x224_relu",
        "conv_k3_se0.250_i3_o32_s2_224x224_relu",
        "conv_k3_i3_o32_s2_224x224_hswish",
        "conv_k3_i3_o32_s2_224x224_relu_b1_fp32",
        "conv_k3_i3_o32_s2_224x224_relu\n",
        "conv_k٣_i3_o32_s2_224x224_relu",
    ],
)
def test_what_is_no_key_is_named(key: str) -> None:
    with pytest.raises(NotationError, match="is no layer's key") as caught:
        parse_key(key)
    assert repr(key) in str(caught.value)
