"""Takes a front back to the device: what its networks really take, and how far predictions were off there.

A search seeks out what is underpredicted, so the error on a front is not the error on random networks. Some networks
of the table are measured again beside the front: what they differ by since is the device's doing.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import Campaign, Item, Progress
from mnas_evo.errors import DeviceError, RequestError
from mnas_evo.files import Form, fingerprint, versions, write_form
from mnas_evo.finalists.choose import OBJECTIVES, spread
from mnas_evo.latency.runs import Device, DeviceFacts
from mnas_evo.latency.table import Table, find_table, read_table
from mnas_evo.search.archive import Measurement
from mnas_evo.search.front import Candidate, candidates, front
from mnas_evo.search.run import open_run
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network

ANCHORS = 8
PASSES = 8
WANTED_NOISE_PERCENT = 0.3


@dataclass(frozen=True, slots=True)
class Remeasured:
    """What re-measuring came to. Errors are of predicted against measured, percent; bias > 0: slower than predicted.

    `anchors_*` compare the table's own networks now and then; nan where the run has no table.
    """

    networks: int
    noise_percent: float
    error_percent: float
    bias_percent: float
    inside_interval: int
    anchors_error_percent: float
    anchors_bias_percent: float

    def in_words(self) -> str:
        """What re-measuring says of the predictions, in sentences."""
        found = f"{self.networks} networks of the front measured (noise {self.noise_percent:.2f} %)"
        off = f"predictions were off by {self.error_percent:.1f} % with a bias of {self.bias_percent:+.1f} %"
        return f"{found}: {off}; {self.inside_interval} lay in their interval. {self.drift_in_words()}".rstrip()

    def drift_in_words(self) -> str:
        """What the table's own networks say of the device since, in a sentence; nothing where there were none."""
        if math.isnan(self.anchors_error_percent):
            return ""
        return (
            "The table's own networks, measured again beside them, differ from the table by "
            f"{self.anchors_error_percent:.1f} % with a bias of {self.anchors_bias_percent:+.1f} %: "
            "so much is the device's."
        )


class RemeasuredForm(Form):
    """remeasure.json in a run's folder: what the newest re-measuring came to."""

    device: DeviceFacts
    found: Remeasured
    seed: int
    versions: dict[str, str]


def remeasure(
    folder: Path, device: Device, *, top: int, minutes: float, progress: Progress, seed: int = 0
) -> Remeasured:
    """Measures a spread of a run's predicted front and writes what it finds into the archive, beside the tells.

    Killed and started again it goes on; an ended one is not measured again unless the front has changed.

    Raises:
        RequestError: no front with latencies, or a device other than the table's.
        DeviceError: the device failed; everything measured is kept.
    """
    form, archive = open_run(folder)
    if len(form.tables) > 1:
        raise RequestError(f"{folder} is a search for several devices; only those for one can be measured again so far")
    with archive:
        if form.device is not None:
            raise RequestError(
                f"{folder} measured latency as it searched, on {form.device}: it has no predictions to check; train "
                "one of its front"
            )
        chosen = spread(_predicted_front(candidates(archive)), top)
        if not chosen:
            raise RequestError(f"{folder} has no front with latencies to measure again")
        table = read_table(find_table(form.tables[0])) if form.tables else None
        batch = table.device.batch if table is not None else 1
        facts = device.facts().model_copy(update={"batch": batch})
        name = table.name if table is not None else facts.runtime
        if table is not None and (differences := table.device.differences(facts)):
            raise RequestError(
                f"the predictions of {folder} are for another device ({'; '.join(differences)}); profile this one first"
            )
        anchors = _anchors(table, {candidate.network for candidate in chosen})
        names = [candidate.network for candidate in chosen] + list(anchors)
        identity = fingerprint(*names, str(seed))[:12]
        raw = folder / "remeasure" / identity
        reference = named_network("mobilenet-v2", task=parse_network(names[0]).frame)
        items = [Item(name, "network", lower(parse_network(name))) for name in names]
        campaign = Campaign(raw, device, items, reference=("mobilenet-v2", lower(reference)), batch=batch, seed=seed)
        outcome = campaign.measure(
            minutes=minutes, wanted_noise_percent=WANTED_NOISE_PERCENT, fewest_passes=PASSES, progress=progress
        )
        shutil.rmtree(raw / "models", ignore_errors=True)
        if outcome.refused:
            raise DeviceError(f"the device refused {len(outcome.refused)} networks of the front: {outcome.refused[0]}")
        ms = dict(zip(outcome.networks.items, outcome.networks.ms, strict=True))
        spreads = dict(zip(outcome.networks.items, outcome.networks.spread_percent, strict=True))
        written = archive.measurements("latency_ms")
        archive.add_measurements(
            [
                _measurement(candidate, float(ms[candidate.network]), float(spreads[candidate.network]), identity, name)
                for candidate in chosen
                if not _is_written(written.get(candidate.network), float(ms[candidate.network]), identity)
            ]
        )
    found = _judge(chosen, ms, anchors, outcome.networks.noise_percent)
    write_form(folder / "remeasure.json", RemeasuredForm(device=facts, found=found, seed=seed, versions=versions()))
    return found


