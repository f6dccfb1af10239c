"""Folders that the report reads, made quickly: a broken campaign, scalings, a supernet, tested trainings."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from strategies import TINY
from support.known_times import item_ms
from support.sample_job import quiet

from mnas_evo.accuracy.supernet_training import SupernetEpoch, SupernetRequest, train_supernet
from mnas_evo.data.datasets import search_split
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.errors import DeviceError
from mnas_evo.files import write_form
from mnas_evo.finalists.final_training import TrainingRequest
from mnas_evo.latency.runs import Device
from mnas_evo.scaling.points import LatencySource, Study, TrainingPins, write_study
from mnas_evo.scaling.study import ScalingRequest
from mnas_evo.shipping.evaluation import EvaluationForm
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.metrics import Answers, metrics
from mnas_evo.training.recipe import load_recipe

CAMPAIGN_REQUEST = ProfileRequest(TINY, networks=5)
HOUR_S = 3600


def measure(folder: Path, device: Device, request: ProfileRequest = CAMPAIGN_REQUEST, *, minutes: float = 0.0) -> None:
    profile(folder, device, request, target="fake?threads=1", minutes=minutes, progress=quiet)


def break_off(folder: Path, *, after: int, request: ProfileRequest = CAMPAIGN_REQUEST, age_s: float = HOUR_S) -> Path:
    """A campaign whose device died after so many visits, an hour ago; its folder."""
    device = FakeDevice(item_ms, dies_after=after, drift=lambda visit: 1 + 0.03 * np.sin(visit / 100))
    with pytest.raises(DeviceError):
        measure(folder, device, request)
    newest = max(folder.glob("raw/*/campaign.json"), key=lambda path: path.stat().st_mtime_ns).parent
    for path in newest.iterdir():
        if path.is_file():
            os.utime(path, (time.time() - age_s,) * 2)
    return newest


SCALED_NETWORK = parse_network("32x32x1/stem16/r1_k3_s22_e3_o24/head32/10")
SCALING_REQUEST = ScalingRequest((("<b>one", SCALED_NETWORK),), None, (0.5, 1.0, 2.0), (16, 24, 32), target_ms=0.5)


def known_scalings(study: Study, *, trained: bool = True, timed: bool = True) -> Study:
    """The study with latencies and accuracies that its multiply-adds tell, written."""
    points = [
        replace(
            point,
            ms=point.macs / 1e6 if timed else None,
            low_ms=0.9 * point.macs / 1e6 if timed else None,
            high_ms=1.1 * point.macs / 1e6 if timed else None,
            top1=90 - 1e6 / point.macs if trained else None,
        )
        for point in study.points
    ]
    pins = TrainingPins(recipe=load_recipe("quick"), seed=0, split=search_split("digits"), fingerprint="")
    found = {
        "latency": LatencySource(kind="predicted", of="<i>phone") if timed else None,
        "training": pins if trained else None,
    }
    written = replace(study, form=study.form.model_copy(update=found), points=tuple(points))
    write_study(written)
    return written


SUPERNET_SPACE_TEXT = """
format = 1
name = "two-blocks"
input = [32, 32, 1]
classes = 10
stem = { channels = 8, stride = 2 }
head = 16

[choices]
op = ["dconv", "mbconv_e2"]
kernel = [3]
se_ratio = [0.0]
skip = ["identity"]
filters = [0.5, 1.0]
layers = [0]

[[blocks]]
channels = 16
layers = 1
stride = 2

[[blocks]]
channels = 16
layers = 1
stride = 2
"""
SUPERNET_RECIPE = load_recipe("supernet").model_copy(update={"epochs": 3, "batch": 32})


class Stopped(BaseException):
    """A kill in the middle."""


def build_supernet(folder: Path, *, stop_after: int | None = None) -> Path:
    """A supernet, trained to the end or stopped while an epoch is told."""

    def epoch_done(epoch: SupernetEpoch, total: int) -> None:
        if epoch.number == stop_after:
            raise Stopped

    request = SupernetRequest(SUPERNET_SPACE_TEXT, "digits@96", SUPERNET_RECIPE)
    if stop_after is None:
        train_supernet(folder, request, epoch_done=epoch_done, device="cpu")
        return folder
    with pytest.raises(Stopped):
        train_supernet(folder, request, epoch_done=epoch_done, device="cpu")
    return folder


TESTED_NETWORK = "16x16x1/stem8/r1_k3_s11_e1_o8/head8/4"


def evaluation_of(names: Sequence[str], *, with_images: int = 0) -> EvaluationForm:
    """A test of a network that errs now and then, 12 images of each class or of the first so many."""
    count = len(names)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12 * count) % (with_images or count)
    logits = torch.randn(len(labels), count, generator=generator)
    logits[torch.arange(len(labels)), labels] += 3
    return EvaluationForm(
        network=TESTED_NETWORK, data="digits", images=len(labels), metrics=metrics(Answers.of(logits, labels)),
        latency_ms=4.2, latency_spread_percent=1.0, device="y", versions={}, class_names=tuple(names),
        trained_on="digits", classes_said="they were matched by name", torch_latency_ms=7.5, torch_latency_iqr_ms=0.25,
    )  # fmt: skip


TWO_EPOCHS = load_recipe("quick").model_copy(update={"epochs": 2})
TRAINED_NETWORKS = {
    name: parse_network(f"32x32x1/stem8/r1_k3_s22_e1_o{out}/head16/10")
    for name, out in (("rank2", 8), ("rank10", 16), ("<b>own", 24))
}
TRAINING_REQUESTS = {
    name: TrainingRequest(network, "digits@60", TWO_EPOCHS) for name, network in TRAINED_NETWORKS.items()
}


def put_test(folder: Path, name: str, *, latency_ms: float, device: str = "a phone") -> EvaluationForm:
    """The test of a training, as it is written beside it."""
    labels = torch.arange(80) % 10
    logits = torch.randn(80, 10, generator=torch.Generator().manual_seed(round(100 * latency_ms)))
    logits[torch.arange(80), labels] += 2
    form = EvaluationForm(
        network=format_network(TRAINED_NETWORKS[name.rpartition("-seed")[0]]), data="digits", images=80,
        metrics=metrics(Answers.of(logits, labels)), latency_ms=latency_ms, latency_spread_percent=1.0, device=device,
        versions={}, class_names=tuple(map(str, range(10))), trained_on="digits", classes_said="",
        torch_latency_ms=7.5, torch_latency_iqr_ms=0.25,
    )  # fmt: skip
    write_form(folder / name / "evaluation.json", form)
    return form
