"""The one lowering: network -> graph. Torch modules, ONNX files, row keys, counts and features all read its result."""

from functools import lru_cache

from mnas_evo.space.architecture import Activation, Block, Frame, Network, Padding
from mnas_evo.space.graph import Graph, Layer, LayerSkip, LayerSpec, Op, OpKind, Shape


def lower(network: Network) -> Graph:
    """Graph of a network; equal layers are the same object."""
    frame = network.frame
    layers = [stem_layer(frame)]
    places = ["stem"]
    for position, block in enumerate(network.architecture.blocks, start=1):
        _, height, width = layers[-1].out_shape
        for depth, layer in enumerate(block_layers(block, height=height, width=width, frame=frame), start=1):
            layers.append(layer)
            places.append(f"{position}.{depth}")
    channels, height, width = layers[-1].out_shape
    layers.extend(head_layers(channels, height=height, width=width, frame=frame))
    places.extend(["head", "classifier"])
    return Graph((frame.channels, frame.height, frame.width), tuple(layers), tuple(places))


def stem_layer(frame: Frame) -> Layer:
    """The 3x3 convolution that every network begins with."""
    return lower_layer(
        LayerSpec(
            "conv",
            3,
            1,
            0.0,
            "",
            frame.channels,
            frame.stem_channels,
            frame.stem_stride,
            frame.height,
            frame.width,
            frame.activation,
            frame.padding,
        )
    )


def block_layers(block: Block, *, height: int, width: int, frame: Frame) -> list[Layer]:
    """Layers of a block whose input is height x width; none where a block of no layers changes no shape."""
    if block.layers == 0:
        if block.stride == 1 and block.in_channels == block.out_channels:
            return []
        spec = LayerSpec(
            "project", 1, 1, 0.0, "", block.in_channels, block.out_channels, block.stride, height, width, "relu",
            frame.padding,
        )  # fmt: skip
        return [lower_layer(spec)]
    layers: list[Layer] = []
    channels, stride = block.in_channels, block.stride
    for _ in range(block.layers):
        adds = stride == 1 and channels == block.out_channels
        skips: dict[str, LayerSkip] = {"pool": "pool", "identity": "add" if adds else "", "none": ""}
        spec = LayerSpec(
            block.op, block.kernel, block.expansion, block.se_ratio, skips[block.skip], channels,
            block.out_channels, stride, height, width, frame.activation, frame.padding,
        )  # fmt: skip
        layers.append(lower_layer(spec))
        _, height, width = layers[-1].out_shape
        channels, stride = block.out_channels, 1
    return layers


def head_layers(channels: int, *, height: int, width: int, frame: Frame) -> list[Layer]:
    """The 1x1 convolution, then pooling, dropout and the linear map, that every network ends with."""
    head = LayerSpec(
        "conv", 1, 1, 0.0, "", channels, frame.head_channels, 1, height, width, frame.activation, frame.padding
    )
    classifier = LayerSpec(
        "classifier", 1, 1, 0.0, "", frame.head_channels, frame.classes, 1, height, width, frame.activation,
        "symmetric",
    )  # fmt: skip
    return [lower_layer(head), lower_layer(classifier)]


@lru_cache(maxsize=100_000)
def lower_layer(spec: LayerSpec) -> Layer:
    """Ops of one layer. Order of ops within a layer: Tan et al. 2019, section 4, and the authors' code."""
    ops = _Ops((spec.in_channels, spec.height, spec.width), spec.activation, spec.padding)
    if spec.op == "classifier":
        ops.add("linear", ops.add("dropout", ops.global_pool(0)), out_shape=(spec.out_channels, 1, 1))
    elif spec.op == "project":
        ops.conv(0, spec.out_channels, kernel=1, stride=spec.stride)
    elif spec.op == "conv":
        value = ops.activate(ops.conv(0, spec.out_channels, kernel=spec.kernel, stride=spec.stride))
        _add_skip(ops, _squeeze_excite(ops, value, spec), spec)
    else:
        value, hidden = 0, spec.in_channels * spec.expansion
        if spec.expansion != 1:
            value = ops.activate(ops.conv(value, hidden, kernel=1))
        value = ops.activate(ops.conv(value, hidden, kernel=spec.kernel, stride=spec.stride, groups=hidden))
        value = ops.conv(_squeeze_excite(ops, value, spec), spec.out_channels, kernel=1)
        _add_skip(ops, value, spec)
    return Layer(spec, ops.values[0], tuple(ops.ops))


