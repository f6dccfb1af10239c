"""Profiling: from a device and a space to a latency table, in a campaign that survives anything."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import FEWEST_PASSES, MOST_PASSES, Campaign, Item, Outcome, Progress
from mnas_evo.devices.survey import Survey
from mnas_evo.errors import RequestError
from mnas_evo.files import fingerprint, only_process, versions, write_text
from mnas_evo.latency.combine import Combined
from mnas_evo.latency.runs import Device, DeviceFacts
from mnas_evo.latency.table import (
    CampaignFacts,
    Measured,
    MeasuredNetwork,
    Role,
    Table,
    merge,
    read_table,
    refuse_stock,
    row_key,
    write_table,
)
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace

REFERENCE = "mobilenet-v2"


@dataclass(frozen=True)
class ProfileRequest:
    """What to measure: a space's rows and a sample of its networks, and networks asked for by name or string.

    `batch` images go through a model at once.
    """

    space: SearchSpace | None
    asked: tuple[Network, ...] = ()
    networks: int = 100
    missing: bool = False
    batch: int = 1
    seed: int = 0

    @property
    def task(self) -> Frame:
        """Input and classes, which the landmarks take over."""
        if self.space is not None:
            return self.space.frame
        if not self.asked:
            raise RequestError("nothing to measure: give --space or --arch")
        return self.asked[0].frame


def profile(
    folder: Path,
    device: Device,
    request: ProfileRequest,
    *,
    target: str,
    minutes: float,
    progress: Progress,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Table, CampaignFacts | None]:
    """Measures what is asked into the table folder; begun before, it goes on where it was.

    Where the fewest passes over all rows of a space would take longer than `minutes`, the rows of whole networks are
    measured, then those that architectures use most, as time allows; 0 minutes stand for the fewest passes over all.
    `say` is told beforehand what will be measured, how long it takes and why. The campaign is None where nothing is
    missing that was asked for as missing.

    Raises:
        RequestError: nothing to measure, a read-only folder, or a table of another device.
        DeviceError: the device failed; all measured is kept.
    """
    refuse_stock(folder)
    with only_process(folder, doing="profiling into"):
        table = read_table(folder) if (folder / "device.json").exists() else None
        # A table is known by its folder; what its machine is called at home concerns nobody else.
        facts = device.facts().model_copy(update={"name": folder.name, "batch": request.batch})
        if table is not None and (differences := table.device.differences(facts)):
            raise RequestError(
                f"{folder} was measured on another device ({'; '.join(differences)}); give another --table"
            )
        networks = _landmarks_and_asked(request)
        layers = _layers(request, networks, facts)
        if request.missing and table is not None:
            lacking = set(table.missing(layers))
            layers = [layer for layer in layers if row_key(layer, device=facts) in lacking]
            known = {entry.network for entry in table.networks}
            networks = {name: entry for name, entry in networks.items() if name not in known}
            if not layers and not networks:
                return table, None
        sampled: list[Network] = []
        if request.space is not None and layers:
            identity = _identity(request, layers, networks, facts)
            seen = _scout(folder, device, layers, request, identity=identity, facts=facts, progress=progress)
            overhead = (seen.device_seconds - seen.inside_seconds) / max(1, int(seen.rows.visits.sum()))
            survey = Survey(request.space, _measured(seen.rows), facts, request.seed, overhead)
            layers = _affordable(survey, layers, networks, request, minutes=minutes, say=say)
            if request.networks and not request.missing:
                beside = [network for _, network in networks.values()]
                sampled = survey.telling(request.networks, layers=layers, beside=beside)
        for network in sampled:
            networks.setdefault(format_network(network), ("sampled", network))
        items = [_row_item(layer, facts) for layer in layers]
        items += [Item(name, "network", lower(network)) for name, (_, network) in networks.items()]
        identity = _identity(request, layers, networks, facts)
        raw = folder / "raw" / identity
        campaign = Campaign(
            raw, device, items, reference=_reference(request.task), batch=request.batch, seed=request.seed
        )
        outcome = campaign.measure(
            minutes=minutes,
            fewest_passes=FEWEST_PASSES,
            progress=lambda share, text: progress(0.05 + 0.95 * share, text),
        )
        campaign_facts = _facts(outcome, identity=identity, target=target, space=request.space, seed=request.seed)
        new = Table(
            folder,
            facts,
            (campaign_facts,),
            _measured(outcome.rows),
            tuple(MeasuredNetwork(name, networks[name][0], time) for name, time in _measured(outcome.networks).items()),
        )
        table = merge(table, new)
        write_table(folder, table)
        write_text(folder / "README.md", _readme(table))
        shutil.rmtree(raw / "models", ignore_errors=True)
        return table, campaign_facts


_Networks = dict[str, tuple[Role, Network]]


def _landmarks_and_asked(request: ProfileRequest) -> _Networks:
    found: _Networks = {}
    for name in LANDMARKS:
        network = named_network(name, task=request.task)
        found[format_network(network)] = ("landmark", network)
    for network in request.asked:
        found.setdefault(format_network(network), ("asked", network))
    return found


def _layers(request: ProfileRequest, networks: _Networks, facts: DeviceFacts) -> list[Layer]:
    """A layer for each row that is to be measured, the space's own first."""
    layers = list(request.space.layers()) if request.space is not None else []
    layers += [layer for _, network in networks.values() for layer in lower(network).layers]
    # Layers may differ in what their row does not tell apart: a classifier knows no activation.
    return list({row_key(layer, device=facts): layer for layer in reversed(layers)}.values())[::-1]


