"""Studies of scalings: what is scaled, what survives a death, what may grow, and what is said in the end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.known_times import item_ms
from support.search_problem import Killed

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.data.datasets import search_split
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.errors import DamagedFile, DeviceError, RequestError, RunChanged, TrainingFailed, UnmeasuredOp
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.table import read_table
from mnas_evo.scaling import verdict
from mnas_evo.scaling.points import (
    POINTS,
    LatencySource,
    Point,
    ScalingForm,
    Study,
    TrainingPins,
    points_of,
    read_study,
    scaled_to,
    write_points,
)
from mnas_evo.scaling.study import ScalingRequest, begin, measure, predict, train
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space_file import load_space
from mnas_evo.training.recipe import load_recipe

RECIPE = load_recipe("quick").model_copy(update={"epochs": 1})
ONE, OTHER = (parse_network(f"stem16/r1_k3_s22_e{e}_o24/head32") for e in (3, 2))
REQUEST = ScalingRequest((("one", ONE),), "digits@60", (0.5, 1.0), (16, 24), beside=False, recipe=RECIPE)


def ignore(*told: object) -> None:
    """Progress that nobody watches."""


def trained(study: Study, *, workers: int = 1) -> Study:
    return train(study, RECIPE, seed=0, workers=workers, done=ignore)


def measured(study: Study, device: FakeDevice | None = None) -> Study:
    return measure(study, device or FakeDevice(item_ms), minutes=0.0, progress=ignore)


@pytest.fixture
def by_params(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes every training give a top-1 that its network's parameters tell, and lists what was trained."""
    asked: list[str] = []

    def evaluate(self: ProxyTraining, network: Network, *, seed: int) -> Evaluation:
        asked.append(format_network(network))
        return Evaluation(lower(network).params / 100, self.source, 0.1)

    monkeypatch.setattr(ProxyTraining, "evaluate", evaluate)
    return asked


def test_every_network_is_brought_to_every_width_and_input(tmp_path: Path) -> None:
    request = replace(REQUEST, networks=(("one", ONE), ("other", OTHER)), beside=True)
    study = begin(tmp_path / "out", request)
    assert [(p.name, p.resolution, p.width) for p in study.points] == [
        (name, resolution, width)
        for name in ("one", "other", "mobilenet-v2")
        for resolution in (16, 24)
        for width in (0.5, 1.0)
    ]
    narrow = study.points[0]
    assert narrow.network == "16x16x1/stem8/r1_k3_s22_e3_i8_o16/head32/10"  # .5 x 24 rounds to 16: never below 90 %
    graph = lower(parse_network(narrow.network))
    assert (narrow.macs, narrow.params) == (graph.macs, graph.params)
    assert len(study.left) == 12 and read_study(tmp_path / "out") == study


def test_a_cross_is_all_widths_at_the_largest_input_and_all_inputs_at_width_1(tmp_path: Path) -> None:
    study = begin(tmp_path, replace(REQUEST, widths=(0.5, 1.0, 2.0), resolutions=(32, 16, 24), cross=True))
    assert {(p.width, p.resolution) for p in study.points} == {(0.5, 32), (1.0, 32), (2.0, 32), (1.0, 16), (1.0, 24)}
    assert [p.width for p in verdict.by_width(study, "one")] == [0.5, 1.0, 2.0]
    assert [p.resolution for p in verdict.by_resolution(study, "one")] == [16, 24, 32]


def test_mobilenet_v2_widens_its_head_above_1_as_its_authors_do() -> None:
    wide = scaled_to(named_network("mobilenet-v2"), width=1.4, resolution=224)
    assert (wide.frame.head_channels, lower(wide).params) == (1792, 6_108_776)  # timm's mobilenetv2_140
    assert scaled_to(named_network("mobilenet-v2"), width=0.5, resolution=224).frame.head_channels == 1280
    assert scaled_to(named_network("mnasnet-a1"), width=1.4, resolution=224).frame.head_channels == 1280


