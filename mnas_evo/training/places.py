"""Where and on how many threads torch computes; nothing here brings Lightning, which takes seconds to import."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

WORKER = "MNAS_EVO_WORKER"
"""Variable of the environment that tells a process of a pool its number."""

# What launchers tell a process of a training in several of its number: of all, or of its node's.
_RANK, _LOCAL_RANK, _NODE_RANK = "RANK", "LOCAL_RANK", "NODE_RANK"
_SLURM_RANK, _SLURM_LOCAL_RANK = "SLURM_PROCID", "SLURM_LOCALID"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training runs: its device (cpu or cuda:K), and in how many processes, one a device, on how many nodes."""

    device: str = "cpu"
    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes


def pick_device(asked: str = "auto") -> str:
    """The device asked for; auto is the CPU, or where CUDA devices are visible the one whose turn this process is."""
    if asked != "auto":
        return asked
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    turn = next((os.environ[name] for name in (_LOCAL_RANK, WORKER, _SLURM_LOCAL_RANK) if name in os.environ), "0")
    return f"cuda:{int(turn) % count}" if count else "cpu"


def is_first_process(place: Place) -> bool:
    """Whether this process is the one that writes and speaks; of a training in one process it is, whatever its number.

    Parallel jobs of a cluster have numbers too, and each trains a network of its own.
    """
    if place.processes == 1:
        return True
    if _RANK in os.environ:
        return os.environ[_RANK] == "0"
    if _LOCAL_RANK in os.environ:
        return os.environ[_LOCAL_RANK] == "0" and os.environ.get(_NODE_RANK, "0") == "0"
    return os.environ.get(_SLURM_RANK, "0") == "0"


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread of this process while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
