"""A latency table: a folder of text files, and the only place that knows their layout.

device.json     what was measured on, how and how well         ops.csv       rows: key, ms, spread, visits
networks.csv    whole networks: string, role, ms, spread, visits
predictor.json, correction.txt   what was fitted (form.py)           raw/   raw runs, kept out of the wheel
borrowed.csv    layers of other tables, where a fit borrowed them (rows.py)
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mnas_evo.bundled import bundled_folder, is_bundled
from mnas_evo.errors import DamagedFile, NotationError, RequestError, UnmeasuredOp
from mnas_evo.files import Form, Part, fingerprint, read_csv, read_form, read_text, write_csv, write_form
from mnas_evo.latency.plausible import refuse_other_units, size
from mnas_evo.latency.runs import DeviceFacts
from mnas_evo.space.graph import Layer, LayerSpec, parse_key
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

Role = Literal["sampled", "landmark", "asked", "front"]

_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}

OPS_HEADER = ("key", "ms", "spread_percent", "visits")
NETWORKS_HEADER = ("network", "role", "ms", "spread_percent", "visits")

_ROW_KEY = re.compile(r"(.+)_b([1-9]\d{0,6})_([a-z0-9]+)", re.ASCII)
MOST_OVER_ROWS = 30.0  # networks measured so far take .4 to 1 times the sum of their rows


@dataclass(frozen=True, slots=True)
class Measured:
    """A time with the spread of its visits (scaled median absolute deviation) and their number."""

    ms: float
    spread_percent: float
    visits: int


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """A whole network: full canonical string, and why it was measured (`sampled` ones are what a fit is judged on).

    `front` ones came back from a search that chose them by the table's own predictions: no fair judges of a fit.
    """

    network: str
    role: Role
    time: Measured


class CampaignFacts(Part):
    """How one campaign went. Noise is the mean error of a time, as random halves of the passes tell it.

    `unstable` are the items whose interval stayed wide; `inside_seconds` were spent inside the runtime's call.
    """

    id: str
    date: str
    target: str
    space: str | None
    space_fingerprint: str | None
    passes: int
    device_seconds: float
    noise_rows_percent: float | None
    noise_networks_percent: float | None
    exposure_rows: float
    exposure_networks: float
    reference: str
    reference_ms: float
    seed: int
    versions: dict[str, str]
    refused: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    inside_seconds: float | None = None


class DeviceForm(Form):
    """device.json."""

    device: DeviceFacts
    campaigns: tuple[CampaignFacts, ...]


@dataclass(frozen=True)
class Table:
    """Rows and networks measured on one device; the rows' keys carry batch and precision."""

    folder: Path
    device: DeviceFacts
    campaigns: tuple[CampaignFacts, ...]
    rows: Mapping[str, Measured]
    networks: tuple[MeasuredNetwork, ...]

    @property
    def name(self) -> str:
        """What the table is called: its folder's name."""
        return self.folder.name

    def row_key(self, layer: Layer) -> str:
        """Key of a layer's row in this table."""
        return row_key(layer, device=self.device)

    def row_ms(self, layer: Layer) -> float:
        """A layer's row, ms.

        Raises:
            UnmeasuredOp: the table has none.
        """
        key = self.row_key(layer)
        row = self.rows.get(key)
        if row is None:
            raise UnmeasuredOp(
                f"{self.name} has no row for {key}{self._why_missing(key)}. Measure it: mnas-evo profile TARGET "
                f"--table {self.folder} --missing, with the --space or --arch that holds it"
            )
        return row.ms

    def _why_missing(self, key: str) -> str:
        refused = any(key in campaign.refused for campaign in self.campaigns)
        return " (the device refused it when it was asked)" if refused else ""

    def missing(self, layers: Iterable[Layer]) -> list[str]:
        """Keys of the layers that have no row."""
        return sorted({key for layer in layers if (key := self.row_key(layer)) not in self.rows})

    @property
    def noise_percent(self) -> float | None:
        """Noise of the times of whole networks, the newest campaign's; None where it is not known."""
        known = [c.noise_networks_percent for c in self.campaigns if c.noise_networks_percent is not None]
        return known[-1] if known else None