def test_a_network_of_odd_channels_is_itself_at_width_1() -> None:
    odd = parse_network("stem5/r1_k3_e1_o7/head9")
    assert scaled_to(odd, width=1.0, resolution=224) == odd


def test_widths_that_round_to_the_same_channels_are_one_network(tmp_path: Path) -> None:
    study = begin(tmp_path, replace(REQUEST, widths=(0.3, 0.35, 0.5, 1.0), resolutions=(16,)))
    assert [(p.width, p.equal_widths) for p in study.points] == [(0.35, (0.3,)), (0.5, ()), (1.0, ())]
    assert "one x0.35 at 16 is also x0.3" in verdict.words(study)[-1]


def test_a_network_given_twice_is_scaled_once_and_one_of_another_make_gets_a_name_of_its_own(tmp_path: Path) -> None:
    networks = (("network", ONE), ("again", ONE), ("network", OTHER), ("mobilenet-v2", named_network("mobilenet-v2")))
    study = begin(tmp_path, replace(REQUEST, networks=networks, beside=True))
    assert list(study.form.networks) == ["network", "network-2", "mobilenet-v2"]


def test_a_killed_study_goes_on_with_the_network_it_was_at(tmp_path: Path) -> None:
    def die(done: int, of: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(begin(tmp_path / "cut", REQUEST), RECIPE, seed=0, workers=1, done=die)
    assert sum(point.top1 is not None for point in read_study(tmp_path / "cut").points) == 2
    told: list[tuple[int, int]] = []
    again = begin(tmp_path / "cut", REQUEST)
    assert len(again.left) == 2
    found = train(again, RECIPE, seed=0, workers=1, done=lambda done, of: told.append((done, of)))
    assert told == [(2, 4), (3, 4), (4, 4)]
    assert found.points == trained(begin(tmp_path / "whole", REQUEST)).points == read_study(tmp_path / "cut").points


@pytest.mark.slow
def test_workers_change_no_result(tmp_path: Path) -> None:
    request = replace(REQUEST, resolutions=(16,))
    alone = trained(begin(tmp_path / "one", request))
    assert trained(begin(tmp_path / "two", request), workers=2).points == alone.points


def test_a_study_grows_by_networks_widths_and_inputs_and_trains_only_what_is_new(
    tmp_path: Path, by_params: list[str]
) -> None:
    trained(begin(tmp_path, REQUEST))
    before = list(by_params)
    more = replace(REQUEST, networks=(("other", OTHER),), widths=(1.0, 2.0), resolutions=(24,))
    study = begin(tmp_path, more)
    assert len(study.points) == 6 and len(study.left) == 2
    study = trained(study)
    assert by_params[: len(before)] == before and len(set(by_params)) == len(by_params) == 6
    assert all(point.top1 is not None for point in study.points)


def test_only_what_is_asked_for_now_is_trained(tmp_path: Path, by_params: list[str]) -> None:
    begin(tmp_path, REQUEST)
    study = trained(begin(tmp_path, replace(REQUEST, widths=(1.0,), resolutions=(16,))))
    assert len(by_params) == 1
    assert "3 of 4 have not been trained." in verdict.words(study)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "digits@70"}, "data digits@60, not digits@70"),
        ({"data": None, "recipe": None}, "data digits@60, not None"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"recipe": RECIPE.model_copy(update={"epochs": 2})}, "recipe quick of 1 epochs, not quick of 2 epochs"),
    ],
)
def test_other_data_or_another_training_in_the_same_folder_are_refused(
    tmp_path: Path, by_params: list[str], change: dict[str, object], said: str
) -> None:
    trained(begin(tmp_path, REQUEST))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RequestError, match=f"holds another study: {said}; give another --out"):
        begin(tmp_path, replace(REQUEST, **change))  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_before_anything_is_known_all_may_change(tmp_path: Path) -> None:
    begin(tmp_path, REQUEST)
    assert len(begin(tmp_path, replace(REQUEST, data=None, widths=(1.0,), recipe=None)).points) == 2


