"""Networks that others measured: a CSV of architectures and their times."""

import re
from pathlib import Path

from mnas_evo.errors import DamagedFile, NotationError
from mnas_evo.files import csv_columns, read_csv
from mnas_evo.latency.plausible import refuse_other_units, size
from mnas_evo.latency.table import MeasuredNetwork, parse_measured
from mnas_evo.space.architecture import Frame
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import read_networks_line
from mnas_evo.space.notation import format_network

NETWORK_COLUMNS = ("network", "architecture")

_TO_MS = {
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds"), "divide them by 1,000,000"),
    **dict.fromkeys(("us", "µs", "usec", "microsecond", "microseconds"), "divide them by 1,000"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "multiply them by 1,000"),
}


def read_measured_csv(path: Path, *, task: Frame) -> tuple[MeasuredNetwork, ...]:
    """Reads columns `network` (or `architecture`), `ms` and, where they are there, `spread_percent` and `visits`.

    What a string leaves unsaid, input and classes, is taken from `task`. Other columns are left alone.

    Raises:
        DamagedFile: a column is missing or in another unit, or a line holds no sane measurement; it is named.
    """
    columns = csv_columns(path)
    if "ms" not in columns:
        _refuse_other_columns(path, columns)
    name = next((name for name in NETWORK_COLUMNS if name in columns), NETWORK_COLUMNS[0])
    found: dict[str, MeasuredNetwork] = {}
    times = []
    for line, row in read_csv(path, (name, "ms")):
        where = f"{path}, line {line}"
        try:
            (network,) = read_networks_line(row[name].strip(), task=task, source=where)
        except NotationError as error:
            raise DamagedFile(str(error)) from error
        string = format_network(network)
        if string in found:
            raise DamagedFile(f"{where}: {string} stands there twice")
        time = parse_measured(row["ms"], row.get("spread_percent") or "0", row.get("visits") or "1", where=where)
        found[string] = MeasuredNetwork(string, "sampled", time)
        times.append((where, size(lower(network).layers), time.ms))
    if not found:
        raise DamagedFile(f"{path} lists no network")
    refuse_other_units(times)
    return tuple(found.values())


def _refuse_other_columns(path: Path, columns: tuple[str, ...]) -> None:
    for column in columns:
        for word in re.split(r"[\W_]+", column.lower()):
            if word in _TO_MS:
                raise DamagedFile(f"{path}: times stand in column {column!r}; {_TO_MS[word]} and call the column ms")
