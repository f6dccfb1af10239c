"""Looks at the runs of a comparison: figures of every algorithm, tests, files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas_evo.comparing.assessment import Assessment, percent, targets
from mnas_evo.comparing.drawing import drawing
from mnas_evo.comparing.forms import (
    COMPARISON,
    DRAWING,
    AlgorithmFigures,
    Comparison,
    RewardFigures,
    RunEntry,
)
from mnas_evo.comparing.runs import CompareRequest, Report, make_plan, run_all
from mnas_evo.comparing.statistics import (
    Figure,
    best_within,
    figure,
    igd_plus,
    pair_tests,
)
from mnas_evo.comparing.traces import Judge, Trace, known_values, read_judge, read_trace
from mnas_evo.comparing.words import answer
from mnas_evo.errors import RequestError, RunChanged
from mnas_evo.files import only_process, versions, write_form
from mnas_evo.search.contract import Outcome
from mnas_evo.search.front import hypervolume
from mnas_evo.search.objectives import parse_limits
from mnas_evo.search.reward import RewardSettings, rewards


@dataclass(frozen=True)
class Asked:
    """How a comparison is looked at: sides of the box, limits on the cost, a CSV to judge by; each may be left out."""

    box: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    judge: Path | None = None


def compare(folder: Path, request: CompareRequest, asked: Asked, *, report: Report) -> Comparison:
    """Runs what has not been run, and writes compare.json and drawing.json anew.

    Raises:
        RequestError: the request cannot be met.
        RunChanged: a run in the folder was made with other inputs.
        Infeasible: no run found anything.
    """
    plan = make_plan(folder, request)
    problem = plan.prepared.problem
    judge = read_judge(asked.judge, problem.space) if asked.judge else None
    box = _box(asked, request, problem.objectives)
    with only_process(folder, doing="comparing in"):
        try:
            run_all(plan, workers=request.search.workers, report=report)
        except RunChanged as error:
            raise RunChanged(str(error).replace("give another --run", "give another --out")) from error
        traces: dict[str, list[Trace]] = {}
        for run in plan.runs:
            traces.setdefault(run.name, []).append(read_trace(run, problem, judge))
        found = Assessment(plan, traces, known_values(problem, judge), box, asked.at)
        comparison = _comparison(found, folder, request, judge)
        write_form(folder / DRAWING, drawing(found))
        write_form(folder / COMPARISON, comparison)
    return comparison


def _box(asked: Asked, request: CompareRequest, objectives: Sequence[str]) -> dict[str, float]:
    devices = [Path(table).name for table in request.search.tables]
    sides = parse_limits(asked.box, devices=devices)
    if other := sorted(set(sides) - set(objectives)):
        raise RequestError(f"--box has sides on {', '.join(other)}; the objectives are {', '.join(objectives)}")
    return sides


def _comparison(found: Assessment, folder: Path, request: CompareRequest, judge: Judge | None) -> Comparison:
    problem, pins = found.plan.prepared.problem, dict(found.plan.prepared.pins)
    algorithms = {name: _algorithm(found, name) for name in found.traces}
    comparison = Comparison(
        space=problem.space.name,
        tables=request.search.tables,
        accuracy=request.search.accuracy,
        judge=str(judge.path) if judge else None,
        objectives=problem.objectives,
        limits=dict(problem.limits),
        evaluations=request.search.evaluations,
        seeds=request.seeds,
        against="the true front" if found.known is not None else "the front of all runs together",
        whole=found.reference(found.whole),
        box=found.reference(found.box),
        cost=found.cost if "top1" in problem.objectives else None,
        algorithms=algorithms,
        tests=pair_tests({name: one.hypervolume.per_seed for name, one in algorithms.items()}),
        rewards=_rewards(found),
        runs=tuple(
            RunEntry(
                algorithm=name,
                seed=trace.seed,
                folder=trace.folder.relative_to(folder).as_posix(),
                ended=trace.ended.reason,
                evaluations=len(trace.values),
                draws=trace.draws,
                message=trace.ended.message,
            )
            for name, traces in found.traces.items()
            for trace in traces
        ),
        pins=pins | ({"judge": judge.fingerprint} if judge else {}),
        versions=versions(),
    )
    return comparison.model_copy(update={"answer": answer(comparison)})


def _algorithm(found: Assessment, name: str) -> AlgorithmFigures:
    traces, algorithm = found.traces[name], found.plan.algorithms[name]
    whole, box = (curves[name][:, -1] for curves in found.curves)
    endings = [trace.ended.reason for trace in traces]
    return AlgorithmFigures(
        algorithm=algorithm.name,
        settings=algorithm.settings.model_dump(mode="json"),
        hypervolume=figure(whole.tolist()),
        hypervolume_percent=figure(percent(whole, hypervolume(found.front, found.whole)).tolist()),
        box_hypervolume=figure(box.tolist()),
        box_hypervolume_percent=figure(percent(box, hypervolume(found.front, found.box)).tolist()),
        igd_plus=figure([igd_plus(trace.values, found.front) for trace in traces]),
        best_top1_at=_best_at(found, traces),
        evaluations=figure([len(trace.values) for trace in traces]),
        draws=figure([trace.draws for trace in traces]),
        failed=sum(trace.failed for trace in traces),
        ended={reason: endings.count(reason) for reason in sorted(set(endings))},
        facts=_last_facts(traces),
    )


def _best_at(found: Assessment, traces: Sequence[Trace]) -> dict[str, Figure]:
    if not found.at:
        return {}
    cost, top1 = found.objectives.index(found.cost), found.objectives.index("top1")
    best = [-best_within(trace.values[:, cost], trace.values[:, top1], limits=found.at) for trace in traces]
    return {
        f"{limit:.10g}": figure(values) for limit, values in zip(found.at, np.transpose(best).tolist(), strict=True)
    }


def _last_facts(traces: Sequence[Trace]) -> dict[str, Figure]:
    names = sorted({name for trace in traces for name in trace.facts})
    return {name: figure([_last(trace.facts.get(name, {})) for trace in traces]) for name in names}


def _last(by_batch: Mapping[int, float]) -> float | None:
    return by_batch[max(by_batch)] if by_batch else None


def _rewards(found: Assessment) -> tuple[RewardFigures, ...]:
    """For each reward that any algorithm maximises, how far every algorithm came by it."""
    groups: dict[RewardSettings, list[str]] = {}
    for name, algorithm in found.plan.algorithms.items():
        if isinstance(own := algorithm.settings, RewardSettings):
            reward = RewardSettings(reward=own.reward, target=own.target, targets=own.targets)
            groups.setdefault(reward, []).append(name)
    return tuple(_reward(found, reward, names) for reward, names in groups.items())


def _reward(found: Assessment, settings: RewardSettings, names: Sequence[str]) -> RewardFigures:
    best = {
        name: figure([_best_reward(found, trace, settings) for trace in traces])
        for name, traces in found.traces.items()
    }
    return RewardFigures(
        reward=settings.reward,
        targets=targets(found, settings, seed=0),
        of=tuple(names),
        best=best,
        # A seed that found nothing is the worst there is, not one less.
        tests=pair_tests(
            {name: [-math.inf if value is None else value for value in one.per_seed] for name, one in best.items()},
            of=names,
        ),
    )


def _best_reward(found: Assessment, trace: Trace, settings: RewardSettings) -> float | None:
    kept = trace.values[~np.isnan(trace.values).any(axis=1)]
    outcomes = [Outcome("values", tuple(row)) for row in kept.tolist()]
    if not outcomes:
        return None
    each = rewards(found.plan.prepared.problem, settings, seed=trace.seed)
    return float(np.mean([reward.of(outcomes).max() for reward in each]))
