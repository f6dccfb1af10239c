"""Architecture strings and space files as anyone may type them: mostly valid ones, damaged at random."""

import random
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TypeVar

import numpy as np
from strategies import TINY_TOML
from support.space_walk import check_rows

from mnas_evo.errors import MnasEvoError
from mnas_evo.space.architecture import Network
from mnas_evo.space.named import NAMED, named_network
from mnas_evo.space.neighbourhood import neighbours
from mnas_evo.space.notation import format_architecture, format_network, parse_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import parse_space

Value = TypeVar("Value")

SMALL_NUMBERS = ["1", "2", "3", "4", "5", "8", "9", "12", "20", "900", "0.5", "0.25"]
NUMBERS = [
    "0", "-0", "-1", "00", "1", "2", "3", "7", "16", "99", "100", "1000000000", "9" * 40, "9" * 5000, "1.5", "-0.0",
    "1e9", "1e400", "1e-400", "nan", "-inf", "inf", "²", "٣", "1٣", "½", "0x10", "1_000", "+3", "", " ",
]  # fmt: skip
NOTATION_TOKENS = [
    "r1_k3_e1_o16", "r0_o8", "r0", "r2", "k3", "k4", "s11", "s22", "s99", "s3", "e6", "i8", "o24", "se0.25", "se1",
    "se2", "se0.", "noskip", "pool", "conv", "stem32", "stem8_s1_relu6_same", "head1280", "head", "224x224x3",
    "1x1x1", "relu", "same", "1000", "/", "//", "_", "__", "\n", "\t", "\0", "é", "\u2028",
]  # fmt: skip
TOML_TOKENS = [
    "format", "name", "input", "classes", "stem", "head", "shared", "choices", "blocks", "op", "kernel", "se_ratio",
    "skip", "filters", "layers", "channels", "stride", "activation", "padding", "[choices]", "[[blocks]]", "[blocks]",
    "[blocks.choices]", "[[choices]]", "[stem]", "true", "false", '"op"', '"r0"', '"conv"', '"mbconv_e3_k4"',
    '"mbconv_e9_k9"', '"dconv_k3"', '"relu6"', '"same"', '"pool"', '"none"', '""', "'''", '"""', "[]", "{}", "[[]]",
    "[{}]", "{ a = 1 }", "[1, 2]", '["op", "kernel"]', '["skip"]', "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z",
    "=", ",", "[", "]", "{", "}", ".", "#", "\\", "\n", "\0", "é", "choices = { kernel = [5] }",
    'shared = ["filters"]', 'shared = ["op", "layers"]', 'activation = "relu6"', 'padding = "same"', "[" * 50,
    "[" * 2000, "{a=" * 2000, "a." * 2000,
]  # fmt: skip

SPACE_FILES = [
    *((files("mnas_evo.space") / "spaces" / f"{name}.toml").read_text() for name in ("single-op", "nas-bench-macro")),
    TINY_TOML,
    TINY_TOML.replace("head = 16", 'head = 16\nshared = ["skip", "op"]\nactivation = "relu6"\npadding = "same"'),
    TINY_TOML.replace('"dconv"', '"r0", "conv_k5"') + 'choices = { op = ["mbconv_e3_k5"], layers = [-20, 2] }\n',
    TINY_TOML.replace("[-1, 0]", "[0]").replace("[3]", "[3, 5]").replace("head = 16", 'head = 16\nshared = ["kernel"]'),
]


