"""Trains several finalists, each with several seeds: the best of many noisy proxies is rarely the best.

A folder for each training (final_training.py), and trainings.json with what they came to.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from mnas_evo.accuracy.evaluating import check_workers, worker_pool
from mnas_evo.errors import TrainingFailed
from mnas_evo.files import Form, only_process, read_form, versions, write_form
from mnas_evo.finalists.final_training import TrainingForm, TrainingRequest, follow_final, train_final
from mnas_evo.space.notation import format_network
from mnas_evo.training.loop import Watching

SUMMARY = "trainings.json"
_CONFIDENCE = 0.95
_LOOK_SECONDS = 2.0

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Finalist:
    """One network with the top-1 of its trainings on the validation images, percent, by seed; why others failed."""

    name: str
    network: str
    top1: Mapping[int, float]
    failed: Mapping[int, str]

    @property
    def mean(self) -> float:
        """Mean over the seeds; nan where none was trained to the end."""
        return float(np.mean(list(self.top1.values()))) if self.top1 else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; nan for fewer than two."""
        return float(np.std(list(self.top1.values()), ddof=1)) if len(self.top1) > 1 else math.nan


class TrainingsForm(Form):
    """trainings.json: the finalists in the order they were asked for."""

    finalists: tuple[Finalist, ...]
    versions: dict[str, str]


def training_folder(folder: Path, name: str, seed: int) -> Path:
    """Where one of several trainings lies."""
    return folder / f"{name}-seed{seed}"


def train_several(
    folder: Path,
    requests: Mapping[str, TrainingRequest],
    *,
    seeds: Sequence[int],
    workers: int = 1,
    progress: Progress = lambda share, note: None,
) -> tuple[Finalist, ...]:
    """Trains each named request with each seed, `workers` at a time, and writes what they came to.

    Killed and started again it goes on; trainings that have ended are not repeated. One that fails keeps no other.

    Raises:
        RequestError: a folder holds another training, or a network does not fit the data.
        InUse: another process trains there.
        MnasEvoError: a worker process died; what was trained is kept.
    """
    check_workers(workers)
    folder.mkdir(parents=True, exist_ok=True)
    asked = [(name, seed, replace(request, seed=seed)) for name, request in requests.items() for seed in seeds]
    failed: dict[tuple[str, int], str] = {}
    with only_process(folder, doing="training into"):
        for name, seed, message in _run(folder, asked, workers=workers, progress=progress):
            if message is not None:
                failed[name, seed] = message
        progress(1.0, f"{len(asked)} trainings")
        found = tuple(
            Finalist(
                name,
                format_network(request.network),
                {seed: _top1(training_folder(folder, name, seed)) for seed in seeds if (name, seed) not in failed},
                {seed: failed[name, seed] for seed in seeds if (name, seed) in failed},
            )
            for name, request in requests.items()
        )
        write_form(folder / SUMMARY, TrainingsForm(finalists=found, versions=versions()))
    return found


def follow(folder: Path, requests: Mapping[str, TrainingRequest], *, seeds: Sequence[int]) -> None:
    """What the other processes do of trainings in several: the same ones in the same order, and write nothing."""
    for name, request in requests.items():
        for seed in seeds:
            follow_final(training_folder(folder, name, seed), replace(request, seed=seed))


_Task = tuple[str, int, TrainingRequest]
_Ended = tuple[str, int, str | None]


def _run(folder: Path, asked: Sequence[_Task], *, workers: int, progress: Progress) -> Iterator[_Ended]:
    """Each training as it ends, with why it failed if it did."""
    if workers == 1:
        for done, task in enumerate(asked):
            yield _trained(folder, task, watching=Watching(_part_of(progress, task, done=done, total=len(asked))))
        return
    with worker_pool(workers) as executor:
        left = {executor.submit(_trained, folder, task) for task in asked}
        while left:
            ended, left = wait(left, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
            epochs = [_epochs_done(training_folder(folder, name, seed)) for name, seed, _ in asked]
            total = sum(request.recipe.epochs for _, _, request in asked)
            progress(sum(epochs) / total, f"{sum(epochs)} of {total} epochs of {len(asked)} trainings")


def _epochs_done(folder: Path) -> int:
    path = folder / "training.json"
    return len(read_form(path, TrainingForm).epochs) if path.exists() else 0


def _part_of(progress: Progress, task: _Task, *, done: int, total: int) -> Progress:
    name, seed, _ = task
    return lambda share, note: progress((done + share) / total, f"{name}, seed {seed}: {note}")


def _trained(folder: Path, task: _Task, watching: Watching | None = None) -> _Ended:
    name, seed, request = task
    try:
        train_final(training_folder(folder, name, seed), request, watching=watching)
    except TrainingFailed as error:
        return name, seed, str(error)
    return name, seed, None


def leader(finalists: Sequence[Finalist]) -> tuple[Finalist, str]:
    """The finalist with the best mean, and in words whether its lead over the next is more than the seeds' noise.

    Raises:
        TrainingFailed: none was trained to the end.
    """
    ranked = sorted((one for one in finalists if one.top1), key=lambda one: -one.mean)
    if not ranked:
        raise TrainingFailed("no training came to an end; see why in trainings.json")
    best = ranked[0]
    if len(ranked) == 1:
        return best, ""
    lead = best.mean - ranked[1].mean
    said = f"{best.name} leads {ranked[1].name} by {lead:.2f} points"
    if min(len(best.top1), len(ranked[1].top1)) < 2:
        return best, f"{said}; of one seed each nobody knows whether that is more than chance: give --seeds 3"
    p = _p_value(best, ranked[1])
    verdict = "more than" if p < 1 - _CONFIDENCE else "no more than"
    return best, f"{said}, which is {verdict} their seeds' noise explains (p = {p:.2g})"


def _p_value(ours: Finalist, theirs: Finalist) -> float:
    """Welch's test; where all seeds of each agree, the difference alone tells."""
    if ours.deviation == theirs.deviation == 0:
        return float(ours.mean == theirs.mean)
    moments = [(one.mean, one.deviation, len(one.top1)) for one in (ours, theirs)]
    return float(stats.ttest_ind_from_stats(*moments[0], *moments[1], equal_var=False).pvalue)


def _top1(folder: Path) -> float:
    best = read_form(folder / "training.json", TrainingForm).best
    assert best is not None, "a training that has ended has epochs"
    return best.top1
