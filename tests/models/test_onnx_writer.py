"""ONNX files: onnxruntime computes from them what torch does, and rows cut their weights from one file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from strategies import TINY, small_networks
from support.run_networks import as_if_trained, relative_difference, session

from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.models.torch_network import ModuleOptions
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import NAMED, named_network
from mnas_evo.space.notation import parse_network

EVERY_OP = (
    "21x18x3/stem8_relu6_same/r2_k5_s22_e3_o16_se0.25/r2_k3_o16_conv_pool/r1_k3_s33_e1_o24_pool/r0_s22_o12/head24/7"
)


@given(small_networks())
def test_onnxruntime_and_torch_agree(network: Network) -> None:
    graph = lower(network)
    assert relative_difference(graph, as_if_trained(graph)) < 1e-4


@pytest.mark.parametrize("name", NAMED)
def test_onnxruntime_and_torch_agree_on_a_published_network(name: str) -> None:
    graph = lower(named_network(name, task=Frame(height=64, width=64)))
    assert relative_difference(graph, as_if_trained(graph)) < 1e-4


def test_each_norm_is_folded_with_its_own_eps() -> None:
    graph = lower(parse_network(EVERY_OP))
    assert relative_difference(graph, as_if_trained(graph, options=ModuleOptions(norm_eps=0.5))) < 1e-4


def test_an_open_batch_takes_any_number_of_images() -> None:
    graph = lower(parse_network(EVERY_OP))
    module = as_if_trained(graph)
    for n in (1, 3):
        assert relative_difference(graph, module, n=n, batch="images_in_batch") < 1e-4


def test_a_single_layer_is_a_model_with_the_layers_output() -> None:
    for layer in lower(parse_network(EVERY_OP)).layers:
        graph = Graph(layer.in_shape, (layer,), ("row",))
        assert relative_difference(graph, as_if_trained(graph)) < 1e-4


def test_a_model_has_the_opset_that_older_runtimes_read() -> None:
    graph = lower(parse_network(EVERY_OP))
    model = onnx_model(graph, weights=SharedWeights([graph]))
    assert model.ir_version == 8
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]


# Weights shared by all models of a folder


def write_rows(folder: Path, layers: list[Layer]) -> list[Path]:
    """A model a layer, and the weights beside them."""
    graphs = [Graph(layer.in_shape, (layer,), ("row",)) for layer in layers]
    weights = SharedWeights(graphs)
    weights.write(folder, rng=np.random.default_rng(0))
    paths = [folder / f"{number}.onnx" for number in range(len(graphs))]
    for path, graph in zip(paths, graphs, strict=True):
        path.write_bytes(onnx_model(graph, weights=weights).SerializeToString())
    return paths


def test_every_row_of_a_space_runs_on_shared_weights_and_stays_of_sane_size(tmp_path: Path) -> None:
    layers = TINY.layers()
    for path, layer in zip(write_rows(tmp_path, layers), layers, strict=True):
        images = np.random.default_rng(1).standard_normal((1, *layer.in_shape), dtype=np.float32)
        (output,) = session(str(path)).run(None, {"images": images})
        assert output.size == np.prod(layer.out_shape)
        assert 1e-3 < np.abs(output).max() < 1e3, layer.spec.key


def test_a_whole_network_keeps_its_activations_of_sane_size_on_shared_weights(tmp_path: Path) -> None:
    graph = lower(named_network("mnasnet-a1", task=Frame(height=64, width=64)))
    weights = SharedWeights([graph])
    weights.write(tmp_path, rng=np.random.default_rng(0))
    path = tmp_path / "0.onnx"
    path.write_bytes(onnx_model(graph, weights=weights).SerializeToString())
    (output,) = session(str(path)).run(None, {"images": np.ones((1, 3, 64, 64), np.float32)})
    assert 1e-3 < np.abs(output).max() < 1e3


def test_a_folders_weights_lie_in_one_small_file(tmp_path: Path) -> None:
    layers = TINY.layers()
    paths = write_rows(tmp_path, layers)
    apart = sum(4 * op.params for layer in layers for op in layer.ops)
    assert (tmp_path / SharedWeights.FILE).stat().st_size < apart / 5
    assert all(path.stat().st_size < 4_000 for path in paths)


def test_every_weight_begins_on_a_page_whatever_else_the_folder_holds(tmp_path: Path) -> None:
    for path in write_rows(tmp_path, TINY.layers()):
        model = onnx.load(path, load_external_data=False)
        places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in model.graph.initializer]
        assert all(place["location"] == SharedWeights.FILE for place in places)
        assert all(int(place["offset"]) % 4096 == 0 for place in places)


def test_the_same_seed_writes_the_same_weights(tmp_path: Path) -> None:
    weights = SharedWeights([lower(parse_network(EVERY_OP))])
    written = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        (tmp_path / name).mkdir()
        weights.write(tmp_path / name, rng=np.random.default_rng(seed))
        written.append((tmp_path / name / SharedWeights.FILE).read_bytes())
    assert written[0] == written[1] != written[2]


def test_a_layer_of_very_many_inputs_has_weights_too(tmp_path: Path) -> None:
    # 7 × 7 × 1,400 inputs to every output: more than 4^8.
    (layer,) = [lower(parse_network("2x2x3/stem1400_s1/r1_k7_o8_conv/head8/2")).layers[1]]
    (path,) = write_rows(tmp_path, [layer])
    (output,) = session(str(path)).run(None, {"images": np.ones((1, *layer.in_shape), np.float32)})
    assert output.shape == (1, 8, 2, 2)
