"""What a network lowers to: layers (one table row each), each a small graph of primitive ops with explicit edges."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnas_evo.errors import NotationError
from mnas_evo.space.architecture import Activation, Padding, format_ratio

OpKind = Literal["conv", "relu", "relu6", "sigmoid", "add", "mul", "avg_pool", "global_pool", "dropout", "linear"]
LayerSkip = Literal["", "add", "pool"]
Shape = tuple[int, int, int]

_N = r"[1-9]\d{0,8}"
_KEY = re.compile(
    rf"(?P<op>conv|mbconv|project|classifier)(?:_e(?P<expansion>{_N}))?(?:_k(?P<kernel>{_N}))?"
    rf"(?:_se(?P<se_ratio>\d(?:\.\d+)?))?(?:_(?P<skip>add|pool))?_i(?P<in_channels>{_N})_o(?P<out_channels>{_N})"
    rf"(?:_s(?P<stride>{_N}))?_(?P<height>{_N})x(?P<width>{_N})(?:_(?P<activation>relu6?))?(?:_(?P<padding>same))?",
    re.ASCII,
)
_UNSAID = {
    "expansion": 1, "kernel": 1, "se_ratio": 0, "skip": "", "stride": 1, "activation": "relu", "padding": "symmetric"
}  # fmt: skip
_NUMBERS = ("expansion", "kernel", "in_channels", "out_channels", "stride", "height", "width")


@dataclass(frozen=True, slots=True)
class Op:
    """One primitive. `inputs` are values of its layer: 0 is the layer's input, j + 1 what its op j gives.

    `out_shape` is (channels, height, width). `pads` is (top, left, bottom, right). A conv with `norm` is followed
    by batch norm and has no bias of its own; one without has a bias. Average pooling leaves padding out of its mean.
    """

    kind: OpKind
    inputs: tuple[int, ...]
    out_shape: Shape
    kernel: int = 0
    stride: int = 1
    groups: int = 1
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    norm: bool = False
    params: int = 0
    macs: int = 0


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """What identifies a layer, and so a row of a latency table, but for batch and precision."""

    op: Literal["conv", "mbconv", "project", "classifier"]
    kernel: int
    expansion: int
    se_ratio: float
    skip: LayerSkip
    in_channels: int
    out_channels: int
    stride: int
    height: int
    width: int
    activation: Activation
    padding: Padding

    @property
    def key(self) -> str:
        """Key of its row, to which a table adds batch and precision: `mbconv_e3_k3_se0.25_i16_o24_s2_112x112_relu`."""
        parts: list[str] = [self.op]
        if self.op == "mbconv":
            parts.append(f"e{self.expansion}")
        if self.op in ("conv", "mbconv"):
            parts.append(f"k{self.kernel}")
        if self.se_ratio:
            parts.append(f"se{format_ratio(self.se_ratio)}")
        if self.skip:
            parts.append(self.skip)
        parts.append(f"i{self.in_channels}_o{self.out_channels}")
        if self.op != "classifier":
            parts.append(f"s{self.stride}")
        parts.append(f"{self.height}x{self.width}")
        if self.op in ("conv", "mbconv"):
            parts.append(self.activation)
        if self.padding == "same":
            parts.append("same")
        return "_".join(parts)


def parse_key(key: str) -> LayerSpec:
    """The layer of a key; of a projection and a classifier, which carry no activation, it is said to be ReLU.

    Raises:
        NotationError: it is no layer's key.
    """
    if match := _KEY.fullmatch(key):
        said = {name: text for name, text in match.groupdict().items() if text}
        found: dict[str, Any] = {**_UNSAID, **said}
        found |= {name: int(found[name]) for name in _NUMBERS}
        spec = LayerSpec(**{**found, "se_ratio": float(found["se_ratio"])})
        if spec.key == key:  # it says all that a key of its kind has to, and no more
            return spec
    raise NotationError(f"{key!r} is no layer's key; one looks like mbconv_e3_k3_se0.25_i16_o24_s2_112x112_relu")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as a runtime executes it: one input, ops in order of execution, the last op's value is the output."""

    spec: LayerSpec
    in_shape: Shape
    ops: tuple[Op, ...]

    @property
    def out_shape(self) -> Shape:
        """Shape of its output (channels, height, width)."""
        return self.ops[-1].out_shape if self.ops else self.in_shape

    @property
    def params(self) -> int:
        """Trainable parameters, batch norm's scale and shift included."""
        return sum(op.params for op in self.ops)

    @property
    def statistics(self) -> int:
        """Running means and variances that batch norm keeps beside the parameters."""
        return sum(2 * op.out_shape[0] for op in self.ops if op.norm)

    @property
    def macs(self) -> int:
        """Multiply-adds of its convolutions and linear maps, for one image."""
        return sum(op.macs for op in self.ops)

    @property
    def values(self) -> tuple[Shape, ...]:
        """Shape of every value, the input first."""
        return (self.in_shape, *(op.out_shape for op in self.ops))

    @property
    def peak_elements(self) -> int:
        """Most elements alive at once while it runs op by op, inputs and output of the running op included."""
        sizes = [c * h * w for c, h, w in self.values]
        last_use = list(range(len(sizes)))
        for j, op in enumerate(self.ops):
            for value in op.inputs:
                last_use[value] = max(last_use[value], j + 1)
        alive = (
            sum(size for v, size in enumerate(sizes) if v <= j + 1 and last_use[v] >= j + 1)
            for j in range(len(self.ops))
        )
        return max(alive, default=sizes[0])


@dataclass(frozen=True, slots=True)
class Graph:
    """A network lowered: layers in a chain, each with its place: `stem`, `BLOCK.LAYER`, `head`, `classifier`."""

    in_shape: Shape
    layers: tuple[Layer, ...]
    places: tuple[str, ...]

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(layer.params for layer in self.layers)

    @property
    def statistics(self) -> int:
        """Running means and variances of batch norm; some tools count them among the parameters."""
        return sum(layer.statistics for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def peak_elements(self) -> int:
        """Most activation elements alive at once, for one image."""
        return max(layer.peak_elements for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """The form that profiling/PROTOCOL.md describes, from which an agent builds the network without mnas_evo."""
        return {
            "format": 1,
            "in_shape": list(self.in_shape),
            "layers": [
                {
                    "place": place,
                    "key": layer.spec.key,
                    "ops": [asdict(op) for op in layer.ops],
                }
                for place, layer in zip(self.places, self.layers, strict=True)
            ],
        }