def test_images_that_have_changed_are_told(tmp_path: Path, by_params: list[str]) -> None:
    study = trained(begin(tmp_path, REQUEST))
    assert study.form.training is not None
    pins = study.form.training.model_copy(update={"fingerprint": "another"})
    (tmp_path / "scaling.json").write_text(study.form.model_copy(update={"training": pins}).model_dump_json())
    with pytest.raises(RunChanged, match="images of digits@60"):
        trained(begin(tmp_path, replace(REQUEST, widths=(2.0,))))


def test_a_training_that_fails_keeps_no_other_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(self: ProxyTraining, network: Network, *, seed: int) -> Evaluation:
        if network.frame.stem_channels == 8:
            raise TrainingFailed("the loss became nan in epoch 1")
        return Evaluation(float("nan") if network.frame.height == 16 else 50.0, "", 0.1)

    monkeypatch.setattr(ProxyTraining, "evaluate", evaluate)
    study = trained(begin(tmp_path, REQUEST))
    assert [(point.top1, bool(point.failure)) for point in study.points] == [
        (None, True), (None, True), (None, True), (50.0, False)
    ]  # fmt: skip
    assert begin(tmp_path, REQUEST).left == ()
    assert any("3 trainings came to nothing" in said and "became nan" in said for said in verdict.words(study))


def test_all_are_measured_in_one_campaign_that_goes_on_where_it_was(tmp_path: Path) -> None:
    study = begin(tmp_path, REQUEST)
    with pytest.raises(DeviceError, match="told to die"):
        measured(study, FakeDevice(item_ms, dies_after=20))
    device = FakeDevice(item_ms)
    study = measured(study, device)
    assert 0 < device.visits < 8 * 6  # eight passes over four and the reference twice
    for point in study.points:
        assert point.ms == pytest.approx(item_ms(point.network), rel=0.03)
        assert point.low_ms is not None and point.high_ms is not None
        assert point.low_ms < point.ms < point.high_ms  # type: ignore[operator]
    assert study.form.latency is not None and study.form.latency.kind == "measured"
    (raw,) = (tmp_path / "measured").iterdir()
    assert sorted(path.name for path in raw.iterdir() if path.name[0] != ".") == ["campaign.json", "runs.jsonl"]
    assert measured(study, FakeDevice(item_ms, dies_after=0)).points == study.points  # nothing is left to do


def test_what_is_added_is_measured_together_with_all_others(tmp_path: Path) -> None:
    measured(begin(tmp_path, REQUEST))
    study = begin(tmp_path, replace(REQUEST, widths=(2.0,)))
    assert [point.ms is None for point in study.points] == [False, False, True, False, False, True]
    assert any("2 of 6 have no latency" in said for said in verdict.words(study))
    slower = measured(study, FakeDevice(lambda item: 2 * item_ms(item)))
    for point in slower.points:
        assert point.ms == pytest.approx(2 * item_ms(point.network), rel=0.03)


