"""A comparison in one paragraph of plain words: who covers most, whether that is certain, and what to beware of."""

from collections.abc import Iterator, Mapping, Sequence

from mnas_evo.accuracy.contract import is_speed
from mnas_evo.comparing.forms import AlgorithmFigures, Comparison, RewardFigures
from mnas_evo.comparing.statistics import Figure, PairTest, seeds_needed

_UNITS = {"top1": " %", "params": " parameters", "macs": " MACs"}
_SCALARISED = ("rl", "evolution")
_MANY_DRAWS = 1.05  # draws a distinct network from which they are spoken of
_FEW_SEEDS = 10


def answer(comparison: Comparison) -> str:
    """The paragraph."""
    parts = (_cover(comparison), _certain(comparison), _box(comparison), _at(comparison), _by_reward(comparison))
    return " ".join([*(sentence for part in parts for sentence in part), *_draws(comparison), *_caveats(comparison)])


def quantity(name: str, value: float) -> str:
    """A value with its unit, in plain text."""
    number = f"{value:.4g}" if value < 1e4 else f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:.4g} M"
    return f"{number}{_UNITS.get(name, ' ms')}"


def reward_words(found: RewardFigures, cost: str | None) -> str:
    """A reward setting: soft at 20 ms."""
    return f"{found.reward} at {' + '.join(quantity(cost or '', target) for target in found.targets)}"


def corner(point: Mapping[str, float]) -> str:
    """A reference point: top-1 85 %, latency 10 ms."""
    names = {"top1": "top-1 ", "params": "", "macs": "", "latency_ms": "latency "}
    said = ((names.get(name, f"latency on {name.partition(':')[2]} "), name, value) for name, value in point.items())
    return ", ".join(f"{words}{quantity(name, value)}" for words, name, value in said)


def _ranked(figures: Mapping[str, Figure]) -> list[tuple[str, float]]:
    """Names with their means, the highest first, without those that have none."""
    known = [(name, one.mean) for name, one in figures.items() if one.mean is not None]
    return sorted(known, key=lambda each: -each[1])


def _listed(ranked: Sequence[tuple[str, float]], unit: str = "", digits: int = 2) -> str:
    said = [f"{name} {value:.{digits}f}{unit}" for name, value in ranked]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _cover(comparison: Comparison) -> Iterator[str]:
    plural = "s" if comparison.seeds > 1 else ""
    budget = f"With {comparison.evaluations:,} distinct networks a run and {comparison.seeds} seed{plural}"
    ranked = _ranked({name: one.hypervolume_percent for name, one in comparison.algorithms.items()})
    if not ranked:
        yield f"{budget} the front covers nothing within the reference point, so that nothing can be compared."
        return
    (first, most), rest = ranked[0], ranked[1:]
    sd = comparison.algorithms[first].hypervolume_percent.sd
    spread = f" (standard deviation {sd:.2f})" if sd is not None else ""
    what = f"{most:.2f} %{spread} of the hypervolume of {comparison.against}"
    if not rest:
        yield f"{budget} {first} covers {what}."
    elif rest[0][1] == most:
        yield f"{budget} {first} and {rest[0][0]} cover the same, {what}{_then(rest[1:])}."
    else:
        yield f"{budget} {first} covers most, {what}{_then(rest)}."


def _then(rest: Sequence[tuple[str, float]]) -> str:
    return f"; then {_listed(rest, ' %')}" if rest else ""


def _certain(comparison: Comparison) -> Iterator[str]:
    pairs = len(comparison.tests)
    if not pairs:
        return
    if comparison.seeds < 2:
        yield "One seed allows no test: none of these differences is known to be more than chance."
        return
    needed = seeds_needed(pairs)
    over = f" after Holm's correction over {pairs} pairs" if pairs > 1 else ""
    if needed is None or comparison.seeds < needed:
        enough = f"it takes {needed}" if needed else "no number of seeds up to 100 is"
        yield f"{comparison.seeds} seeds are too few for any difference to be significant{over}: {enough}."
        return
    ranked = [name for name, _ in _ranked({name: one.hypervolume for name, one in comparison.algorithms.items()})]
    behind = {_other(test, ranked[0]): test for test in comparison.tests if ranked[0] in (test.a, test.b)}
    sure = {name: test for name, test in behind.items() if test.significant}
    beaten = [f"{name} (p = {_p(test)})" for name, test in sure.items() if _is_ahead(test, ranked[0])]
    ahead = [f"{name} (p = {_p(test)})" for name, test in sure.items() if not _is_ahead(test, ranked[0])]
    level = [f"{name} (p = {_p(test)})" for name, test in behind.items() if not test.significant]
    if beaten:
        yield f"{ranked[0]} is significantly ahead of {', '.join(beaten)}, by Mann-Whitney's test{over}."
    if ahead:
        yield f"{ranked[0]} has the higher mean, but by rank {', '.join(ahead)} is significantly ahead of it."
    if level:
        yield (
            f"Its lead over {', '.join(level)} is not significant."
            if beaten
            else (f"The lead of {ranked[0]} over {', '.join(level)} is not significant.")
        )


