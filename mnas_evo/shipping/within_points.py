"""Int8 that loses little: where it loses more than it may, the parts that hurt most stay in float."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAY_LOSE_POINTS = 0.5
"""Of top-1 on validation images: half of what is asked on test images, for either is only a sample."""

BASE = ("stem",)
"""What stays in float always: three networks took 5 to 9 % less time so, and diverged less.

The stem has one or three input channels, too few for int8 kernels, and its input would have to be converted first.
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """Int8 with some groups in float: points of top-1 lost on validation images, and how far its shares are off.

    `divergence` is Kullback and Leibler's, of fp32's class shares from int8's, mean over images, nats: it sees what
    top-1 on few images does not.
    """

    in_float: tuple[str, ...]
    lost_points: float
    divergence: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The int8 file, its trial, and all trials in the order they were made; the first has only the base in float."""

    content: bytes
    trial: Trial
    trials: tuple[Trial, ...]


def quantise_within(
    quantise: Callable[[tuple[str, ...]], bytes],
    judge: Callable[[bytes], tuple[float, float]],
    groups: Sequence[str],
    *,
    may_lose_points: float = MAY_LOSE_POINTS,
    tried: Callable[[Trial, int], None] = lambda trial, number: None,
) -> Chosen:
    """Int8 with as few groups in float as keep the loss within bounds, or else what loses least.

    Each group alone says how much it hurts; then the worst stays in float, then the two worst, and so on.
    `quantise` makes the file with some groups in float, `judge` gives its points lost and divergence.
    """
    trials: list[Trial] = []
    contents: dict[tuple[str, ...], bytes] = {}

    def attempt(*more: str) -> Trial:
        in_float = (*BASE, *more)
        contents[in_float] = quantise(in_float)
        trial = Trial(in_float, *judge(contents[in_float]))
        trials.append(trial)
        tried(trial, len(trials))
        return trial

    def chosen(trial: Trial) -> Chosen:
        return Chosen(contents[trial.in_float], trial, tuple(trials))

    if (base := attempt()).lost_points <= may_lose_points:
        return chosen(base)
    alone = {group: attempt(group) for group in groups if group not in BASE}
    by_harm = sorted(alone, key=lambda group: alone[group].divergence)
    for count in range(1, len(by_harm) + 1):
        trial = alone[by_harm[0]] if count == 1 else attempt(*by_harm[:count])
        if trial.lost_points <= may_lose_points:
            return chosen(trial)
    return chosen(min(trials, key=lambda trial: (trial.lost_points, trial.divergence)))
