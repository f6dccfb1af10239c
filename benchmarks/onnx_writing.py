"""Writing a profiling model from the lowered graph, against exporting the same network through torch."""

import io
import warnings

import numpy as np
import torch
from ratio import compare

from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import load_space


def main() -> None:
    torch.set_num_threads(1)
    space = load_space("paper")
    graphs = [lower(network) for network in space.networks(space.sample(5, rng=np.random.default_rng(0)))]
    weights = SharedWeights(graphs)

    def ours() -> int:
        for graph in graphs:
            onnx_model(graph, weights=weights).SerializeToString()
        return len(graphs)

    def through_torch() -> int:
        network = GraphNetwork(graphs[0]).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own future
            images = torch.zeros(1, *graphs[0].in_shape)
            torch.onnx.export(network, (images,), io.BytesIO(), dynamo=False)  # type: ignore[arg-type]
        return 1

    compare("ONNX files, our writer against torch's exporter", fast=ours, slow=through_torch, unit="models", rounds=5)


if __name__ == "__main__":
    main()
