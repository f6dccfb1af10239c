"""The files of a comparison: compare.json, what it comes to, and drawing.json, from which its page is drawn."""

from typing import Any

from mnas_evo.comparing.statistics import Figure, PairTest
from mnas_evo.files import Form, Part

COMPARISON, DRAWING = "compare.json", "drawing.json"

Point = tuple[float, float]
"""x and y."""


class Reference(Part):
    """A reference point, and the hypervolume within it of the front that all are measured against."""

    point: dict[str, float]
    hypervolume: float


class AlgorithmFigures(Part):
    """One algorithm: hypervolumes against both reference points, plain and in percent of the front's; IGD+; best top-1
    within limits on the cost; evaluations and draws; how its runs ended; what it last said of itself."""

    algorithm: str
    settings: dict[str, Any]
    hypervolume: Figure
    hypervolume_percent: Figure
    box_hypervolume: Figure
    box_hypervolume_percent: Figure
    igd_plus: Figure
    best_top1_at: dict[str, Figure]
    evaluations: Figure
    draws: Figure
    failed: int
    ended: dict[str, int]
    facts: dict[str, Figure]


class RewardFigures(Part):
    """Best reward found, by one reward setting, of every algorithm's networks; several targets are averaged.

    `of`: the algorithms that it was the reward of.
    """

    reward: str
    targets: tuple[float, ...]
    of: tuple[str, ...]
    best: dict[str, Figure]
    tests: tuple[PairTest, ...]


class RunEntry(Part):
    """One run."""

    algorithm: str
    seed: int
    folder: str
    ended: str
    evaluations: int
    draws: int
    message: str


class Comparison(Form):
    """compare.json.

    `against`: what percentages and IGD+ are of, the true front or the front of all runs together; `cost`: the objective
    that limits are on, None where top-1 is no objective.
    """

    space: str
    tables: tuple[str, ...]
    accuracy: str
    judge: str | None
    objectives: tuple[str, ...]
    limits: dict[str, float]
    evaluations: int
    seeds: int
    against: str
    whole: Reference
    box: Reference
    cost: str | None
    algorithms: dict[str, AlgorithmFigures]
    tests: tuple[PairTest, ...]
    rewards: tuple[RewardFigures, ...]
    runs: tuple[RunEntry, ...]
    pins: dict[str, str]
    versions: dict[str, str]
    answer: str = ""


class Band(Part):
    """A curve over seeds: mean, and the band around it."""

    at: tuple[float, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class Samples(Part):
    """What one run of a controller drew, in order: cost and top-1; and the targets of its reward."""

    algorithm: str
    seed: int
    reward: str
    targets: tuple[float, ...]
    cost: tuple[float, ...]
    top1: tuple[float, ...]


class Drawing(Form):
    """drawing.json. Quantities are as they are read, top-1 in percent; `fronts` are (x, y) by algorithm."""

    band: str
    x: str
    y: str
    hypervolume_percent: dict[str, Band]
    box_hypervolume_percent: dict[str, Band]
    front: tuple[Point, ...]
    fronts: dict[str, tuple[Point, ...]]
    attained: dict[str, tuple[Point, ...]]
    entropy: dict[str, Band]
    samples: tuple[Samples, ...]
