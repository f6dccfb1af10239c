"""Networks known by name, as their authors published them, and the reading of an architecture argument."""

from pathlib import Path

from mnas_evo.errors import NotationError
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.notation import parse_network


def _repeated(expansion: int, kernel: int) -> str:
    """MnasNet-A1's widths and depths with one kind of layer throughout (Tan et al. 2019, table 6).

    The paper does not say whether its variants squeeze and excite, nor what becomes of A1's separable first block;
    here they do not, and all seven blocks are of the one kind.
    """
    skeleton = ((1, 1, 16), (2, 2, 24), (3, 2, 40), (4, 2, 80), (2, 1, 112), (3, 2, 160), (1, 1, 320))
    blocks = [f"r{layers}_k{kernel}_s{stride}{stride}_e{expansion}_o{out}" for layers, stride, out in skeleton]
    return "/".join(["stem32", *blocks, "head1280"])


# MnasNet's block strings: tensorflow/tpu, models/official/mnasnet/mnasnet_models.py (Apache-2.0).
# MobileNetV2: Sandler et al. 2018, table 2. EfficientNet-Lite0: tensorflow/tpu, models/official/efficientnet/lite.
NAMED = {
    "mnasnet-a1": "stem32/r1_k3_s11_e1_i32_o16_noskip/r2_k3_s22_e6_i16_o24/r3_k5_s22_e3_i24_o40_se0.25"
    "/r4_k3_s22_e6_i40_o80/r2_k3_s11_e6_i80_o112_se0.25/r3_k5_s22_e6_i112_o160_se0.25/r1_k3_s11_e6_i160_o320/head1280",
    "mnasnet-b1": "stem32/r1_k3_s11_e1_i32_o16_noskip/r3_k3_s22_e3_i16_o24/r3_k5_s22_e3_i24_o40/r3_k5_s22_e6_i40_o80"
    "/r2_k3_s11_e6_i80_o96/r4_k5_s22_e6_i96_o192/r1_k3_s11_e6_i192_o320_noskip/head1280",
    "mnasnet-small": "stem8/r1_k3_s11_e1_i16_o8/r1_k3_s22_e3_i8_o16/r2_k3_s22_e6_i16_o16/r4_k5_s22_e6_i16_o32_se0.25"
    "/r3_k3_s11_e6_i32_o32_se0.25/r3_k5_s22_e6_i32_o88_se0.25/r1_k3_s11_e6_i88_o144/head1280",
    "mobilenet-v2": "stem32_relu6/r1_k3_s11_e1_i32_o16/r2_k3_s22_e6_i16_o24/r3_k3_s22_e6_i24_o32/r4_k3_s22_e6_i32_o64"
    "/r3_k3_s11_e6_i64_o96/r3_k3_s22_e6_i96_o160/r1_k3_s11_e6_i160_o320/head1280",
    "efficientnet-lite0": "stem32_relu6_same/r1_k3_s11_e1_i32_o16/r2_k3_s22_e6_i16_o24/r2_k5_s22_e6_i24_o40"
    "/r3_k3_s22_e6_i40_o80/r3_k5_s11_e6_i80_o112/r4_k5_s22_e6_i112_o192/r1_k3_s11_e6_i192_o320/head1280",
    **{f"a1-mbconv{e}-k{k}": _repeated(e, k) for e in (3, 6) for k in (3, 5)},
}

# Measured in every campaign and drawn beside every front.
LANDMARKS = ("mobilenet-v2", "mnasnet-a1", "mnasnet-b1")


def named_network(name: str, *, task: Frame | None = None) -> Network:
    """A published network at its own 224x224x3 and 1000 classes, or at the input and classes of `task`.

    Raises:
        NotationError: no network of that name.
    """
    if name not in NAMED:
        raise NotationError(f"no network is called {name!r}; known are {', '.join(sorted(NAMED))}")
    network = parse_network(NAMED[name], check_inputs=False)  # mnasnet-small says i16 after a stem of 8
    if task is None:
        return network
    return network.with_task(height=task.height, width=task.width, channels=task.channels, classes=task.classes)


def read_networks(text: str, *, task: Frame | None = None) -> list[Network]:
    """Networks an argument stands for, tried in this order: a name, a string with `/`, a file of strings, one a line.

    Raises:
        NotationError: it is none of these, or a string in it cannot be read.
    """
    if text in NAMED:
        return [named_network(text, task=task)]
    path = Path(text)
    is_file = _is_file(path)
    if text.count("/") >= 2 and not is_file:
        return [parse_network(text, defaults=task)]
    if is_file:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise NotationError(f"{text} is no text file of architecture strings") from error
        strings = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        if not strings:
            raise NotationError(f"{text} holds no architecture string")
        return [network for string in strings for network in read_networks_line(string, task=task, source=text)]
    raise NotationError(
        f"{text!r} is no architecture: give a name ({', '.join(sorted(NAMED))}), a string such as "
        "stem32/r2_k3_s22_e6_o24/head1280, or a file of strings"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a path may be, or with a null byte: a string, then
        return False


def read_networks_line(string: str, *, task: Frame | None, source: str) -> list[Network]:
    """The network of one line of a file, which errors name."""
    try:
        return [named_network(string, task=task) if string in NAMED else parse_network(string, defaults=task)]
    except NotationError as error:
        raise NotationError(f"{source}: {error}") from error
