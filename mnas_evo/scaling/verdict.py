"""What a study of scalings says: its front, whether to narrow a network or to feed it smaller images, a latency met."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mnas_evo.scaling.points import Point, Study
from mnas_evo.search.front import non_dominated

_SPELLED_OUT = 8
_SURE = 1.96  # standard errors that a difference by chance stays within 95 times in 100


def cost(study: Study) -> str:
    """What stands against accuracy: latency_ms, or macs where no latency is known."""
    return "latency_ms" if any(point.ms is not None for point in study.points) else "macs"


def cost_of(study: Study, point: Point) -> float | None:
    """What a point costs."""
    return point.ms if cost(study) == "latency_ms" else float(point.macs)


def front(study: Study) -> list[Point]:
    """The points that nothing cheaper is as accurate as, cheapest first."""
    found = _known(study, study.points)
    values = np.array([[at, -top1] for _, at, top1 in found]).reshape(-1, 2)
    return [found[row][0] for row in sorted(non_dominated(values), key=lambda row: found[row][1])] if found else []


def by_width(study: Study, name: str) -> list[Point]:
    """A network's points at its largest input of several widths, from the narrowest on: figure 5a."""
    own = [point for point in study.points if point.name == name]
    lines = [[point for point in own if point.resolution == size] for size in {point.resolution for point in own}]
    line = max(lines, key=lambda line: (len(line) > 1, line[0].resolution))
    return sorted(line, key=lambda point: point.width)


def by_resolution(study: Study, name: str) -> list[Point]:
    """A network's points at the width nearest 1 of several inputs, from the smallest on: figure 5b."""
    own = [point for point in study.points if point.name == name]
    lines = [[point for point in own if point.width == width] for width in {point.width for point in own}]
    line = max(lines, key=lambda line: (len(line) > 1, -abs(math.log(line[0].width))))
    return sorted(line, key=lambda point: point.resolution)


def noise_points(study: Study) -> float | None:
    """By how many points of top-1 two networks may differ for the sake of the few images alone; None untrained."""
    top1 = [point.top1 / 100 for point in study.points if point.top1 is not None]
    if not top1 or study.form.training is None:
        return None
    share = float(np.mean(top1))
    return 100 * _SURE * math.sqrt(2 * share * (1 - share) / study.form.training.split.validation)