def _is_ahead(test: PairTest, name: str) -> bool:
    """Whether more pairs of seeds favour an algorithm than the other of the test."""
    return test.effect is not None and (test.effect > 0.5) == (test.a == name)


def _other(test: PairTest, name: str) -> str:
    return test.b if test.a == name else test.a


def _p(test: PairTest) -> str:
    return "none" if test.p is None else f"{test.p:.2g}"


def _box(comparison: Comparison) -> Iterator[str]:
    ranked = _ranked({name: one.box_hypervolume_percent for name, one in comparison.algorithms.items()})
    where = f"Within the box of {corner(comparison.box.point)}"
    if not ranked:
        yield f"{where} there is nothing of the front."
    elif len(comparison.algorithms) > 1:
        yield f"{where} the shares are {_listed(ranked, ' %')}."


def _at(comparison: Comparison) -> Iterator[str]:
    """Best top-1 within each limit, and where a scalarised search is best there."""
    if comparison.cost is None:
        return
    said, won = [], []
    device = f" on {comparison.cost.partition(':')[2]}" if ":" in comparison.cost else ""
    for at in next(iter(comparison.algorithms.values())).best_top1_at:
        ranked = _ranked({name: one.best_top1_at[at] for name, one in comparison.algorithms.items()})
        limit = quantity(comparison.cost, float(at)) + device
        if not ranked:
            said.append(f"nothing at {limit}")
            continue
        first, top1 = ranked[0]
        seeds = comparison.algorithms[first].best_top1_at[at].per_seed
        missed = sum(one is None for one in seeds)
        some = f" (in {len(seeds) - missed} of {len(seeds)} runs)" if missed else ""
        said.append(f"{first} {top1:.2f} %{some} at {limit}")
        front_search = next((each for each in ranked if not _scalarises(comparison.algorithms[each[0]])), None)
        if _scalarises(comparison.algorithms[first]) and front_search and top1 > front_search[1]:
            won.append(f"at {limit} by {top1 - front_search[1]:.2f} points over {front_search[0]}")
    if said:
        yield f"Best top-1, on average: {'; '.join(said)}."
    if won:
        yield f"On average a scalarised search is best {', '.join(won)}."


def _scalarises(one: AlgorithmFigures) -> bool:
    return one.algorithm in _SCALARISED


def _by_reward(comparison: Comparison) -> Iterator[str]:
    for found in comparison.rewards:
        ranked = _ranked(found.best)
        if not ranked or len(found.best) < 2:
            continue
        others = [each for each in ranked if each[0] not in found.of]
        own = [each for each in ranked if each[0] in found.of]
        told = sorted([*own, *others[:1]], key=lambda each: -each[1])
        won = [f"{test.a} and {test.b} (p = {_p(test)})" for test in found.tests if test.significant]
        certain = f"significant between {', '.join(won)}" if won else "no difference is significant"
        words = f"By the reward {reward_words(found, comparison.cost)}, that of {' and '.join(found.of)}"
        beside = " with the best of the others" if len(others) > 1 and own else ""
        yield f"{words},{beside} it is {_listed(told, digits=4)}; {certain}."


def _draws(comparison: Comparison) -> Iterator[str]:
    for name, one in comparison.algorithms.items():
        drawn, got = one.draws.mean, one.evaluations.mean
        if drawn and got and drawn > _MANY_DRAWS * got:
            yield f"{name} drew {drawn:,.0f} networks a run for {got:,.0f} distinct ones."
        early = {reason: count for reason, count in one.ended.items() if reason != "budget"}
        words = {
            "draws": "ran out of draws: collapsed on what it had, or the limits leave too little",
            "exhausted": "had nothing new to offer",
            "infeasible": "found nothing within the limits",
        }
        for reason, count in early.items():
            yield f"Of the {sum(one.ended.values())} runs of {name}, {count} {words.get(reason, reason)}."
        if one.failed:
            yield f"{one.failed} evaluations of {name} failed."


def _caveats(comparison: Comparison) -> Iterator[str]:
    if 1 < comparison.seeds < _FEW_SEEDS and comparison.tests:
        yield f"With {comparison.seeds} seeds small differences go unseen; take 10 or more."
    if not comparison.against.startswith("the true"):
        yield "The true front is not known: percentages are of what all these runs found together."
    if is_speed(comparison.accuracy) and not comparison.judge:
        yield "What is called top-1 here is the speed of training, 100 exp(-loss): it ranks networks."
    if comparison.judge:
        yield f"All is judged by the top-1 of {comparison.judge}, which the searches did not see."