def _is_written(newest: Measurement | None, ms: float, identity: str) -> bool:
    """Whether the archive's newest measurement is this one: more minutes spent on a campaign give a new one."""
    return newest is not None and newest.details.get("campaign") == identity and newest.value == ms


def _predicted_front(found: Sequence[Candidate]) -> list[Candidate]:
    """The front by predicted latencies, whatever was measured since: the same set each time it is asked for."""
    known = [c for c in found if c.predicted_ms is not None and c.top1 is not None]
    by_prediction = [Candidate(c.tell, c.top1, c.predicted_ms, c.predicted_ms, None) for c in known]
    return front(by_prediction, OBJECTIVES)


def _anchors(table: Table | None, without: set[str]) -> dict[str, float]:
    """Some sampled networks of the table, spread over its latencies, with the ms it has for them."""
    if table is None:
        return {}
    sampled = sorted(
        (entry for entry in table.networks if entry.role == "sampled" and entry.network not in without),
        key=lambda entry: entry.time.ms,
    )
    rows = np.unique(np.linspace(0, len(sampled) - 1, min(ANCHORS, len(sampled))).round().astype(int))
    return {sampled[row].network: sampled[row].time.ms for row in rows}


def _measurement(candidate: Candidate, ms: float, spread_percent: float, identity: str, device: str) -> Measurement:
    said = candidate.tell.values["latency_ms"]
    inside = said.low is not None and said.high is not None and said.low <= ms <= said.high
    details = {"campaign": identity, "predicted_ms": said.value, "inside_interval": inside}
    return Measurement(candidate.network, "latency_ms", ms, f"measured:{device}", spread_percent, details)


def _judge(
    chosen: Sequence[Candidate], ms: dict[str, float], anchors: dict[str, float], noise_percent: float
) -> Remeasured:
    measured = np.array([ms[candidate.network] for candidate in chosen])
    predicted = np.array([candidate.tell.values["latency_ms"].value for candidate in chosen])
    inside = sum(
        value.low is not None and value.high is not None and value.low <= now <= value.high
        for value, now in zip((c.tell.values["latency_ms"] for c in chosen), measured, strict=True)
    )
    off = 100 * (measured / predicted - 1)
    drift = 100 * (np.array([ms[name] for name in anchors]) / np.array(list(anchors.values())) - 1)
    return Remeasured(
        len(chosen),
        noise_percent,
        float(np.abs(off).mean()),
        float(off.mean()),
        int(inside),
        float(np.abs(drift).mean()) if len(drift) else float("nan"),
        float(drift.mean()) if len(drift) else float("nan"),
    )
