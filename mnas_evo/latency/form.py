"""predictor.json: a fitted predictor as it is stored, and what it says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from mnas_evo.errors import RequestError
from mnas_evo.files import FORMAT, Form, Part, parse_json, read_form, read_text
from mnas_evo.latency.additive import Additive
from mnas_evo.latency.correction import FEWEST_NETWORKS, Earned
from mnas_evo.latency.features import VERSION
from mnas_evo.latency.intervals import Reach
from mnas_evo.latency.judging import METHODS, Method
from mnas_evo.latency.model import Fold
from mnas_evo.latency.scoring import Graded, Quality
from mnas_evo.latency.table import Table, measurements_fingerprint

PREDICTOR = "predictor.json"
RowsKind = Literal["own", "borrowed", "none"]


class CurvePoint(Part):
    """Out-of-fold quality of the chosen method, had only so many networks been measured."""

    networks: int
    quality: Quality


class PredictorForm(Form):
    """predictor.json. `rows` says what stands in the sums: the table's own rows, borrowed ones, or none, and why."""

    feature_version: int
    seed: int
    versions: dict[str, str]
    measurements: str
    networks: int
    rows: RowsKind
    sources: tuple[str, ...]
    rows_note: str | None
    families: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: tuple[str, ...]
    layers: tuple[str, ...]
    variances: tuple[float, ...]
    additive: Additive
    folds: tuple[Fold, ...]
    reach: Reach
    correction: Earned
    methods: dict[Method, Graded]
    chosen: Method
    curve: tuple[CurvePoint, ...]
    noise_percent: float | None
    coverage_percent: float
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]

    @property
    def correction_words(self) -> str:
        """Whether there is a correction, and what showed it: a sentence."""
        if self.networks < FEWEST_NETWORKS:
            return f"A LightGBM correction is not tried on fewer than {FEWEST_NETWORKS} networks."
        found = self.correction
        effect = (
            f"take {found.gain_percent:.2f} points off"
            if found.gain_percent >= 0
            else (f"add {-found.gain_percent:.2f} points to")
        )
        noise = f"(standard error {found.noise_percent:.2f})"
        if found.share == 0:
            return f"The LightGBM correction is not used: it would {effect} the error {noise}."
        return f"{100 * found.share:.0f} % of the LightGBM correction is used, to {effect} the error {noise}."

    @model_validator(mode="after")
    def _whole(self) -> "PredictorForm":
        if set(self.methods) != set(METHODS):
            raise ValueError(f"methods are {', '.join(METHODS)}")
        if len(self.predicted_ms) != len(self.measured_ms):
            raise ValueError("a network that was judged on has a predicted and a measured time")
        models = (self.additive, *(fold.model for fold in self.folds))
        if any(len(model.own) != len(self.layers) for model in models) or not self.folds:
            raise ValueError("a model does not fit the layers")
        width = len(self.reach.columns) + 1
        if len(self.reach.covariance) != width or any(len(row) != width for row in self.reach.covariance):
            raise ValueError("the reach's covariance does not fit its columns")
        if any(not 0 <= column < len(self.additive.weights) for column in self.reach.columns):
            raise ValueError("the reach has a column that no model has")
        return self


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A network as a model that never saw it priced it; which one is not known of a table measured anew since."""

    predicted_ms: float
    measured_ms: float
    network: str | None

    @property
    def off_percent(self) -> float:
        """By how much the prediction differs, percent of the measurement."""
        return 100 * (self.predicted_ms / self.measured_ms - 1)


def held_out(table: Table, form: PredictorForm) -> tuple[HeldOut, ...]:
    """The networks that a predictor was judged on."""
    networks: list[str | None] = [None] * len(form.measured_ms)
    if form.measurements == measurements_fingerprint(table.folder):
        networks = [entry.network for entry in table.networks if entry.role == "sampled"]
    return tuple(map(HeldOut, form.predicted_ms, form.measured_ms, networks))


def refit(folder: Path, sources: Sequence[str] = ()) -> str:
    """The mend where a predictor does not fit its table, with the tables that it borrowed from."""
    return f"run: mnas-evo fit --table {folder}" + "".join(f" --from {source}" for source in sources)


def read_predictor_form(folder: Path) -> PredictorForm:
    """Reads a table's predictor.json.

    Raises:
        RequestError: another version of mnas-evo wrote it, whose features were others.
        DamagedFile, OtherFormat: it cannot be read.
    """
    path = folder / PREDICTOR
    raw = parse_json(read_text(path), source=path)
    if isinstance(raw, dict) and raw.get("format") == FORMAT and raw.get("feature_version") != VERSION:
        raise RequestError(f"the predictor of {folder} was fitted by another version of mnas-evo; {refit(folder)}")
    return read_form(path, PredictorForm)
