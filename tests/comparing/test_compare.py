"""Comparisons: what is run, what is taken as it is, what is refused, and what the figures are of."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY
from support.comparisons import asked_for, quiet, write_space, write_top1
from support.search_problem import problem

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.comparing import runs as compare_module
from mnas_evo.comparing.compare import Asked, compare
from mnas_evo.comparing.forms import Comparison
from mnas_evo.comparing.runs import CompareRequest, folder_label, make_plan
from mnas_evo.comparing.traces import known_values
from mnas_evo.errors import Infeasible, RequestError, RunChanged
from mnas_evo.files import read_csv
from mnas_evo.search.archive import Archive
from mnas_evo.search.front import hypervolume
from mnas_evo.search.run import Prepared, archive_path, search


class Killed(BaseException):
    """Stands for the moment a process is killed: nothing may catch it."""


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny space and top-1 of all of it."""
    folder = tmp_path_factory.mktemp("problem")
    write_space(folder)
    write_top1(folder / "top1.csv")
    return folder


def compared(out: Path, request: CompareRequest, **asked: object) -> Comparison:
    return compare(out, request, Asked(**asked), report=quiet)  # type: ignore[arg-type]


def found_in(out: Path) -> str:
    return (out / "compare.json").read_text() + (out / "drawing.json").read_text()


def test_every_run_is_a_search_of_its_own_and_figures_are_of_the_true_front(complete: Path, tmp_path: Path) -> None:
    found = compared(tmp_path, asked_for(complete, "nsga2:population=10", "random"))
    assert found.against == "the true front"
    assert [run.folder for run in found.runs] == [
        f"runs/{name}-{seed}" for name in ("nsga2_population=10", "random") for seed in (0, 1)
    ]
    top1 = {row["architecture"]: float(row["top1"]) for _, row in read_csv(complete / "top1.csv", ("top1",))}
    assert found.whole.point["top1"] == pytest.approx(min(top1.values()))
    for name, one in found.algorithms.items():
        assert (one.evaluations.per_seed, one.draws.per_seed, one.ended) == ((30.0, 30.0), (30.0, 30.0), {"budget": 2})
        for percent, igd in zip(one.hypervolume_percent.per_seed, one.igd_plus.per_seed, strict=True):
            assert percent is not None and igd is not None
            assert 0 < percent <= 100 and igd >= 0, name
    with Archive(archive_path(tmp_path / found.runs[2].folder)) as archive:
        told = [(-tell.values["top1"].value, tell.values["macs"].value) for tell in archive.tells()]
    corner = np.array([-found.whole.point["top1"], found.whole.point["macs"]])
    assert found.algorithms["random"].hypervolume.per_seed[0] == pytest.approx(hypervolume(np.array(told), corner))


def test_a_comparison_killed_anywhere_ends_as_an_uninterrupted_one(complete: Path, tmp_path: Path) -> None:
    request = asked_for(complete, "nsga2:population=10", "rl:target=60000", "random")
    compared(tmp_path / "whole", request)
    for at in (1, 3, 5):
        deadline = itertools.count()

        def dies(share: float, text: str, at: int = at, deadline: "itertools.count[int]" = deadline) -> None:
            if next(deadline) == at:
                raise Killed

        with pytest.raises(Killed):
            compare(tmp_path / "cut", request, Asked(), report=dies)
        assert not (tmp_path / "cut" / "compare.json").exists()
    compared(tmp_path / "cut", request)
    assert found_in(tmp_path / "cut") == found_in(tmp_path / "whole")