def words(study: Study) -> list[str]:
    """What the study says, in sentences."""
    return [*_target(study), *_front_words(study), *_which_way(study), *_doubts(study)]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more accurate a network is with smaller images than narrowed, at equal cost: points of top-1, mean."""

    points: float
    compared: int


def smaller_over_narrower(study: Study, name: str) -> Difference | None:
    """Smaller inputs at the width nearest 1 against narrower layers at the largest input, where both reach.

    Between widths top-1 is taken to run straight over the logarithm of the cost. None where nothing can be compared.
    """
    narrower = sorted((at, top1) for _, at, top1 in _known(study, by_width(study, name)))
    largest = max(point.resolution for point in by_width(study, name))
    smaller = _known(study, [one for one in by_resolution(study, name) if one.resolution < largest])
    if len(narrower) < 2:
        return None
    costs, top1 = np.log([at for at, _ in narrower]), [accuracy for _, accuracy in narrower]
    gaps = [
        accuracy - float(np.interp(math.log(at), costs, top1))
        for _, at, accuracy in smaller
        if narrower[0][0] <= at <= narrower[-1][0]
    ]
    return Difference(float(np.mean(gaps)), len(gaps)) if gaps else None


def _known(study: Study, points: Sequence[Point]) -> list[tuple[Point, float, float]]:
    """Points with cost and top-1, of those that have both."""
    costs = ((point, cost_of(study, point)) for point in points)
    return [(point, at, point.top1) for point, at in costs if at is not None and point.top1 is not None]


def quantity(study: Study, value: float) -> str:
    """A cost with its unit."""
    return f"{value:.4g} ms" if cost(study) == "latency_ms" else f"{value / 1e6:.4g} M multiply-adds"


def _front_words(study: Study) -> Iterator[str]:
    best = front(study)
    if not best:
        return
    less = "faster" if cost(study) == "latency_ms" else "with fewer multiply-adds"
    if len(best) <= _SPELLED_OUT:
        said = "; ".join(f"{one.label} ({quantity(study, at)}, {top1:.2f} %)" for one, at, top1 in _known(study, best))
    else:
        names = [point.name for point in best]
        said = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
    yield f"On the front, for nothing {less} is as accurate: {said}."


def _which_way(study: Study) -> Iterator[str]:
    noise = noise_points(study)
    what = "latency" if cost(study) == "latency_ms" else "number of multiply-adds"
    for name in dict.fromkeys(point.name for point in study.points):
        found = smaller_over_narrower(study, name)
        if found is None:
            continue
        sizes = f"{found.compared} input size{'s' if found.compared > 1 else ''}"
        apart = f"{abs(found.points):.2f} points of top-1 at the same {what}, by {sizes}"
        if noise is not None and abs(found.points) < noise / math.sqrt(found.compared):
            yield f"Smaller images and narrower layers are alike for {name}, as far as can be told: {apart}."
        else:
            better, worse = ("smaller images", "narrower layers")[:: 1 if found.points > 0 else -1]
            yield f"To save, give {name} {better} rather than {worse}: that is worth {apart}."


def _target(study: Study) -> Iterator[str]:
    target_ms = study.form.target_ms
    if target_ms is None:
        return
    timed = [point for point in study.points if point.ms is not None]
    if not timed:
        yield f"Which runs within {target_ms:g} ms is not known: give --table or --on."
        return
    within = [point for point in timed if _fits(point, target_ms)]
    if not within:
        fastest = min(timed, key=lambda point: point.ms or 0.0)
        yield f"Nothing runs within {target_ms:g} ms; the fastest is {fastest.label}, {fastest.ms:.4g} ms."
        return
    best = _best(within)
    if best.top1 is None:
        yield f"{len(within)} of {len(timed)} run within {target_ms:g} ms; none of them was trained."
    else:
        yield f"Within {target_ms:g} ms the most accurate is {_told(best)}.{_beyond(best, target_ms)}"
    for name in dict.fromkeys(point.name for point in study.points):
        yield from _ways(study, name, target_ms)


def _ways(study: Study, name: str, target_ms: float) -> Iterator[str]:
    """How a network that is too slow at its own width and largest input gets within the target by either way."""
    lines = {"narrowed alone": by_width(study, name), "by smaller images alone": by_resolution(study, name)}
    whole = next((one for one in lines["narrowed alone"] if one in lines["by smaller images alone"]), None)
    if whole is None or whole.ms is None or whole.ms <= target_ms:
        return
    fits = {way: [point for point in line if _fits(point, target_ms)] for way, line in lines.items()}
    said = "; ".join(f"{way} it gets there as {_told(_best(found))}" for way, found in fits.items() if found)
    over = 100 * (whole.ms / target_ms - 1)
    yield f"{whole.label} takes {whole.ms:.4g} ms, {over:.0f} % too long; {said or 'neither way alone gets it there'}."


def _fits(point: Point, target_ms: float) -> bool:
    return point.ms is not None and point.ms <= target_ms


def _best(points: Sequence[Point]) -> Point:
    """The most accurate of some points; where none was trained, the one with most multiply-adds."""
    trained = [point for point in points if point.top1 is not None]
    return max(trained or points, key=lambda point: (point.top1 or 0.0, -(point.ms or 0.0) if trained else point.macs))


def _told(point: Point) -> str:
    return f"{point.label} ({point.ms:.4g} ms{'' if point.top1 is None else f', {point.top1:.2f} %'})"


def _beyond(point: Point, target_ms: float) -> str:
    if point.high_ms is None or point.high_ms <= target_ms:
        return ""
    return f" Its interval reaches {point.high_ms:.4g} ms."


def _doubts(study: Study) -> Iterator[str]:
    """What should be known before any of it is believed."""
    noise, pins, latency = noise_points(study), study.form.training, study.form.latency
    if noise is not None and pins is not None:
        yield (
            f"Each network was trained once and judged on {pins.split.validation:,} images: differences of less than "
            f"{noise:.1f} points may be chance."
        )
    unsure = [point for point in study.points if point.note and point.ms is not None]
    if latency is not None and latency.kind == "predicted" and unsure:
        yield (
            f"{len(unsure)} of {len(study.points)} predictions are less sure than {latency.of} says of itself, such as "
            f"{unsure[0].label}: {unsure[0].note}. --on TARGET measures them."
        )
    if latency is not None and (without := [point for point in study.points if point.ms is None]):
        why = without[0].note or "it came later; give --table or --on again"
        yield f"{len(without)} of {len(study.points)} have no latency, such as {without[0].label}: {why}."
    if pins is not None and (left := sum(not point.failure and point.top1 is None for point in study.points)):
        yield f"{left} of {len(study.points)} have not been trained."
    if failed := [point for point in study.points if point.failure]:
        count = f"{len(failed)} training{'s' if len(failed) > 1 else ''}"
        yield (
            f"{count} came to nothing, such as that of {failed[0].label}: {failed[0].failure}. To try again, empty its "
            "column failure in points.csv."
        )
    if equal := [point for point in study.points if point.equal_widths]:
        widths = ", ".join(f"x{width:g}" for width in equal[0].equal_widths)
        yield f"Widths that round to the same channels are one network: {equal[0].label} is also {widths}."
