"""Networks over width multipliers and input sizes, as in Tan et al. 2019, figure 5: how fast, how accurate.

Each step writes into the study's folder as it goes, so that one that is killed goes on with the network it was at.
Latencies come before trainings: a machine that trains measures nothing.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import Done, Workers, evaluate_all
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.data.datasets import search_data, search_split
from mnas_evo.devices.campaign import Campaign, Item, Outcome, Progress
from mnas_evo.errors import DeviceError, RequestError, RunChanged, UnmeasuredOp
from mnas_evo.files import fingerprint, only_process, versions, write_form
from mnas_evo.latency.predictor import load_predictor
from mnas_evo.latency.runs import COMPARED, Device, DeviceFacts
from mnas_evo.scaling.points import (
    BESIDE,
    NETWORKS,
    OWN_RESOLUTION,
    SCALING,
    LatencySource,
    Point,
    Scale,
    ScalingForm,
    Study,
    TrainingPins,
    points_of,
    read_study,
    scaled_to,
    write_points,
    write_study,
)
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import task_of

PASSES = 8
WANTED_NOISE_PERCENT = 0.3
_DOING = "scaling networks in"


@dataclass(frozen=True, slots=True)
class ScalingRequest:
    """What a study is asked for. Networks come with what to call them; `data` None: they keep their own task.

    `cross`: only all widths at the largest input and all inputs at the width nearest 1, the figure's two lines.
    `beside`: MobileNetV2 is scaled as they are. `recipe` None: nothing is trained now.
    """

    networks: tuple[tuple[str, Network], ...]
    data: str | None
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    cross: bool = False
    beside: bool = True
    recipe: Recipe | None = None
    seed: int = 0
    target_ms: float | None = None

    def scales(self, names: Sequence[str]) -> list[Scale]:
        """Every name at every width and input asked for."""
        at_one = min(self.widths, key=lambda width: abs(math.log(width)))
        largest = max(self.resolutions)
        return [
            Scale(name=name, width=width, resolution=resolution)
            for name in names
            for resolution in sorted(set(self.resolutions))
            for width in sorted(set(self.widths))
            if not self.cross or width == at_one or resolution == largest
        ]


def begin(folder: Path, request: ScalingRequest) -> Study:
    """Writes what is asked for, or adds it to what the folder holds; nothing is measured or trained yet.

    Raises:
        RequestError: nothing to scale, or the folder holds a study on other data or of another training.
        InUse: another process works in the folder.
    """
    _check(request)
    networks = [(label, _for_task(network, request)) for label, network in request.networks]
    if request.beside:
        networks.append((BESIDE, _for_task(named_network(BESIDE), request)))
    folder.mkdir(parents=True, exist_ok=True)
    with only_process(folder, doing=_DOING):
        old = _begun(folder, request)
        named = _named(networks, old.form.networks if old else {})
        scales = request.scales(list(dict.fromkeys(named.values())))
        known = {point.network: point for point in old.points} if old else {}
        form = ScalingForm(
            data=request.data,
            networks={**(old.form.networks if old else {}), **{name: string for string, name in named.items()}},
            scales=tuple(dict.fromkeys([*(old.form.scales if old else ()), *scales])),
            versions=versions(),
            latency=old.form.latency if old else None,
            training=old.form.training if old else None,
            target_ms=request.target_ms,
        )
        asked = points_of(form.model_copy(update={"scales": tuple(scales)}), known)
        study = Study(folder, form, points_of(form, known), frozenset(point.network for point in asked))
        write_study(study)
    return study


def _check(request: ScalingRequest) -> None:
    if not request.networks and not request.beside:
        raise RequestError("nothing to scale: give an architecture")
    if not (request.widths and request.resolutions):
        raise RequestError("give at least one width and one input size")
    if bad := [width for width in request.widths if not 0 < width < math.inf]:
        raise RequestError(f"a width multiplier is positive, not {bad[0]}")
    if request.target_ms is not None and not 0 < request.target_ms < math.inf:
        raise RequestError(f"a latency to run within is a positive number of ms, not {request.target_ms}")
    if bad := [resolution for resolution in request.resolutions if resolution < 1]:
        raise RequestError(f"an input size is a positive number of pixels, not {bad[0]}")


def _for_task(network: Network, request: ScalingRequest) -> Network:
    """The network for the images and classes of the data, at 224 pixels."""
    if request.data is not None:
        smallest = min(request.resolutions)
        task = task_of(search_data(request.data, size=(smallest, smallest)))
        network = network.with_task(height=1, width=1, channels=task.channels, classes=task.classes)
    return scaled_to(network, width=1.0, resolution=OWN_RESOLUTION)


def _begun(folder: Path, request: ScalingRequest) -> Study | None:
    """The study that the folder holds, if there is one that the request can be added to.

    Raises:
        RequestError: there is one that it cannot be added to.
    """
    if not (folder / SCALING).exists():
        return None
    found = read_study(folder)
    pins = found.form.training
    if found.form.data != request.data:
        if pins is None and all(point.ms is None for point in found.points):
            return None  # nothing was done yet
        raise RequestError(f"{folder} {_holds('data', found.form.data, request.data)}")
    if pins is None or request.recipe is None:
        return found
    if pins.recipe != request.recipe:
        was, now = (f"{recipe.name} of {recipe.epochs} epochs" for recipe in (pins.recipe, request.recipe))
        raise RequestError(f"{folder} {_holds('recipe', was, now)}")
    if pins.seed != request.seed:
        raise RequestError(f"{folder} {_holds('seed', pins.seed, request.seed)}")
    return found


def _holds(what: str, was: object, now: object) -> str:
    return f"holds another study: {what} {was}, not {now}; give another --out"


def _named(networks: Sequence[tuple[str, Network]], known: Mapping[str, str]) -> dict[str, str]:
    """Names of networks by their strings: the one it has in the folder, else its label, made unlike the others."""
    by_string = {string: name for name, string in known.items()}
    found: dict[str, str] = {}
    for label, network in networks:
        string = format_network(network)
        if string in found:
            continue
        taken = {*known, *found.values()}
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label}-{number}"
        found[string] = by_string.get(string, name)
    return found


def predict(study: Study, table: Path) -> Study:
    """Gives every point of the folder the latency that a table's predictor tells.

    Raises:
        UnmeasuredOp: the table lacks a row; how to measure it is said.
        RequestError: the table has no predictor.
    """
    predictor = load_predictor(table)
    with only_process(study.folder, doing=_DOING):
        study = _read_again(study)
        networks = [parse_network(point.network) for point in study.points]
        try:
            said = predictor.predict_networks(networks)
        except UnmeasuredOp as error:
            missing = predictor.table.missing([layer for network in networks for layer in lower(network).layers])
            raise UnmeasuredOp(
                f"{table.name} lacks {len(missing)} rows of these networks, {missing[0]} first. Measure them, and fit "
                f"anew: mnas-evo profile TARGET --table {table} --arch {study.folder / NETWORKS}; or measure the "
                "networks alone: --on TARGET instead of --table"
                if missing
                else str(error)
            ) from error
        points = [
            replace(
                point,
                ms=float(ms),
                low_ms=float(low) if np.isfinite(high) else None,
                high_ms=float(high) if np.isfinite(high) else None,
                note="; ".join(predictor.notes(network, float(ms))),
            )
            for point, network, ms, low, high in zip(
                study.points, networks, said.value, said.low, said.high, strict=True
            )
        ]
        return _with_latencies(study, points, LatencySource(kind="predicted", of=predictor.table.name))


def measure(study: Study, device: Device, *, minutes: float, progress: Progress) -> Study:
    """Gives every point of the folder the latency that it has on a device, all measured in one campaign.

    Killed and started again it goes on. Networks that were added are measured together with all others, anew.

    Raises:
        DeviceError: the device failed, or refused every network; everything measured is kept.
    """
    with only_process(study.folder, doing=_DOING):
        study = _read_again(study)
        facts = device.facts()
        outcome = _campaign(study, device, facts, minutes=minutes, progress=progress)
        found = dict(zip(outcome.networks.items, range(len(outcome.networks.items)), strict=True))
        if len(outcome.refused) == len(found):
            raise DeviceError("the device refused every one of the networks")
        points = [_measured(point, outcome, found[point.network]) for point in study.points]
        words = f"{facts.soc}, {facts.runtime} {facts.runtime_version}, {facts.threads} thread(s), {facts.precision}"
        noise = outcome.networks.noise_percent
        source = LatencySource(kind="measured", of=words, noise_percent=noise if math.isfinite(noise) else None)
        return _with_latencies(study, points, source)


def _campaign(study: Study, device: Device, facts: DeviceFacts, *, minutes: float, progress: Progress) -> Outcome:
    """All networks of the folder in one campaign, whose folder is named by them and by the device."""
    names = sorted({point.network for point in study.points})
    identity = fingerprint(*names, *(str(getattr(facts, name)) for name in COMPARED))[:12]
    raw = study.folder / "measured" / identity
    items = [Item(name, "network", lower(parse_network(name))) for name in names]
    reference = named_network(BESIDE, task=parse_network(names[0]).frame)
    outcome = Campaign(raw, device, items, reference=(BESIDE, lower(reference))).measure(
        minutes=minutes, wanted_noise_percent=WANTED_NOISE_PERCENT, fewest_passes=PASSES, progress=progress
    )
    shutil.rmtree(raw / "models", ignore_errors=True)
    return outcome


def _measured(point: Point, outcome: Outcome, row: int) -> Point:
    if point.network in outcome.refused:
        return replace(point, ms=None, low_ms=None, high_ms=None, note="the device refused it")
    ms, half = float(outcome.networks.ms[row]), float(outcome.networks.interval_percent[row]) / 100
    known = math.isfinite(half)
    low_ms, high_ms = (ms * (1 - half), ms * (1 + half)) if known else (None, None)
    return replace(point, ms=ms, low_ms=low_ms, high_ms=high_ms, note="")


def _with_latencies(study: Study, points: Sequence[Point], source: LatencySource) -> Study:
    form = study.form.model_copy(update={"latency": source})
    found = replace(study, form=form, points=tuple(points))
    write_study(found)
    return found


def train(study: Study, recipe: Recipe, *, seed: int, workers: Workers, done: Done) -> Study:
    """Trains the networks asked for that have no top-1 yet, each once, `workers` at a time.

    Each result is in the folder before the next is waited for. A training that comes to nothing keeps no other.

    Raises:
        RequestError: there are no data, or a network cannot be trained on them.
        RunChanged: the images are others than those that networks here were trained on.
        InUse: another process works in the folder.
    """
    data = study.form.data
    if data is None:
        raise RequestError("nothing can be trained without --data")
    evaluator = ProxyTraining(data, recipe)
    with only_process(study.folder, doing=_DOING):
        study = _pinned(_read_again(study), evaluator, data, seed=seed)
        left = [parse_network(point.network) for point in study.left]
        total = len({point.network for point in study.points if point.network in study.asked})
        done(total - len(left), total)
        for number, (network, result) in enumerate(
            evaluate_all(evaluator, left, seed=seed, workers=workers), start=total - len(left) + 1
        ):
            study = _with_result(study, format_network(network), result)
            write_points(study)
            done(number, total)
    return study


def _pinned(study: Study, evaluator: ProxyTraining, data: str, *, seed: int) -> Study:
    """The study with how its networks are trained, which stays."""
    pins = TrainingPins(recipe=evaluator.recipe, seed=seed, split=search_split(data), fingerprint=evaluator.fingerprint)
    if study.form.training not in (None, pins):
        raise RunChanged(f"the images of {data}, or the recipe, are not those that {study.folder} was begun with")
    found = replace(study, form=study.form.model_copy(update={"training": pins}))
    write_form(study.folder / SCALING, found.form)
    return found


def _with_result(study: Study, string: str, result: Evaluation | str) -> Study:
    top1, failure = (result.top1, "") if isinstance(result, Evaluation) else (None, result)
    if top1 is not None and not math.isfinite(top1):
        top1, failure = None, f"top-1 is {top1}"
    points = (
        replace(point, top1=top1, failure=failure) if point.network == string else point for point in study.points
    )
    return replace(study, points=tuple(points))


def _read_again(study: Study) -> Study:
    """The study as the folder holds it now that nobody else works there."""
    return replace(read_study(study.folder), asked=study.asked)
