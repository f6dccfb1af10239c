"""The device in the loop: a batch's networks measured together, as the paper does (Tan et al. 2019, section 3)."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

from mnas_evo.devices.campaign import Campaign, Item, Outcome, Progress
from mnas_evo.errors import RequestError
from mnas_evo.files import Form, fingerprint, read_form, write_form
from mnas_evo.latency.combine import CONFIDENCE
from mnas_evo.latency.runs import COMPARED, Device, DeviceFacts, RunLog
from mnas_evo.search.archive import Value
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network

# One visit is off by 3 to 18 % on a shared processor, seven spread ones by 1.5 %, which a search that tells networks
# apart by some percent needs; that is a second or two a network, where its accuracy costs minutes.
PASSES = 6
# A batch that is noisier than wanted after six visits is given more, to so much time on the device a network.
SECONDS_PER_NETWORK = 3.0
WANTED_NOISE_PERCENT = 1.0
WANTED_INTERVAL_PERCENT = 3.0

REFERENCE = "mobilenet-v2"
_PREFIX = "device:"
_DONE = "measured.json"
# The campaign's intervals hold 95 %, an archive's 90 %. Normal tails: Student's would make it a little narrower yet.
_NARROWER = NormalDist().inv_cdf(0.95) / NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class MeasuredForm(Form):
    """measured.json of a batch's folder: latency of each network, ms, or why the device refused it; written last."""

    found: dict[str, Value | str]


def latency_target(text: str) -> str:
    """The target in a text such as `device:local`.

    Raises:
        RequestError: it names no device.
    """
    if not text.startswith(_PREFIX) or text == _PREFIX:
        raise RequestError(f"cannot read latency {text!r}: write device:TARGET, such as device:local")
    return text.removeprefix(_PREFIX)


def device_pins(facts: DeviceFacts) -> dict[str, str]:
    """What must not change of a device while a search measures on it, under names for a run's pins."""
    return {f"device's {name}": str(getattr(facts, name)) for name in COMPARED}


class MeasuredOnDevice:
    """Latencies from a device: a campaign a batch, each in a folder of its own, so that a killed one goes on.

    Networks are visited six times, in shuffled passes with MobileNetV2 between, then on while they are noisy and time
    is left. What the device refuses fails; what a batch's folders hold is never measured again.
    """

    def __init__(self, folder: Path, device: Device, frame: Frame, *, seed: int, progress: Progress) -> None:
        self._folder = folder
        self._device = device
        self._reference = named_network(REFERENCE, task=frame)
        self._seed = seed
        self._progress = progress

    def measure(self, networks: Sequence[Network], *, batch: int) -> list[Value | str]:
        """Latency of each, ms, with its 90 % interval; why there is none, as text.

        Raises:
            DeviceError: the device failed; everything measured is kept, and asked again it goes on there.
        """
        asked = {format_network(network): network for network in networks}
        found = self._ended(batch)
        # Asked for a part of a batch after a kill, what was measured of the whole batch counts.
        if left := {name: network for name, network in asked.items() if name not in found}:
            found |= self._measure(left, batch)
        return [found[name] for name in asked]

    def _ended(self, batch: int) -> dict[str, Value | str]:
        """What earlier campaigns of a batch found."""
        found: dict[str, Value | str] = {}
        for path in sorted(self._folder.glob(f"{batch}-*/{_DONE}")):
            found |= read_form(path, MeasuredForm).found
        return found

    def _measure(self, asked: Mapping[str, Network], batch: int) -> dict[str, Value | str]:
        folder = self._folder / f"{batch}-{fingerprint(*asked)[:12]}"
        items = [Item(name, "network", lower(network)) for name, network in asked.items()]
        campaign = Campaign(
            folder, self._device, items, reference=(REFERENCE, lower(self._reference)), seed=self._seed + batch
        )
        outcome = campaign.measure(
            minutes=len(items) * SECONDS_PER_NETWORK / 60,
            wanted_noise_percent=WANTED_NOISE_PERCENT,
            wanted_interval_percent=WANTED_INTERVAL_PERCENT,
            fewest_passes=PASSES,
            progress=self._progress,
        )
        found: dict[str, Value | str] = dict(_values(outcome, source=f"measured:{self._device.facts().runtime}"))
        found |= _refusals(folder, outcome.refused)
        write_form(folder / _DONE, MeasuredForm(found=found))
        shutil.rmtree(folder / "models", ignore_errors=True)
        return found


def _values(outcome: Outcome, *, source: str) -> Iterator[tuple[str, Value]]:
    networks = outcome.networks
    for name, ms, percent in zip(networks.items, networks.ms, networks.interval_percent, strict=True):
        if name in outcome.refused:
            continue
        half = float(ms * percent * _NARROWER / 100)
        yield name, Value(float(ms), source, *((float(ms) - half, float(ms) + half) if math.isfinite(half) else ()))


def _refusals(folder: Path, refused: Sequence[str]) -> dict[str, str]:
    said = {run.item: run.refusal for _, run in RunLog(folder / "runs.jsonl").read() if run.refusal is not None}
    return {name: f"the device refused it: {said[name]}" for name in refused}
