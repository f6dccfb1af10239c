"""Places: which GPU is whose turn, and which of several processes writes."""

import pytest
import torch

from mnas_evo.training.places import WORKER, Place, is_first_process, pick_device

NAMES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_LOCALID", WORKER)


def surroundings(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_of_all_nodes_is_the_first(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], first: bool
) -> None:
    surroundings(monkeypatch, **values)
    assert is_first_process(Place(devices=2)) is first
    assert is_first_process(Place())


@pytest.mark.parametrize(
    ("values", "device"),
    [
        ({}, "cuda:0"),
        ({WORKER: "3"}, "cuda:1"),
        ({"LOCAL_RANK": "1"}, "cuda:1"),
        ({"SLURM_LOCALID": "1", WORKER: "0"}, "cuda:0"),
        ({"SLURM_LOCALID": "1"}, "cuda:1"),
    ],
)
def test_processes_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], device: str) -> None:
    surroundings(monkeypatch, **values)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device() == device
    assert pick_device("cpu") == "cpu"


def test_a_place_has_a_process_for_each_device_of_each_node() -> None:
    assert (Place().processes, Place("cuda:0", devices=4, nodes=2).processes) == (1, 8)