def _scout(
    folder: Path,
    device: Device,
    layers: Sequence[Layer],
    request: ProfileRequest,
    *,
    identity: str,
    facts: DeviceFacts,
    progress: Progress,
) -> Outcome:
    """One quick pass over the rows, which says how fast networks will be, so that a sample can be chosen."""
    raw = folder / "raw" / f"{identity}-scout"
    items = [_row_item(layer, facts) for layer in layers]
    campaign = Campaign(raw, device, items, reference=_reference(request.task), batch=request.batch, seed=request.seed)
    outcome = campaign.measure(
        minutes=0.0, fewest_passes=1, progress=lambda share, _: progress(0.05 * share, "a first look at every row")
    )
    shutil.rmtree(raw / "models", ignore_errors=True)
    return outcome


def _affordable(
    survey: Survey,
    layers: list[Layer],
    networks: _Networks,
    request: ProfileRequest,
    *,
    minutes: float,
    say: Callable[[str], None],
) -> list[Layer]:
    """The rows that the fewest passes have time for, and what there is to be said about it."""
    sampled = 0 if request.missing else min(request.networks, survey.known_architectures)
    count = len(networks) + sampled
    pass_seconds = survey.pass_seconds(layers, networks=count)
    lasts = f"{pass_seconds:.0f} s" if pass_seconds < 90 else f"{pass_seconds / 60:.1f} minutes"
    say(
        f"{len(layers):,} rows and {count} whole networks: a pass over all takes about {lasts}; {FEWEST_PASSES} to "
        f"{MOST_PASSES} passes, until the noise is low or {minutes:g} minutes are spent"
    )
    whole_minutes = FEWEST_PASSES * pass_seconds / 60
    if minutes == 0 or whole_minutes <= minutes:
        return layers
    named = {row_key(layer, device=survey.facts) for _, network in networks.values() for layer in lower(network).layers}
    needed = {layer for layer in layers if row_key(layer, device=survey.facts) in named}
    affordable = 60 * minutes / FEWEST_PASSES
    rows = survey.rows_of_networks(sampled, needed=needed, networks=count, pass_seconds=affordable)
    kept = survey.affordable(layers, needed=needed | rows, networks=count, pass_seconds=affordable)
    share = sum(survey.uses.get(layer, 0) for layer in kept) / max(1, sum(survey.uses.values()))
    say(
        f"{minutes:g} minutes allow for {len(kept):,} of the rows: those of whole networks and those used most, "
        f"{100 * share:.1f} % of the layers of sampled architectures. For all give "
        f"--minutes {_rounded_up(whole_minutes):g}, or go on later with --missing"
    )
    return kept


def _rounded_up(value: float) -> float:
    """Two digits of it, never less."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.2g}")


def _row_item(layer: Layer, facts: DeviceFacts) -> Item:
    return Item(row_key(layer, device=facts), "row", Graph(layer.in_shape, (layer,), ("row",)))


def _reference(task: Frame) -> tuple[str, Graph]:
    network = named_network(REFERENCE, task=task)
    return format_network(network), lower(network)


def _identity(request: ProfileRequest, layers: Sequence[Layer], networks: _Networks, facts: DeviceFacts) -> str:
    """Short name of this request's campaign, so that the same request goes on and another begins anew."""
    keys = [row_key(layer, device=facts) for layer in layers]
    return fingerprint(*keys, *networks, f"{request.networks} {request.seed}")[:12]


def _measured(found: Combined) -> dict[str, Measured]:
    rows = zip(found.items, found.ms, found.spread_percent, found.visits, strict=True)
    return {item: Measured(float(ms), float(spread), int(n)) for item, ms, spread, n in rows if n}


def _facts(outcome: Outcome, *, identity: str, target: str, space: SearchSpace | None, seed: int) -> CampaignFacts:
    def known(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return CampaignFacts(
        id=identity,
        date=outcome.date,
        target=target,
        space=space.name if space else None,
        space_fingerprint=space.fingerprint if space else None,
        passes=outcome.passes,
        device_seconds=round(outcome.device_seconds, 3),
        inside_seconds=round(outcome.inside_seconds, 3),
        noise_rows_percent=known(outcome.rows.noise_percent),
        noise_networks_percent=known(outcome.networks.noise_percent),
        exposure_rows=outcome.rows.exposure,
        exposure_networks=outcome.networks.exposure,
        reference=REFERENCE,
        reference_ms=outcome.reference_ms,
        seed=seed,
        versions=versions(),
        refused=outcome.refused,
        unstable=outcome.unstable,
    )


def _readme(table: Table) -> str:
    last = table.campaigns[-1]
    noise = "not known" if last.noise_networks_percent is None else f"{last.noise_networks_percent:.2f} %"
    how = f"{table.device.runtime} {table.device.runtime_version}, {table.device.threads} thread(s)"
    return (
        f"# {table.name}\n\n"
        f"{table.device.soc}, {how}, {table.device.precision}, batch {table.device.batch}.\n"
        f"{len(table.rows)} rows and {len(table.networks)} networks; last measured {last.date}: {last.passes} passes, "
        f"{last.device_seconds:.0f} s on the device.\n\n"
        f"Noise of a network's time: {noise} (half of what random halves of the passes disagree by, on average).\n"
    )
