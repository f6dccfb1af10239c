"""Int8: it keeps the answers, what shall stay in float does, and onnxruntime's tools stay quiet."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.run_networks import as_if_trained, session

from mnas_evo.shipping.fp32 import export_onnx
from mnas_evo.shipping.node_groups import named_nodes, node_groups
from mnas_evo.shipping.quantisation import METHODS, Images, Method, calibrate, quantise
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.normalisation import Normalisation

NETWORK = parse_network("16x16x3/stem8_relu6/r1_k3_s11_e1_o8/r2_k3_s22_e3_o16_se0.25/r1_k5_s22_o24_pool_conv/head32/5")
METADATA = {"network": "n", "precision": "int8"}


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    module = as_if_trained(lower(NETWORK))
    checkpoint = Checkpoint(NETWORK, tuple("abcde"), "letters", Normalisation((0.0,) * 3, (1.0,) * 3), module)
    return export_onnx(checkpoint, tmp_path_factory.mktemp("fp32") / "model.onnx").path.read_bytes()


def images(n: int = 48, *, seed: int = 0) -> Images:
    return np.random.default_rng(seed).standard_normal((n, 3, 16, 16), dtype=np.float32)


def logits(content: bytes, given: Images) -> Images:
    found: Images = session(content).run(None, {"images": given})[0]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_int8_says_nearly_what_fp32_says_of_any_number_of_images(method: Method, fp32: bytes) -> None:
    ranges = calibrate(fp32, [images(32), images(16, seed=1)], method=method)
    int8 = quantise(fp32, ranges, metadata=METADATA)
    for n in (1, 40):
        given = images(n, seed=2)
        expected, found = logits(fp32, given), logits(int8, given)
        assert found.shape == (n, 5)
        assert np.abs(found - expected).max() < 0.25 * np.abs(expected).max()
    assert len(int8) < len(fp32)
    assert session(int8).get_modelmeta().custom_metadata_map == METADATA


def test_weights_are_signed_by_channel_and_activations_unsigned(fp32: bytes) -> None:
    int8 = onnx.load_from_string(quantise(fp32, calibrate(fp32, [images()], method="minmax"), metadata=METADATA))
    tensors = {tensor.name: tensor for tensor in int8.graph.initializer}
    stem = tensors["l0.0.weight_quantized"]
    assert stem.data_type == onnx.TensorProto.INT8
    assert tensors["l0.0.weight_scale"].dims == [8]
    assert tensors["images_zero_point"].data_type == onnx.TensorProto.UINT8
    assert not [node for node in int8.graph.node if node.op_type in ("Relu", "Clip") and node.input[0] == "l0.0"]


def test_what_shall_stay_in_float_does(fp32: bytes) -> None:
    ranges, groups = calibrate(fp32, [images()], method="minmax"), node_groups(lower(NETWORK))
    given = images(seed=3)
    for group, names in groups.items():
        model = onnx.load_from_string(quantise(fp32, ranges, in_float=names, metadata=METADATA))
        tensors = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        for name in names:
            assert tensors.get(f"{name}.weight", onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT, group
            assert f"{name}.weight_quantized" not in tensors, group
    every = [node.name for node in named_nodes(fp32).graph.node]
    whole = quantise(fp32, ranges, in_float=every, metadata=METADATA)
    assert logits(whole, given) == pytest.approx(logits(fp32, given), rel=1e-5, abs=1e-6)


def test_groups_hold_nodes_of_the_file_and_all_but_nothing_is_in_one(fp32: bytes) -> None:
    groups = node_groups(lower(NETWORK))
    assert set(groups) == {
        "stem", "block 1", "block 2", "block 3", "squeeze-excite", "skips", "head", "classifier",
    }  # fmt: skip
    names = {node.name for node in named_nodes(fp32).graph.node}
    grouped = {name for nodes in groups.values() for name in nodes}
    assert names <= grouped
    assert grouped - names <= {f"l{len(lower(NETWORK).layers) - 1}.{j}" for j in (1, 2)}  # dropout; renamed to logits
    kinds = {node.name: node.op_type for node in named_nodes(fp32).graph.node}
    assert {kinds[name] for name in groups["skips"]} == {"Add", "AveragePool", "Conv"}
    assert {kinds[name] for name in groups["squeeze-excite"]} == {
        "GlobalAveragePool", "Conv", "Relu", "Sigmoid", "Mul",
    }  # fmt: skip
    assert set(groups["classifier"]) < set(groups["head"])


def test_ranges_of_several_batches_are_those_of_all_their_images(fp32: bytes) -> None:
    seen = []

    def batches() -> Iterator[Images]:
        for start in range(0, 48, 16):
            seen.append(start)
            yield images()[start : start + 16]

    apart, together = (calibrate(fp32, some, method="minmax") for some in (batches(), [images()]))
    assert seen == [0, 16, 32]
    assert set(apart.keys()) == set(together.keys()) and "l0.0" in set(apart.keys())
    for name in set(apart.keys()):
        for one, other in zip(apart[name].range_value, together[name].range_value, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_printed_and_logging_stays_as_it_was(
    method: Method, fp32: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    before = list(logging.root.handlers)
    quantise(fp32, calibrate(fp32, [images(4)], method=method), metadata=METADATA)
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == before


def test_values_that_are_always_zero_do_no_harm(tmp_path: Path) -> None:
    module = as_if_trained(lower(NETWORK))
    for tensor in module.state_dict().values():
        if tensor.ndim == 4:
            tensor.zero_()
    normalisation = Normalisation((0.0,) * 3, (1.0,) * 3)
    exported = export_onnx(Checkpoint(NETWORK, tuple("abcde"), "x", normalisation, module), tmp_path / "m.onnx")
    fp32 = exported.path.read_bytes()
    int8 = quantise(fp32, calibrate(fp32, [images()], method="minmax"), metadata={"in_float": json.dumps([])})
    assert np.isfinite(logits(int8, images(2))).all()
