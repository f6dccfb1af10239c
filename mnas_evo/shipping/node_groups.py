"""Which nodes of an exported network belong together: what may stay in float while the rest is int8.

onnxruntime takes a float convolution between two int8 ones for int8 after all (its WeightBiasQuantization), and rounds
its weights by tensor: with all depthwise convolutions in float, EfficientNet-Lite0 agreed with fp32 on 85 % of
photographs, not 92. So what stays in float is whole stretches (stem, blocks, head), or what is no such convolution.
"""

import onnx

from mnas_evo.space.graph import Graph, Layer

STEM = "stem"
_CLASSIFIER = "classifier"


def named_nodes(content: bytes) -> onnx.ModelProto:
    """The model of an exported file, each node named by its value: the quantiser knows nodes by name only."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.name = node.output[0]
    return model


def node_groups(graph: Graph) -> dict[str, tuple[str, ...]]:
    """For each group that the network has, the names of its nodes; a node may be in several groups."""
    found: dict[str, list[str]] = {}
    for number, (layer, place) in enumerate(zip(graph.layers, graph.places, strict=True)):
        kinds = _kinds(layer)
        for j, op in enumerate(layer.ops):
            names = [f"l{number}.{j}"]
            if op.kind == "linear":
                names += [f"l{number}.{j}.flat", "logits"]
            for group in _groups_of(place, kinds[j]):
                found.setdefault(group, []).extend(names)
    return {group: tuple(names) for group, names in found.items()}


def _groups_of(place: str, kind: str) -> list[str]:
    if place == _CLASSIFIER:
        return [_CLASSIFIER, "head"]
    if place in (STEM, "head"):
        return [place]
    block = f"block {place.partition('.')[0]}"
    return [block, kind] if kind else [block]


def _kinds(layer: Layer) -> list[str]:
    """`squeeze-excite`, `skips` or nothing for each op; an activation belongs to what it follows."""
    kinds: list[str] = []
    for op in layer.ops:
        before = op.inputs[0] - 1  # the op that gives its first input; -1 is the layer's input
        if op.kind in ("relu", "relu6"):
            kinds.append(kinds[before])
        elif op.kind in ("global_pool", "sigmoid", "mul") or (op.kind == "conv" and not op.norm):
            kinds.append("squeeze-excite")
        elif op.kind in ("add", "avg_pool") or (before >= 0 and layer.ops[before].kind == "avg_pool"):
            kinds.append("skips")
        else:
            kinds.append("")
    return kinds