def damaged(text: str, tokens: Sequence[str], *, rng: random.Random) -> str:
    """A text with one to three damages: to characters, to tokens, to numbers, to lines."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice((_character, _token, _number, _number, _number, _line))(text, tokens, rng)
    return text


def _replaced(text: str, found: re.Match[str], new: str) -> str:
    return text[: found.start()] + new + text[found.end() :]


def _character(text: str, tokens: Sequence[str], rng: random.Random) -> str:
    at, length = rng.randrange(len(text) + 1), rng.randrange(4)
    some, another = text[at : at + length], rng.choice(text or " ")
    new = rng.choice(("", some * 2, another, rng.choice(NUMBERS), chr(rng.randrange(0x2FFF))))
    return text[:at] + new + text[at + length :]


def _token(text: str, tokens: Sequence[str], rng: random.Random) -> str:
    found = list(re.finditer(r"[\w.\"+-]+|[/_\[\]{}=,]", text))
    if not found:
        return rng.choice(tokens)
    old, new = rng.choice(found), rng.choice(tokens)
    return _replaced(text, old, rng.choice(("", old[0] * 2, rng.choice(found)[0], new, new)))


def _number(text: str, tokens: Sequence[str], rng: random.Random) -> str:
    found = list(re.finditer(r"-?\d+(\.\d+)?", text))
    new = rng.choice(rng.choice((SMALL_NUMBERS, SMALL_NUMBERS, NUMBERS, tokens)))
    return _replaced(text, rng.choice(found), new) if found else new


def _line(text: str, tokens: Sequence[str], rng: random.Random) -> str:
    parts = re.split(r"([/\n])", text)
    at, end = sorted(rng.choices(range(len(parts) + 1), k=2))
    before, some, after = parts[:at], parts[at:end], parts[end:]
    return "".join(before + rng.choice(([], some * 2, rng.sample(some, len(some)))) + after)


def what_came_out(
    texts: Sequence[str], read: Callable[[str], Value], use: Callable[[Value], None]
) -> tuple[int, dict[str, str]]:
    """How many texts were read, and, by what was raised, the shortest that was neither refused nor of use."""
    count, wrong = 0, dict[str, str]()
    for text in texts:
        try:
            try:
                value = read(text)
            except MnasEvoError as error:
                assert str(error).strip()
                continue
            count += 1
            use(value)
        except Exception as error:
            said = re.sub(r"[0-9]+", "N", f"{type(error).__name__}: {error}")[:100]
            wrong[said] = min(wrong.get(said, text), text, key=len)
    return count, wrong


def write_and_read(network: Network) -> None:
    """The string of a network is read as the same, and is plain."""
    string = format_network(network)
    assert parse_network(string) == network
    assert format_network(parse_network(string)) == string
    assert string.isascii()


def look_at(space: SearchSpace) -> None:
    """What a command would do with a space: counts, a sample, strings and rows, where its tables are small."""
    assert space.genomes == int(np.prod(space.sizes.astype(object)))
    if sum(int(np.prod(block.sizes)) for block in space.blocks) > 600:
        return
    assert 1 <= space.architectures <= space.genomes
    genes = space.sample(3, rng=np.random.default_rng(0))
    networks = space.networks(genes)
    assert [parse_network(string) for string in space.strings(genes)] == networks
    assert all(space.contains(network) for network in networks)
    assert len(neighbours(space, genes[0])) <= (space.sizes - 1).sum()
    check_rows(space, genes)


def check_strings(n: int, *, rng: random.Random) -> int:
    """Asserts that n strings, one in eleven of them noise, are read or refused, and gives how many were read."""
    networks = [named_network(name) for name in NAMED]
    valid = [*NAMED.values(), *map(format_network, networks), *map(format_architecture, networks)]
    valid += [
        "stem8_s1_relu6_same/r0_o8/r1_k3_o16_conv_pool/head16",
        "8x9x1/stem8/r2_k5_s33_e2_i8_o8_se0.5_noskip/head1/2",
    ] * 10
    noise = ["".join(rng.choices(NOTATION_TOKENS + NUMBERS, k=rng.randrange(9))) for _ in range(n // 11)]
    texts = [damaged(rng.choice(valid), NOTATION_TOKENS, rng=rng) for _ in range(n - len(noise))]
    read, wrong = what_came_out(texts + noise, parse_network, write_and_read)
    assert not wrong, wrong
    return read


def check_space_files(n: int, *, rng: random.Random) -> int:
    """Asserts that n space files, one in eleven of them noise, are read or refused, and gives how many were read."""
    noise = ["".join(rng.choices(TOML_TOKENS + NUMBERS, k=rng.randrange(20))) for _ in range(n // 11)]
    texts = [damaged(rng.choice(SPACE_FILES), TOML_TOKENS, rng=rng) for _ in range(n - len(noise))]
    read, wrong = what_came_out(texts + noise, lambda text: parse_space(text, source="mine"), look_at)
    assert not wrong, wrong
    return read