def _squeeze_excite(ops: "_Ops", value: int, spec: LayerSpec) -> int:
    """Squeeze to ratio × the layer's input channels, at least one (the authors' code rounds down)."""
    if not spec.se_ratio:
        return value
    channels = ops.values[value][0]
    squeezed = ops.conv(ops.global_pool(value), max(1, int(spec.in_channels * spec.se_ratio)), kernel=1, norm=False)
    gate = ops.add("sigmoid", ops.conv(ops.add("relu", squeezed), channels, kernel=1, norm=False))
    return ops.add("mul", value, gate)


def _add_skip(ops: "_Ops", value: int, spec: LayerSpec) -> None:
    if spec.skip == "add":
        ops.add("add", value, 0)
    elif spec.skip == "pool":
        pooled = ops.avg_pool(0, kernel=3, stride=spec.stride)
        if spec.in_channels != spec.out_channels:
            pooled = ops.conv(pooled, spec.out_channels, kernel=1)
        ops.add("add", value, pooled)


class _Ops:
    """Ops of a layer as they are appended; each method returns the index of the new value."""

    def __init__(self, in_shape: Shape, activation: Activation, padding: Padding) -> None:
        self.values: list[Shape] = [in_shape]
        self.ops: list[Op] = []
        self._activation: Activation = activation
        self._padding: Padding = padding

    def _append(self, op: Op) -> int:
        self.ops.append(op)
        self.values.append(op.out_shape)
        return len(self.ops)

    def add(self, kind: OpKind, *inputs: int, out_shape: Shape | None = None) -> int:
        in_shape = self.values[inputs[0]]
        if kind == "linear" and out_shape is not None:
            weights = in_shape[0] * out_shape[0]
            return self._append(Op(kind, inputs, out_shape, params=weights + out_shape[0], macs=weights))
        return self._append(Op(kind, inputs, in_shape))

    def activate(self, value: int) -> int:
        return self.add(self._activation, value)

    def global_pool(self, value: int) -> int:
        return self._append(Op("global_pool", (value,), (self.values[value][0], 1, 1)))

    def conv(
        self, value: int, out_channels: int, *, kernel: int, stride: int = 1, groups: int = 1, norm: bool = True
    ) -> int:
        in_channels, height, width = self.values[value]
        out_height, top, bottom = _window(height, kernel=kernel, stride=stride, padding=self._padding)
        out_width, left, right = _window(width, kernel=kernel, stride=stride, padding=self._padding)
        weights = kernel * kernel * (in_channels // groups) * out_channels
        return self._append(
            Op(
                "conv",
                (value,),
                (out_channels, out_height, out_width),
                kernel=kernel,
                stride=stride,
                groups=groups,
                pads=(top, left, bottom, right),
                norm=norm,
                params=weights + out_channels * (2 if norm else 1),
                macs=weights * out_height * out_width,
            )
        )

    def avg_pool(self, value: int, *, kernel: int, stride: int) -> int:
        channels, height, width = self.values[value]
        out_height, top, bottom = _window(height, kernel=kernel, stride=stride, padding="symmetric")
        out_width, left, right = _window(width, kernel=kernel, stride=stride, padding="symmetric")
        pads = (top, left, bottom, right)
        out_shape = (channels, out_height, out_width)
        return self._append(Op("avg_pool", (value,), out_shape, kernel=kernel, stride=stride, pads=pads))


def _window(size: int, *, kernel: int, stride: int, padding: Padding) -> tuple[int, int, int]:
    """Output size and the padding before and after, along one axis; `same` is TensorFlow's, which may be uneven."""
    out = -(-size // stride)
    if padding == "symmetric":
        return out, kernel // 2, kernel // 2
    total = max((out - 1) * stride + kernel - size, 0)
    return out, total // 2, total - total // 2
