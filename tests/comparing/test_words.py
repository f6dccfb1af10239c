"""The paragraph says who is ahead by the test that is named, not by the mean alone."""

from mnas_evo.comparing.forms import AlgorithmFigures, Comparison, Reference
from mnas_evo.comparing.statistics import figure, pair_tests
from mnas_evo.comparing.words import answer


def comparison(hypervolumes: dict[str, list[float]]) -> Comparison:
    """A comparison in which algorithms covered so much, and nothing else is known."""
    flat = figure([0.0] * 10)
    algorithms = {
        name: AlgorithmFigures(
            algorithm=name, settings={}, hypervolume=figure(values), hypervolume_percent=figure(values),
            box_hypervolume=flat, box_hypervolume_percent=flat, igd_plus=flat, best_top1_at={}, evaluations=flat,
            draws=flat, failed=0, ended={"budget": 10}, facts={},
        )
        for name, values in hypervolumes.items()
    }  # fmt: skip
    corner = Reference(point={"top1": 0.0, "macs": 1.0}, hypervolume=100.0)
    return Comparison(
        space="s", tables=(), accuracy="table:a.csv", judge=None, objectives=("top1", "macs"), limits={},
        evaluations=10, seeds=10, against="the true front", whole=corner, box=corner, cost=None,
        algorithms=algorithms, tests=pair_tests(hypervolumes), rewards=(), runs=(), pins={}, versions={},
    )  # fmt: skip


def test_a_higher_mean_that_the_ranks_contradict_is_no_lead() -> None:
    # Nine of ten seeds are better; one that failed draws the mean below.
    said = answer(comparison({"steady": [99.0] * 10, "brittle": [99.9] * 9 + [50.0]}))
    assert "steady has the higher mean, but by rank brittle" in said and "significantly ahead of it" in said
    assert "steady is significantly ahead" not in said


def test_a_lead_that_the_ranks_confirm_is_told_with_its_test() -> None:
    said = answer(comparison({"first": [90.0 + i for i in range(10)], "second": [50.0 + i for i in range(10)]}))
    assert "first is significantly ahead of second" in said and "by Mann-Whitney's test." in said


def test_speeds_in_the_place_of_top1_are_said_to_be_so_unless_top1_itself_judges() -> None:
    by_speed = comparison({"first": [90.0] * 10, "second": [50.0] * 10}).model_copy(
        update={"accuracy": "proxy:digits,epochs=1,recipe=digits,score=speed"}
    )
    assert "called top-1 here is the speed of training" in answer(by_speed)
    judged = answer(by_speed.model_copy(update={"judge": "top1.csv"}))
    assert "speed of training" not in judged and "judged by the top-1 of top1.csv" in judged