def test_what_a_device_refuses_has_no_latency_and_says_so(tmp_path: Path) -> None:
    study = measured(begin(tmp_path, REQUEST), FakeDevice(item_ms, refuses=lambda item: item.startswith("24x")))
    assert [point.ms is None for point in study.points] == [False, False, True, True]
    assert any("the device refused it" in said for said in verdict.words(study))
    with pytest.raises(DeviceError, match="refused every one"):
        measured(begin(tmp_path / "none", REQUEST), FakeDevice(item_ms, refuses=lambda item: item != "reference"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted table of the digits space."""
    folder = tmp_path_factory.mktemp("tables") / "fake"
    request = ProfileRequest(load_space("digits"), networks=20)
    profile(folder, FakeDevice(item_ms), request, target="fake", minutes=0, progress=ignore)
    fit(folder)
    return folder


def test_a_table_predicts_with_intervals_and_says_what_is_less_sure(tmp_path: Path, table: Path) -> None:
    study = begin(tmp_path, replace(REQUEST, data=None, recipe=None, resolutions=(24,)))
    with pytest.raises(UnmeasuredOp, match=r"--arch .*networks.txt; or measure the networks alone: --on TARGET"):
        predict(study, table)
    assert (tmp_path / "networks.txt").read_text().splitlines() == [point.network for point in study.points]
    known = parse_network(next(one.network for one in read_table(table).networks if one.role == "sampled"))
    request = replace(REQUEST, networks=(("known", known),), data=None, recipe=None, widths=(1.0,), resolutions=(32,))
    found = predict(begin(tmp_path / "known", request), table)
    (point,) = found.points
    assert point.ms is not None and point.low_ms is not None and point.high_ms is not None
    assert point.low_ms < point.ms < point.high_ms and point.ms == pytest.approx(item_ms(point.network), rel=0.2)
    assert found.form.latency == LatencySource(kind="predicted", of="fake")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"networks": ()}, "nothing to scale"),
        ({"widths": ()}, "at least one width"),
        ({"widths": (0.0,)}, "positive, not 0.0"),
        ({"widths": (float("nan"),)}, "positive, not nan"),
        ({"resolutions": (-1,)}, "not -1"),
    ],
)
def test_what_cannot_be_scaled_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        begin(tmp_path / "out", replace(REQUEST, **change))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    begin(tmp_path, REQUEST)
    text = (tmp_path / POINTS).read_text()
    (tmp_path / POINTS).write_text(text.replace("one,0.5,16", "one,wide,16"))
    with pytest.raises(DamagedFile, match=r"points\.csv, line 2"):
        read_study(tmp_path)


# What is said of points whose values are known.


def study_of(
    values: dict[tuple[float, int], tuple[float | None, float | None]], *, target_ms: float | None = None
) -> Study:
    """A study of one network whose ms and top-1 are given by width and input."""
    request = replace(REQUEST, networks=(("one", ONE),), data=None)
    pins = TrainingPins(recipe=RECIPE, seed=0, split=search_split("digits"), fingerprint="")
    scales = tuple(s for s in _scales(request, values))
    form = ScalingForm(
        data=None, networks={"one": format_network(ONE)}, scales=scales, versions={}, target_ms=target_ms,
        latency=LatencySource(kind="measured", of="a device"), training=pins,
    )  # fmt: skip
    points = [_valued(point, *values[point.width, point.resolution]) for point in points_of(form, {})]
    return Study(Path(), form, tuple(points), frozenset())


def _scales(request: ScalingRequest, values: dict[tuple[float, int], tuple[float | None, float | None]]) -> Iterator:  # type: ignore[type-arg]
    for width, resolution in values:
        yield from replace(request, widths=(width,), resolutions=(resolution,)).scales(["one"])


def _valued(point: Point, ms: float | None, top1: float | None) -> Point:
    return replace(point, ms=ms, top1=top1, high_ms=None if ms is None else 1.1 * ms)


FASTER_NARROW: dict[tuple[float, int], tuple[float | None, float | None]] = {
    (0.5, 224): (2.0, 60.0),
    (1.0, 224): (8.0, 90.0),
    (1.0, 96): (2.0, 50.0),
    (1.0, 160): (4.0, 55.0),
    (0.5, 160): (1.0, 30.0),
}


def test_the_front_is_what_nothing_faster_is_as_accurate_as() -> None:
    study = study_of(FASTER_NARROW)
    assert [point.label for point in verdict.front(study)] == ["one x0.5 at 160", "one x0.5 at 224", "one x1 at 224"]
    assert any("one x0.5 at 224 (2 ms, 60.00 %)" in said for said in verdict.words(study))


def test_without_latencies_multiply_adds_stand_for_them() -> None:
    study = study_of({at: (None, top1) for at, (_, top1) in FASTER_NARROW.items()})
    assert verdict.cost(study) == "macs" and len(verdict.front(study)) == 3
    assert any("with fewer multiply-adds is as accurate" in said for said in verdict.words(study))


def test_narrower_layers_and_smaller_images_are_compared_at_the_same_latency() -> None:
    found = verdict.smaller_over_narrower(study_of(FASTER_NARROW), "one")
    # At 2 ms 50 against 60, at 4 ms, half way on a logarithm, 55 against 75.
    assert found == verdict.Difference(pytest.approx(-15.0), 2)  # type: ignore[arg-type]
    assert any(
        "give one narrower layers rather than smaller images" in w for w in verdict.words(study_of(FASTER_NARROW))
    )
    alike = study_of({**FASTER_NARROW, (1.0, 96): (2.0, 61.0), (1.0, 160): (4.0, 75.0)})
    assert any("are alike for one, as far as can be told: 0.50 points" in said for said in verdict.words(alike))
    assert verdict.smaller_over_narrower(study_of({(1.0, 224): (8.0, 90.0), (1.0, 96): (2.0, 50.0)}), "one") is None


def test_within_a_target_the_most_accurate_is_named_and_how_each_way_gets_there() -> None:
    first, second, *_ = verdict.words(study_of(FASTER_NARROW, target_ms=4.2))
    assert first == "Within 4.2 ms the most accurate is one x0.5 at 224 (2 ms, 60.00 %)."
    assert second == (
        "one x1 at 224 takes 8 ms, 90 % too long; narrowed alone it gets there as one x0.5 at 224 (2 ms, 60.00 %); by "
        "smaller images alone it gets there as one x1 at 160 (4 ms, 55.00 %)."
    )
    near = verdict.words(study_of(FASTER_NARROW, target_ms=8.1))[0]
    assert near.endswith("Its interval reaches 8.8 ms.")


@pytest.mark.parametrize(
    ("values", "target_ms", "said"),
    [
        (FASTER_NARROW, 0.5, "Nothing runs within 0.5 ms; the fastest is one x0.5 at 160, 1 ms."),
        ({(1.0, 224): (8.0, None)}, 9.0, "1 of 1 run within 9 ms; none of them was trained."),
        ({(1.0, 224): (None, 90.0)}, 9.0, "Which runs within 9 ms is not known: give --table or --on."),
    ],
)
def test_a_target_that_names_no_network_says_why(
    values: dict[tuple[float, int], tuple[float | None, float | None]], target_ms: float, said: str
) -> None:
    assert verdict.words(study_of(values, target_ms=target_ms))[0] == said


def test_untrained_the_widest_and_the_largest_within_a_target_are_named() -> None:
    untrained = study_of({at: (ms, None) for at, (ms, _) in FASTER_NARROW.items()}, target_ms=4.2)
    first, second, *_ = verdict.words(untrained)
    assert first == "4 of 5 run within 4.2 ms; none of them was trained."
    assert "as one x0.5 at 224 (2 ms); by smaller images alone it gets there as one x1 at 160 (4 ms)." in second


def test_points_survive_being_written(tmp_path: Path) -> None:
    study = begin(tmp_path, REQUEST)
    points = [replace(p, ms=0.1 + 0.2, top1=100 / 3, note="a, b\nc", failure='"x"') for p in study.points]
    write_points(replace(study, points=tuple(points)))
    assert read_study(tmp_path).points == tuple(points)


def test_one_larger_input_alone_leaves_the_comparison_as_it_was() -> None:
    before = verdict.smaller_over_narrower(study_of(FASTER_NARROW), "one")
    grown = study_of({**FASTER_NARROW, (1.0, 256): (11.0, 91.0)})
    assert before is not None and verdict.smaller_over_narrower(grown, "one") == before
    assert [point.resolution for point in verdict.by_width(grown, "one")] == [224, 224]