def test_more_seeds_algorithms_and_evaluations_add_to_what_is_there(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[Path] = []
    original = search

    def watched(folder: Path, *given: object, **more: object) -> object:
        searched.append(folder)
        return original(folder, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_module, "search", watched)
    compared(tmp_path / "a", asked_for(complete, "random", seeds=1))
    first = found_in(tmp_path / "a")
    compared(tmp_path / "a", asked_for(complete, "random", "nsga2", seeds=2))
    assert [folder.name for folder in searched] == ["random-0", "random-1", "nsga2-0", "nsga2-1"]
    compared(tmp_path / "a", asked_for(complete, "random", seeds=1, evaluations=50))
    assert searched[4:] == [tmp_path / "a" / "runs" / "random-0"]
    # What was evaluated beyond the budget that is asked for does not count.
    compared(tmp_path / "a", asked_for(complete, "random", seeds=1))
    assert len(searched) == 5 and found_in(tmp_path / "a") == first


def test_side_by_side_is_the_same(complete: Path, tmp_path: Path) -> None:
    compared(tmp_path / "one", asked_for(complete, "evolution", "random", evaluations=20))
    compared(tmp_path / "two", asked_for(complete, "evolution", "random", evaluations=20, workers=2))
    assert found_in(tmp_path / "two") == found_in(tmp_path / "one")


def test_changed_inputs_are_refused_even_where_all_has_ended(tmp_path: Path) -> None:
    write_space(tmp_path)
    write_top1(tmp_path / "top1.csv")
    compared(tmp_path / "out", asked_for(tmp_path, "random", seeds=1))
    before = found_in(tmp_path / "out")
    with pytest.raises(RunChanged, match=r"objectives .* another --out"):
        compared(tmp_path / "out", asked_for(tmp_path, "random", seeds=1, objectives="top1,params"))
    write_top1(tmp_path / "top1.csv", shift=0.5)
    with pytest.raises(RunChanged, match="accuracy"):
        compared(tmp_path / "out", asked_for(tmp_path, "random", seeds=1))
    assert found_in(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("algorithms", "more", "words"),
    [
        (("random", "random"), {}, "'random' and 'random' are one and the same"),
        (("nsga2", "nsga2:population=20"), {}, "one and the same, nsga2"),
        (("nsga2", "nsga3"), {}, "unknown algorithm 'nsga3'"),
        (("random",), {"seeds": 0}, "at least 1 seed"),
        (("random",), {"evaluations": 0}, "at least 1 evaluation"),
        (("random",), {"workers": 0}, "at least 1, not 0"),
        (("random",), {"device": "local"}, "compared on tables"),
        (("random", "evolution"), {"objectives": "top1,macs,params"}, "weighs top1 against one cost"),
        (("random",), {"settings": {"population": 9}}, "has a setting population"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_run(
    algorithms: tuple[str, ...], more: dict[str, object], words: str, complete: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=words):
        compared(tmp_path / "out", asked_for(complete, *algorithms, **more))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_options_go_to_the_algorithms_that_have_them(complete: Path, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, asked_for(complete, "nsga2", "random", settings={"population": 12}))
    assert {name: one.text for name, one in plan.algorithms.items()} == {
        "nsga2": "nsga2:population=12",
        "random": "random",
    }


@pytest.mark.parametrize(
    "text", ["nsga2", "nsga2:start=../../etc/passwd", "rl:target=" + "+".join(map(str, range(99)))]
)
def test_labels_are_names_of_folders(text: str) -> None:
    label = folder_label(text)
    assert set(label).isdisjoint('/\\:*?"<>| ') and label not in (".", "..") and len(label) < 100
    assert folder_label("nsga2:start=a/b") != folder_label("nsga2:start=a?b")


def test_one_seed_has_no_test_and_says_so(complete: Path, tmp_path: Path) -> None:
    found = compared(tmp_path, asked_for(complete, "nsga2", "random", seeds=1))
    assert [(one.p, one.significant) for one in found.tests] == [(None, False)]
    assert "One seed allows no test" in found.answer
    assert found.algorithms["nsga2"].hypervolume.sd is None


def test_one_algorithm_alone_is_told_without_tests(complete: Path, tmp_path: Path) -> None:
    found = compared(tmp_path, asked_for(complete, "random"))
    assert found.tests == () and "random covers" in found.answer and "seeds are too few" not in found.answer


def test_few_seeds_are_said_to_be_too_few(complete: Path, tmp_path: Path) -> None:
    answer = compared(tmp_path, asked_for(complete, "nsga2", "evolution", "random", evaluations=10)).answer
    assert "2 seeds are too few for any difference to be significant" in answer and "it takes 5" in answer


def test_a_constant_objective_leaves_what_the_others_cover(tmp_path: Path) -> None:
    write_space(tmp_path)
    write_top1(tmp_path / "top1.csv", constant=True)
    found = compared(tmp_path / "out", asked_for(tmp_path, "nsga2", "random"))
    assert found.whole.point["top1"] == 49.0
    assert found.algorithms["random"].hypervolume_percent.mean is not None
    assert found.algorithms["random"].box_hypervolume_percent.mean is None
    assert "there is nothing of the front" in found.answer


def test_three_objectives_are_compared(complete: Path, tmp_path: Path) -> None:
    found = compared(tmp_path, asked_for(complete, "nsga2", "random", objectives="top1,macs,params"))
    assert found.cost == "macs" and found.rewards == ()
    assert all((one.hypervolume_percent.mean or 0) > 10 for one in found.algorithms.values())


def test_without_top1_there_is_none_to_tell_and_a_space_that_is_exhausted_is_told(tmp_path: Path) -> None:
    request = asked_for(tmp_path, "random", objectives="params,macs", evaluations=9)
    found = compared(tmp_path / "out", replace(request, search=replace(request.search, space="single-op")))
    one = found.algorithms["random"]
    assert (found.cost, one.best_top1_at, one.ended) == (None, {}, {"exhausted": 2})
    assert one.evaluations.mean == 4 and "had nothing new to offer" in found.answer


def test_limits_and_boxes_are_met(complete: Path, tmp_path: Path) -> None:
    found = compared(tmp_path, asked_for(complete, "random"), at=(40_000.0, 1.0), box=("top1=70",))
    assert found.box.point["top1"] == 70
    best = found.algorithms["random"].best_top1_at
    assert list(best) == ["40000", "1"] and best["1"].mean is None
    with Archive(archive_path(tmp_path / "runs" / "random-1")) as archive:
        within = [tell.values["top1"].value for tell in archive.tells() if tell.values["macs"].value <= 40_000]
    assert best["40000"].per_seed[1] == pytest.approx(max(within))
    with pytest.raises(RequestError, match="--box has sides on params"):
        compared(tmp_path, asked_for(complete, "random"), box=("params=9",))


def test_another_judge_judges_all_and_must_know_all(complete: Path, tmp_path: Path) -> None:
    plain = compared(tmp_path, asked_for(complete, "random"), at=(80_000.0,))
    judge = write_top1(tmp_path / "judge.csv", shift=2.5)
    found = compared(tmp_path, asked_for(complete, "random"), at=(80_000.0,), judge=judge)
    before, after = (one.algorithms["random"].best_top1_at["80000"].mean or 0 for one in (plain, found))
    assert after == pytest.approx(before + 2.5) and str(judge) in found.answer
    judge.write_text("\n".join(judge.read_text().splitlines()[:5]))
    with pytest.raises(RequestError, match=r"has no line for \d+ evaluated networks"):
        compared(tmp_path, asked_for(complete, "random"), judge=judge)


class SometimesNone:
    """Fails by NaN for a third of networks."""

    fingerprint = "sometimes none"

    def evaluate(self, network: object, *, seed: int) -> Evaluation:
        return Evaluation(float("nan") if seed % 3 == 0 else 50 + seed % 40, "sometimes", 0.1)


def test_failed_evaluations_count_against_the_budget_and_cover_nothing(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = replace(problem(), dear=SometimesNone())
    monkeypatch.setattr(compare_module, "prepare", lambda request: Prepared(target, {}))
    request = asked_for(complete, "nsga2", "random")
    found = compared(tmp_path, request)
    assert all(one.failed > 5 and one.evaluations.mean == 30 for one in found.algorithms.values())
    assert found.against == "the front of all runs together" and "is not known" in found.answer
    assert "evaluations of random failed" in found.answer


def test_a_run_that_finds_nothing_is_told_and_stops_no_other(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = search

    def fails(folder: Path, request: object, **more: object) -> object:
        if folder.name == "random-1":
            raise Infeasible("the nearest has 3")
        return original(folder, request, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_module, "search", fails)
    found = compared(tmp_path / "a", asked_for(complete, "nsga2", "random"))
    assert found.algorithms["random"].ended == {"budget": 1, "infeasible": 1}
    assert found.algorithms["random"].hypervolume.per_seed[1] == 0
    assert found.algorithms["random"].igd_plus.per_seed[1] is None
    assert [run.message for run in found.runs if run.message] == ["the nearest has 3"]
    with pytest.raises(Infeasible, match="no run found anything"):
        compared(tmp_path / "b", asked_for(complete, "random", limits=("top1=99",)))


def test_limits_that_left_nothing_may_be_loosened(complete: Path, tmp_path: Path) -> None:
    with pytest.raises(Infeasible, match="no run found anything"):
        compared(tmp_path, asked_for(complete, "random", limits=("macs=1",)))
    loosened = asked_for(complete, "random", limits=("macs=1e6",))
    assert compared(tmp_path, loosened).algorithms["random"].ended == {"budget": 2}
    # Those that have searched keep to theirs.
    with pytest.raises(RunChanged, match="limits"):
        compared(tmp_path, asked_for(complete, "random", limits=("macs=2e6",)))


def test_a_judge_of_whom_nothing_meets_the_limit_is_no_true_front(complete: Path, tmp_path: Path) -> None:
    judge = write_top1(tmp_path / "judge.csv", shift=-30.0)
    found = compared(tmp_path / "out", asked_for(complete, "random", limits=("top1=30",)), judge=judge)
    assert found.algorithms["random"].hypervolume.mean is not None


def test_every_reward_judges_the_networks_of_every_algorithm(complete: Path, tmp_path: Path) -> None:
    names = ("rl:target=60000", "evolution:reward=hard:target=60000", "evolution:target=60000", "random")
    found = compared(tmp_path, asked_for(complete, *names))
    soft, hard = found.rewards
    assert (soft.reward, soft.targets, soft.of) == ("soft", (60_000.0,), (names[0], names[2]))
    assert (hard.reward, hard.of) == ("hard", (names[1],))
    assert set(soft.best) == set(hard.best) == set(names)
    assert {one.b for one in hard.tests} | {one.a for one in hard.tests} == set(names) and len(hard.tests) == 3
    with Archive(archive_path(tmp_path / "runs" / "random-0")) as archive:
        values = [tell.values for tell in archive.tells()]
    expected = max(v["top1"].value / 100 * (v["macs"].value / 60_000) ** -0.07 for v in values)
    assert soft.best["random"].per_seed[0] == pytest.approx(expected)
    facts = found.algorithms[names[0]].facts
    assert any(name.startswith("entropy") for name in facts)


def test_the_true_front_is_of_every_architecture_within_the_limits(complete: Path, tmp_path: Path) -> None:
    listed = sorted(float(row["top1"]) for _, row in read_csv(complete / "top1.csv", ("top1",)))
    assert len(listed) == TINY.architectures
    whole, within = (
        known_values(make_plan(tmp_path, asked_for(complete, "random", limits=limits)).prepared.problem, None)
        for limits in ((), ("top1=70",))
    )
    assert whole is not None and within is not None
    assert sorted(-whole[:, 0]) == listed
    assert sorted(-within[:, 0]) == [top1 for top1 in listed if top1 >= 70]


def test_a_table_of_some_architectures_gives_no_true_front(complete: Path, tmp_path: Path) -> None:
    write_space(tmp_path)
    lines = (complete / "top1.csv").read_text().splitlines()
    (tmp_path / "top1.csv").write_text("\n".join(lines[:-1]))
    assert known_values(make_plan(tmp_path, asked_for(tmp_path, "random")).prepared.problem, None) is None