def row_key(layer: Layer, *, device: DeviceFacts) -> str:
    """Key of a layer's row: the layer's own with batch and precision."""
    return f"{layer.spec.key}_b{device.batch}_{device.precision}"


def parse_row_key(key: str) -> tuple[LayerSpec, int, str]:
    """Layer, batch and precision of a row's key.

    Raises:
        NotationError: it is none.
    """
    match = _ROW_KEY.fullmatch(key)
    if match is None:
        raise NotationError(f"{key!r} is no row's key: a layer's, then batch and precision, as in ..._relu_b1_fp32")
    return parse_key(match[1]), int(match[2]), match[3]


def find_table(name_or_path: str | Path) -> Path:
    """Folder of a table: a path, or the name of one in ./latency_tables or shipped with mnas-evo.

    Raises:
        RequestError: there is none; those that are there are named.
    """
    path = Path(name_or_path)
    for folder in (path, Path("latency_tables") / path, bundled_folder("latency_tables") / path):
        if (folder / "device.json").is_file():
            return folder
    known = ", ".join(folder.name for folder in shipped_tables()) or "none"
    raise RequestError(
        f"no table at {str(name_or_path)!r}; shipped: {known}. "
        f"Build one: mnas-evo profile local --space paper --table {name_or_path}"
    )


def shipped_tables() -> list[Path]:
    """Folders of the tables that came with mnas-evo."""
    return sorted(path.parent for path in bundled_folder("latency_tables").glob("*/device.json"))


def refuse_stock(folder: Path) -> None:
    """Keeps commands from writing into the installed stock.

    Raises:
        RequestError: the folder belongs to it.
    """
    if is_bundled(folder):
        raise RequestError(f"{folder} came with mnas-evo and is read-only; give a folder of your own with --table DIR")


def read_table(folder: Path) -> Table:
    """Reads a table.

    Raises:
        DamagedFile: a file is missing or a line holds no sane measurement; the line is named.
        OtherFormat: device.json has another format number.
    """
    form = read_form(folder / "device.json", DeviceForm)
    at: dict[str, str] = {}
    rows: dict[str, Measured] = {}
    for line, row in read_csv(folder / "ops.csv", OPS_HEADER):
        where = at[row["key"]] = f"{folder / 'ops.csv'}, line {line}"
        if row["key"] in rows:
            raise DamagedFile(f"{where}: {row['key']} stands there twice")
        rows[row["key"]] = parse_measured(row["ms"], row["spread_percent"], row["visits"], where=where)
    networks: dict[str, MeasuredNetwork] = {}
    for line, row in read_csv(folder / "networks.csv", NETWORKS_HEADER):
        where = at[row["network"]] = f"{folder / 'networks.csv'}, line {line}"
        if row["network"] in networks:
            raise DamagedFile(f"{where}: {row['network']} stands there twice")
        role = _ROLES.get(row["role"])
        if role is None:
            raise DamagedFile(f"{where}: role {row['role']!r} is none of {', '.join(_ROLES)}")
        try:
            parse_network(row["network"])
        except NotationError as error:
            raise DamagedFile(f"{where}: {error}") from error
        time = parse_measured(row["ms"], row["spread_percent"], row["visits"], where=where)
        networks[row["network"]] = MeasuredNetwork(row["network"], role, time)
    table = Table(folder, form.device, form.campaigns, rows, tuple(networks.values()))
    refuse_odd_times(table, at=at)
    return table


