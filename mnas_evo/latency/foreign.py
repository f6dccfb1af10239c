"""Tables that others published, as tables of ours; what our rows cannot express is refused by name.

proxylessnas    Cai et al. 2019: layers of MnasNet's kind as keys, each with count, mean ms and variance
ofa             Cai et al. 2020: the same with standard deviations; `expand` is the number of hidden channels
networks        a CSV of measured networks (measured_networks.py)
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import csv_columns, only_process, read_text, write_text
from mnas_evo.latency.measured_networks import NETWORK_COLUMNS, read_measured_csv
from mnas_evo.latency.plausible import refuse_other_units, size
from mnas_evo.latency.runs import DeviceFacts
from mnas_evo.latency.table import (
    Measured,
    Table,
    merge,
    parse_measured,
    read_table,
    refuse_odd_times,
    refuse_stock,
    row_key,
    write_table,
)
from mnas_evo.space.architecture import Activation, Frame
from mnas_evo.space.graph import Layer, LayerSkip, LayerSpec
from mnas_evo.space.lowering import lower_layer

Format = Literal["proxylessnas", "ofa", "networks"]
UNKNOWN = "unknown"

_ENTRY = re.compile(r"(\w+(?:-\w+:\w+)+):\s*", re.ASCII)
_FIGURE = re.compile(r"\s+(count|mean|var|std):\s*(\S+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a foreign table: its key, the line it stands on and its figures as they are written."""

    line: int
    key: str
    figures: dict[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that no row of ours expresses, and why."""

    key: str
    line: int
    reason: str


def import_table(
    source: Path,
    folder: Path,
    *,
    format: Format,
    task: Frame,
    activation: Activation = "relu",
    soc: str = UNKNOWN,
    runtime: str = UNKNOWN,
) -> tuple[Table, tuple[Refused, ...]]:
    """Adds what a foreign file holds to the table in a folder, and gives what it could not express.

    `task` completes short strings of networks, `activation` the keys of layers, which name none. `runtime` may end
    in a version: `onnxruntime 1.20`. One thread, batch 1 and fp32 are taken for granted.

    Raises:
        DamagedFile: a line cannot be read, or its time is hardly in ms.
        RequestError: nothing can be imported, the table is of another device or read-only.
        InUse: the table is being measured or fitted.
    """
    refuse_stock(folder)
    name, _, version = runtime.partition(" ")
    facts = DeviceFacts(
        name=folder.name,
        soc=soc,
        os=UNKNOWN,
        runtime=name,
        runtime_version=version or UNKNOWN,
        threads=1,
        precision="fp32",
        agent=f"imported from {source.name} ({format})",
    )
    new = Table(folder, facts, (), {}, ())
    refused: tuple[Refused, ...] = ()
    if format == "networks":
        new = replace(new, networks=read_measured_csv(source, task=task))
    else:
        rows, refused = _read_rows(source, facts, format=format, activation=activation)
        new = replace(new, rows=rows)
    with only_process(folder, doing="importing into"):
        old = read_table(folder) if (folder / "device.json").exists() else None
        table = merge(old, new)
        if old is not None:
            table = replace(table, device=old.device)  # which knows more of it
        refuse_odd_times(table, at={})
        write_table(folder, table)
        _write_readme(folder, source, new, refused, format=format, activation=activation)
    return table, refused


def guess_format(source: Path) -> Format:
    """Format of a file, from what it holds.

    Raises:
        RequestError: it looks like none.
    """
    text = read_text(source)
    first = next((match[1] for line in text.splitlines() if (match := _ENTRY.fullmatch(line))), None)
    if first is not None:
        return "ofa" if re.search(r"^expanded_conv-.*-hs:\d", text, re.MULTILINE) else "proxylessnas"
    if set(csv_columns(source)) & set(NETWORK_COLUMNS):
        return "networks"
    raise RequestError(f"{source} looks like none of {', '.join(get_args(Format))}; say with --format what it is")


def _read_rows(
    source: Path, facts: DeviceFacts, *, format: Format, activation: Activation
) -> tuple[dict[str, Measured], tuple[Refused, ...]]:
    rows: dict[str, Measured] = {}
    refused, times = [], []
    for entry in _read_entries(source):
        where = f"{source}, line {entry.line}"
        time = _measured(entry.figures, where=where)
        try:
            found = _layer(entry.key, format=format, activation=activation)
        except (KeyError, ValueError) as error:
            fault = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise DamagedFile(f"{where}: {entry.key} is no entry of {format}: {fault}") from error
        if isinstance(found, str):
            refused.append(Refused(entry.key, entry.line, found))
            continue
        key = row_key(found, device=facts)
        if key in rows:
            raise DamagedFile(f"{where}: {entry.key} stands there twice")
        rows[key] = time
        times.append((where, size([found]), time.ms))
    if not rows:
        reason = f": {refused[0].key}: {refused[0].reason}" if refused else ""
        raise RequestError(f"{source} holds no row that can be imported as {format}{reason}")
    refuse_other_units(times)
    return rows, tuple(refused)


def _read_entries(source: Path) -> list[Entry]:
    found: list[Entry] = []
    for number, line in enumerate(read_text(source).splitlines(), start=1):
        if match := _ENTRY.fullmatch(line):
            found.append(Entry(number, match[1], {}))
        elif found and (match := _FIGURE.fullmatch(line)) and match[1] not in found[-1].figures:
            found[-1].figures[match[1]] = match[2]
        elif line.strip():
            raise DamagedFile(
                f"{source}, line {number}: {line[:80]!r} is neither a layer's key nor, once each below it, "
                "count, mean, var or std"
            )
    return found


def _measured(figures: Mapping[str, str], *, where: str) -> Measured:
    spread = next((name for name in ("std", "var") if name in figures), None)
    if spread is None or not {"count", "mean"} <= set(figures):
        raise DamagedFile(f"{where}: an entry has count, mean and var or std, not only {', '.join(figures) or 'a key'}")
    time = parse_measured(figures["mean"], figures[spread], figures["count"], where=where)
    deviation = time.spread_percent if spread == "std" else math.sqrt(time.spread_percent)
    return replace(time, spread_percent=100 * deviation / time.ms)


def _layer(key: str, *, format: Format, activation: Activation) -> Layer | str:
    """The layer of an entry, or why there is none.

    Raises:
        KeyError, ValueError: the entry lacks a part, or one is no number.
    """
    kind, *parts = key.split("-")
    said = dict(part.split(":") for part in parts)
    (height, width, channels), (*out_size, out_channels) = _sizes(said["input"]), _sizes(said["output"])
    spec = partial(
        LayerSpec, expansion=1, se_ratio=0.0, skip="", in_channels=channels, out_channels=out_channels, height=height,
        width=width, activation=activation, padding="symmetric",
    )  # fmt: skip
    if kind == "Logits":
        layer, out_size = lower_layer(spec("classifier", kernel=1, stride=1)), [1, 1]
    elif kind in ("Conv", "Conv_1"):
        stride = max(1, height // out_size[0]) if out_size else 1
        layer = lower_layer(spec("conv", kernel=3 if kind == "Conv" else 1, stride=stride))
    elif kind == "expanded_conv":
        if ("hs" in said) != (format == "ofa"):
            raise ValueError("keys of ofa say hs, others do not")
        if said.get("se", "0") != "0":
            return "it squeezes to a share of its hidden channels, ours to a share of its inputs"
        if said.get("hs", "0") != "0":
            return "its activation is h-swish"
        (stride,), (kernel,), (expansion,) = (_sizes(said[name]) for name in ("stride", "kernel", "expand"))
        if format == "ofa":
            if expansion % channels:
                return f"its {expansion} hidden channels are no multiple of its {channels} inputs"
            expansion //= channels
        adds = said["idskip"] != "0"
        if adds and (stride > 1 or channels != out_channels):
            return "it skips where the shape changes"
        skip: LayerSkip = "add" if adds else ""
        layer = lower_layer(spec("mbconv", kernel=kernel, expansion=expansion, skip=skip, stride=stride))
    else:
        return f"no network of ours has a layer {kind}"
    if layer.out_shape != (out_channels, *out_size):
        return f"from its input comes {layer.out_shape[1]}x{layer.out_shape[2]}x{layer.out_shape[0]}"
    return layer


def _sizes(text: str) -> list[int]:
    found = [int(part) for part in text.split("x")]
    if min(found) < 1:
        raise ValueError(f"{text} is no size")
    return found


def _write_readme(
    folder: Path, source: Path, new: Table, refused: tuple[Refused, ...], *, format: Format, activation: Activation
) -> None:
    path = folder / "README.md"
    heading = f"## Imported from {source.name}\n"
    before = read_text(path) if path.exists() else f"# {folder.name}"
    before = re.sub(rf"{re.escape(heading)}.*?(?=^## |\Z)", "", before, flags=re.DOTALL | re.MULTILINE).rstrip()
    said = [
        f"{len(new.rows)} rows and {len(new.networks)} networks of a file of {format}: measured elsewhere, not here."
    ]
    if format != "networks":
        said += [
            "Its keys name neither padding nor, at the least of stem and head, activation:",
            f"symmetric padding, {activation}, one thread, batch 1 and fp32 were taken for granted.",
        ]
    if refused:
        said += ["", f"{len(refused)} entries are left out, as no row expresses them:", ""]
        said += [f"- `{entry.key}` (line {entry.line}): {entry.reason}" for entry in refused]
    write_text(path, "\n".join([before, "", heading, *said, ""]))
