"""What a study of scalings holds: networks, the widths and inputs they are brought to, and what is known of each.

scaling.json   what was asked, where latencies come from, and how the networks are trained
points.csv     one line a scaled network, rewritten whole after each that ends
networks.txt   their strings, one a line, as other commands take them
measured/      raw runs, where latencies were measured
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mnas_evo.data.datasets import Split
from mnas_evo.errors import DamagedFile
from mnas_evo.files import Form, Part, read_csv, read_form, write_csv, write_form, write_text
from mnas_evo.space.architecture import Network, round_channels
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_architecture, format_network, parse_network
from mnas_evo.training.recipe import Recipe

SCALING, POINTS, NETWORKS = "scaling.json", "points.csv", "networks.txt"
OWN_RESOLUTION = 224  # at which a study's networks are written down
BESIDE = "mobilenet-v2"
_HEADER = (
    "name", "width", "resolution", "macs", "params", "ms", "low_ms", "high_ms", "top1", "note", "failure", "network"
)  # fmt: skip


class Scale(Part):
    """A network by its name in the study, its width multiplier, and the height and width of its input."""

    name: str
    width: float
    resolution: int


class LatencySource(Part):
    """Where a study's latencies come from: a table's predictor or a device, and the noise of measured ones."""

    kind: Literal["predicted", "measured"]
    of: str
    noise_percent: float | None = None


class TrainingPins(Part):
    """How a study's networks are trained, each once, and a SHA-256 over all that the results depend on."""

    recipe: Recipe
    seed: int
    split: Split
    fingerprint: str


class ScalingForm(Form):
    """scaling.json. Networks by their names, as they are at width 1 and 224 pixels; `target_ms` as last asked."""

    data: str | None
    networks: dict[str, str]
    scales: tuple[Scale, ...]
    versions: dict[str, str]
    latency: LatencySource | None = None
    training: TrainingPins | None = None
    target_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One scaled network. A latency has the ends of its interval: of the prediction 90 %, of the measurement 95 %.

    `equal_widths` are others that round to the same channels. `note` is what makes its latency less sure, `failure` why
    its training came to nothing.
    """

    name: str
    width: float
    resolution: int
    network: str
    macs: int
    params: int
    ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    top1: float | None = None
    note: str = ""
    failure: str = ""
    equal_widths: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in sentences."""
        return f"{self.name} x{self.width:g} at {self.resolution}"


@dataclass(frozen=True)
class Study:
    """A study as its folder holds it; `asked` are the strings of the networks that this request is about."""

    folder: Path
    form: ScalingForm
    points: tuple[Point, ...]
    asked: frozenset[str]

    @property
    def left(self) -> tuple[Point, ...]:
        """Of those asked for, one for each network that has not been trained, from the smallest images on."""
        found = {
            point.network: point
            for point in self.points
            if point.network in self.asked and point.top1 is None and not point.failure
        }
        return tuple(sorted(found.values(), key=lambda point: (point.resolution, point.macs)))


def scaled_to(network: Network, *, width: float, resolution: int) -> Network:
    """A network as wide and with as large an input as asked; at width 1 its channels stay as they are.

    MobileNetV2's head widens with the rest above 1, as its authors' does; no other network's does
    (`Network.scaled`).
    """
    found = network if width == 1.0 else network.scaled(width)
    if width > 1 and format_architecture(network) == format_architecture(named_network(BESIDE)):
        found = replace(found, frame=replace(found.frame, head_channels=round_channels(width * 1280)))
    frame = found.frame
    return found.with_task(height=resolution, width=resolution, channels=frame.channels, classes=frame.classes)


def points_of(form: ScalingForm, known: Mapping[str, Point]) -> tuple[Point, ...]:
    """The points of a study: of widths that round to the same channels the one nearest 1, with what is known of it."""
    grouped: dict[tuple[str, str], list[Scale]] = {}
    for scale in form.scales:
        network = parse_network(form.networks[scale.name])
        string = format_network(scaled_to(network, width=scale.width, resolution=scale.resolution))
        grouped.setdefault((scale.name, string), []).append(scale)
    found = []
    for (name, string), scales in grouped.items():
        first, *others = sorted(scales, key=lambda scale: abs(math.log(scale.width)))
        equal = tuple(sorted(scale.width for scale in others))
        if string in known:
            point = replace(known[string], name=name, width=first.width, resolution=first.resolution)
        else:
            graph = lower(parse_network(string))
            point = Point(name, first.width, first.resolution, string, graph.macs, graph.params)
        found.append(replace(point, equal_widths=equal))
    names = list(form.networks)
    return tuple(sorted(found, key=lambda point: (names.index(point.name), point.resolution, point.width)))


def read_study(folder: Path) -> Study:
    """Reads a study; all of it is asked for.

    Raises:
        DamagedFile, OtherFormat: a file cannot be read.
    """
    form = read_form(folder / SCALING, ScalingForm)
    points = points_of(form, _read_points(folder / POINTS))
    return Study(folder, form, points, frozenset(point.network for point in points))


def write_study(study: Study) -> None:
    """Writes what is known, then what was asked, so that a kill between them loses nothing."""
    write_points(study)
    write_text(study.folder / NETWORKS, "".join(f"{name}\n" for name in _strings(study.points)))
    write_form(study.folder / SCALING, study.form)


def write_points(study: Study) -> None:
    """Writes points.csv."""
    rows = [[_cell(getattr(point, name)) for name in _HEADER] for point in study.points]
    write_csv(study.folder / POINTS, _HEADER, rows)


def _cell(value: float | str | None) -> str:
    return "" if value is None else str(value)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _strings(points: Iterable[Point]) -> list[str]:
    return list(dict.fromkeys(point.network for point in points))


def _read_points(path: Path) -> dict[str, Point]:
    """What points.csv knows of each network, by its string."""
    found: dict[str, Point] = {}
    for line, row in read_csv(path, _HEADER) if path.exists() else ():
        try:
            found[row["network"]] = Point(
                row["name"],
                float(row["width"]),
                int(row["resolution"]),
                row["network"],
                int(row["macs"]),
                int(row["params"]),
                ms=_number(row["ms"]),
                low_ms=_number(row["low_ms"]),
                high_ms=_number(row["high_ms"]),
                top1=_number(row["top1"]),
                note=row["note"],
                failure=row["failure"],
            )
        except ValueError as error:
            raise DamagedFile(f"{path}, line {line}: {error}") from error
    return found