def refuse_odd_times(table: Table, *, at: Mapping[str, str]) -> None:
    """Refuses times that are hardly in ms, for their size or as networks beside their rows.

    `at` says where a row or a network stands. Rows whose keys are of no layer known here are left out.

    Raises:
        DamagedFile: there is such a time.
    """
    refuse_other_units(
        [(at.get(key, key), size([layer]), row.ms) for key, row in table.rows.items() if (layer := _layer(key))]
    )
    graphs = [(entry, lower(parse_network(entry.network))) for entry in table.networks]
    refuse_other_units(
        [(at.get(entry.network, entry.network), size(graph.layers), entry.time.ms) for entry, graph in graphs]
    )
    ratios = [
        entry.time.ms / sum(table.row_ms(layer) for layer in graph.layers)
        for entry, graph in graphs
        if not table.missing(graph.layers)
    ]
    if ratios and not 1 / MOST_OVER_ROWS <= np.median(ratios) <= MOST_OVER_ROWS:
        raise DamagedFile(
            f"{table.folder / 'networks.csv'} does not go with {table.folder / 'ops.csv'}: networks take "
            f"{np.median(ratios):.3g} times the sum of their rows; are both in milliseconds?"
        )


def _layer(key: str) -> Layer | None:
    try:
        return lower_layer(parse_row_key(key)[0])
    except NotationError:
        return None


def write_table(folder: Path, table: Table) -> None:
    """Writes a table's measurements; what was fitted on older ones stays until it is fitted anew."""
    refuse_stock(folder)
    rows = [(key, *_columns(row)) for key, row in sorted(table.rows.items())]
    write_csv(folder / "ops.csv", OPS_HEADER, rows)
    networks = [(entry.network, entry.role, *_columns(entry.time)) for entry in table.networks]
    write_csv(folder / "networks.csv", NETWORKS_HEADER, networks)
    write_form(folder / "device.json", DeviceForm(device=table.device, campaigns=table.campaigns))


def merge(old: Table | None, new: Table) -> Table:
    """Measurements of a newer campaign added to a table's; the newer replace what both have.

    Raises:
        RequestError: they were made on different devices or in different ways.
    """
    if old is None:
        return new
    if differences := old.device.differences(new.device):
        raise RequestError(
            f"table {old.name} was measured with other facts ({'; '.join(differences)}); give another --table"
        )
    networks = {entry.network: entry for entry in old.networks}
    for entry in new.networks:
        # Measured again by name, a sampled network is still one that a fit is judged on.
        known = networks.get(entry.network)
        networks[entry.network] = replace(entry, role=known.role) if known else entry
    campaigns = {campaign.id: campaign for campaign in (*old.campaigns, *new.campaigns)}
    rows = {**old.rows, **new.rows}
    return Table(new.folder, new.device, tuple(campaigns.values()), rows, tuple(networks.values()))


def measurements_fingerprint(folder: Path) -> str:
    """SHA-256 of a table's rows and networks, which a fit was made from."""
    return fingerprint(*(read_text(folder / name) for name in ("ops.csv", "networks.csv")))


def table_fingerprint(folder: Path, *, fitted: Sequence[str]) -> str:
    """SHA-256 of all that a prediction depends on: measurements and the named files of the fit."""
    return fingerprint(measurements_fingerprint(folder), *(read_text(folder / name) for name in fitted))


def _columns(time: Measured) -> tuple[str, str, int]:
    return (f"{time.ms:.6g}", f"{time.spread_percent:.3g}", time.visits)


def parse_measured(ms: str, spread_percent: str, visits: str, *, where: str) -> Measured:
    """A measurement from text; `where` is named in errors.

    Raises:
        DamagedFile: it is none.
    """
    try:
        time = Measured(float(ms), float(spread_percent), int(visits))
    except ValueError as error:
        raise DamagedFile(f"{where}: {error}") from error
    if not (math.isfinite(time.ms) and time.ms > 0):
        raise DamagedFile(f"{where}: ms is {ms}, which no run takes")
    if not (math.isfinite(time.spread_percent) and time.spread_percent >= 0) or time.visits < 1:
        raise DamagedFile(f"{where}: spread {spread_percent}, visits {visits} are no measurement")
    return time
