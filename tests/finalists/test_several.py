"""Several finalists with several seeds: each in its folder, resumed, and told apart from chance."""

import math
from pathlib import Path

import pytest

from mnas_evo.errors import RequestError, TrainingFailed
from mnas_evo.files import read_form
from mnas_evo.finalists import several
from mnas_evo.finalists.final_training import TrainingForm, TrainingRequest, train_final
from mnas_evo.finalists.several import Finalist, TrainingsForm, leader, train_several
from mnas_evo.space.notation import parse_network
from mnas_evo.training.recipe import load_recipe

RECIPE = load_recipe("quick").model_copy(update={"epochs": 1})
SMALL, LARGE = (parse_network(f"32x32x1/stem8/r1_k3_s22_e3_o{out}/head32/10") for out in (8, 16))
REQUESTS = {"rank1": TrainingRequest(SMALL, "digits@60", RECIPE), "rank2": TrainingRequest(LARGE, "digits@60", RECIPE)}


def test_each_training_has_a_folder_and_the_summary_what_they_came_to(tmp_path: Path) -> None:
    told: list[float] = []
    found = train_several(tmp_path, REQUESTS, seeds=[3, 4], progress=lambda share, note: told.append(share))
    assert [(one.name, list(one.top1)) for one in found] == [("rank1", [3, 4]), ("rank2", [3, 4])]
    for one in found:
        for seed, top1 in one.top1.items():
            form = read_form(tmp_path / f"{one.name}-seed{seed}" / "training.json", TrainingForm)
            assert form.seed == seed and form.best is not None and form.best.top1 == top1
    assert read_form(tmp_path / "trainings.json", TrainingsForm).finalists == found
    assert told == sorted(told) and told[-1] == 1.0


def test_what_has_ended_is_not_done_again_and_more_seeds_are_added(tmp_path: Path) -> None:
    alone = train_several(tmp_path, REQUESTS, seeds=[0])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.pt")}
    more = train_several(tmp_path, REQUESTS, seeds=[0, 1])
    assert [one.top1[0] for one in more] == [one.top1[0] for one in alone]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.slow
def test_processes_train_what_one_trains(tmp_path: Path) -> None:
    alone = train_several(tmp_path / "one", REQUESTS, seeds=[0])
    assert train_several(tmp_path / "two", REQUESTS, seeds=[0], workers=2) == alone


def test_one_that_fails_keeps_no_other_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = train_final

    def failing(folder: Path, request: TrainingRequest, **told: object) -> object:
        if request.network == SMALL:
            raise TrainingFailed("the loss became nan in epoch 1")
        return real(folder, request)

    monkeypatch.setattr(several, "train_final", failing)
    small, large = train_several(tmp_path, REQUESTS, seeds=[0])
    assert small.failed == {0: "the loss became nan in epoch 1"} and math.isnan(small.mean)
    assert large.top1 and leader([small, large])[0] == large
    with pytest.raises(TrainingFailed, match="no training came to an end"):
        leader([small])


def test_no_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="at least 1, not 0"):
        train_several(tmp_path, REQUESTS, seeds=[0], workers=0)


def finalist(name: str, *top1: float) -> Finalist:
    return Finalist(name, "a network", dict(enumerate(top1)), {})


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((90.0, 90.2, 90.1), (85.0, 85.1, 85.3), "more than their seeds' noise"),
        ((90.0, 88.0, 91.0), (89.0, 90.0, 88.5), "no more than their seeds' noise"),
        ((90.0,), (85.0,), "give --seeds 3"),
        ((90.0, 90.0), (85.0, 85.0), "more than their seeds' noise"),
    ],
)
def test_the_leader_is_the_best_on_average_and_its_lead_is_judged(
    ours: tuple[float, ...], theirs: tuple[float, ...], verdict: str
) -> None:
    best, said = leader([finalist("worse", *theirs), finalist("better", *ours)])
    assert best.name == "better" and said.startswith("better leads worse by") and verdict in said


def test_one_finalist_leads_nobody() -> None:
    assert leader([finalist("alone", 90.0)])[1] == ""
