"""Takes a front back to the device: what its networks really take, written beside what they were said to take.

Some networks of the table are measured again beside the front: what they differ by since is the device's doing.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import Campaign, Item, Outcome, Progress
from mnas_evo.errors import DeviceError, RequestError
from mnas_evo.files import fingerprint, versions, write_form
from mnas_evo.finalists.choose import finalists
from mnas_evo.finalists.verdicts import REMEASURED, RemeasuredForm, Verdict, summarised
from mnas_evo.latency.form import PREDICTOR, read_predictor_form
from mnas_evo.latency.predictor import predictor_fingerprint
from mnas_evo.latency.runs import Device, DeviceFacts
from mnas_evo.latency.table import Table, find_table, read_table
from mnas_evo.search.archive import Archive, Measurement, Tell
from mnas_evo.search.front import Candidate
from mnas_evo.search.objectives import MAXIMISED, latency_quantities
from mnas_evo.search.on_device import device_pins
from mnas_evo.search.run import RunForm, open_run
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network

ANCHORS = 8
ANCHORS_SHARE = 3  # one for so many of the front: the shift of many is wanted as finely as their bias
PASSES = 8
WANTED_NOISE_PERCENT = 0.3


def remeasure(
    folder: Path,
    device: Device,
    *,
    top: int,
    minutes: float,
    progress: Progress,
    target_ms: float | None = None,
    table: str | None = None,
    seed: int = 0,
) -> RemeasuredForm:
    """Measures finalists of a run and writes what it finds into the archive, beside the tells, and remeasure.json.

    The limit they are chosen around is `target_ms`, else the run's own on this latency, else the one target of its
    reward, else none. `table` names the one of several that the device is of. Killed, or left by its device, and
    started again it goes on; an ended one is not measured again unless the front or the limit has changed. What the
    device refuses is left out and named.

    Raises:
        RequestError: no front with latencies, no such table, or a device other than the table's.
        DeviceError: the device failed or refused all; everything measured is kept.
    """
    form, archive = open_run(folder)
    with archive:
        quantity, known = latency_of(folder, form, table)
        limit_ms = limit_of(form, quantity, target_ms)
        chosen = _finalists(archive, form, quantity, count=top, limit_ms=limit_ms)
        if not chosen:
            raise RequestError(f"{folder} has no front of top-1 and latency to measure again")
        facts = device.facts().model_copy(update={"batch": known.device.batch if known is not None else 1})
        _refuse_other_device(folder, form, known, facts)
        anchors = _anchors(known, chosen)
        names = [*chosen, *anchors]
        identity = fingerprint(*names, str(seed))[:12]
        campaign = _campaign(folder / "remeasure" / identity, device, names, batch=facts.batch, seed=seed)
        outcome = campaign.measure(
            minutes=minutes, wanted_noise_percent=WANTED_NOISE_PERCENT, fewest_passes=PASSES, progress=progress
        )
        shutil.rmtree(folder / "remeasure" / identity / "models", ignore_errors=True)
        verdicts = _verdicts(chosen, outcome, quantity)
        if not verdicts:
            raise DeviceError(f"the device refused all {len(chosen)} networks of the front, {outcome.refused[0]} first")
        source = f"measured:{known.name if known is not None else facts.runtime}"
        _write(archive, verdicts, quantity=quantity, source=source, identity=identity)
    now = {name: float(ms) for name, ms in zip(outcome.networks.items, outcome.networks.ms, strict=True)}
    found = RemeasuredForm(
        device=facts,
        found=summarised(
            verdicts,
            noise_percent=outcome.networks.noise_percent,
            anchors=[(ms, now[name]) for name, ms in anchors.items() if name not in outcome.refused],
            held_out=_held_out(form, known),
        ),
        seed=seed,
        versions=versions(),
        quantity=quantity,
        as_searched=form.device is not None,
        limit_ms=limit_ms,
        verdicts=verdicts,
        refused=tuple(name for name in outcome.refused if name in chosen),
        unstable=tuple(name for name in outcome.unstable if name in chosen),
    )
    write_form(folder / REMEASURED, found)
    return found


def _campaign(raw: Path, device: Device, names: Sequence[str], *, batch: int, seed: int) -> Campaign:
    items = [Item(name, "network", lower(parse_network(name))) for name in names]
    reference = lower(named_network("mobilenet-v2", task=parse_network(names[0]).frame))
    return Campaign(raw, device, items, reference=("mobilenet-v2", reference), batch=batch, seed=seed)


def latency_of(folder: Path, form: RunForm, table: str | None) -> tuple[str, Table | None]:
    """The latency to measure: its name in the archive, and its table, None where the search measured it itself.

    Raises:
        RequestError: the run has several tables, or not the one named.
    """
    tables = {Path(name).name: name for name in form.tables}
    if table is not None and Path(table).name not in tables:
        known = ", ".join(tables) or "none, for it measured as it searched"
        raise RequestError(f"{folder} was not searched with table {table!r}; its tables: {known}")
    if len(tables) > 1 and table is None:
        raise RequestError(
            f"{folder} is a search for several devices; say which one is measured: --table {' or '.join(tables)}"
        )
    if not tables:
        return "latency_ms", None
    name = next(iter(tables)) if table is None else Path(table).name
    return latency_quantities(list(tables))[name], read_table(find_table(tables[name]))


def limit_of(form: RunForm, quantity: str, target_ms: float | None) -> float | None:
    """The latency that finalists should stay within, ms: as given, the run's limit, or its reward's only target.

    Raises:
        RequestError: one that is not positive.
    """
    if target_ms is not None:
        if not 0 < target_ms < math.inf:
            raise RequestError(f"a latency budget is a positive number of ms, not {target_ms}")
        return target_ms
    if quantity in form.limits:
        return form.limits[quantity]
    targets: Sequence[float] = form.settings.get("target") or ()
    return targets[0] if quantity in form.objectives and len(targets) == 1 else None


def _finalists(
    archive: Archive, form: RunForm, quantity: str, *, count: int, limit_ms: float | None
) -> dict[str, Candidate]:
    """The chosen, by their strings, whatever was measured since: the same set each time it is asked for."""
    others = {name: limit for name, limit in form.limits.items() if name != quantity}
    within, beyond = [], []
    for tell in archive.tells():
        if tell.repeat or tell.kind == "failure" or not {"top1", quantity} <= tell.values.keys():
            continue
        ms = tell.values[quantity].value
        candidate = Candidate(tell, tell.values["top1"].value, ms, ms, None)
        if tell.violation == 0:
            within.append(candidate)
        elif _meets(tell, others):
            beyond.append(candidate)
    chosen = finalists(within, count, limit_ms=limit_ms, beyond=beyond)
    return {candidate.network: candidate for candidate in chosen}


def _meets(tell: Tell, limits: Mapping[str, float]) -> bool:
    return all(
        (tell.values[name].value >= limit if name in MAXIMISED else tell.values[name].value <= limit)
        for name, limit in limits.items()
        if name in tell.values
    )


def _refuse_other_device(folder: Path, form: RunForm, table: Table | None, facts: DeviceFacts) -> None:
    """Raises RequestError for a device whose times are no check on what the search was told."""
    if table is not None:
        if differences := table.device.differences(facts):
            raise RequestError(
                f"the predictions of {folder} are for another device ({'; '.join(differences)}); profile this one first"
            )
        return
    for name, now in device_pins(facts).items():
        if (was := form.pins.get(name, now)) != now:
            raise RequestError(
                f"{folder} was measured on another device: {name} was {was!r}, not {now!r}; give its --on"
            )


def _anchors(table: Table | None, chosen: Mapping[str, Candidate]) -> dict[str, float]:
    """Some sampled networks of the table, spread over its latencies, with the ms it has for them."""
    if table is None:
        return {}
    sampled = sorted(
        (entry for entry in table.networks if entry.role == "sampled" and entry.network not in chosen),
        key=lambda entry: entry.time.ms,
    )
    count = min(max(ANCHORS, len(chosen) // ANCHORS_SHARE), len(sampled))
    rows = np.unique(np.linspace(0, len(sampled) - 1, count).round().astype(int))
    return {sampled[row].network: sampled[row].time.ms for row in rows}


def _verdicts(chosen: Mapping[str, Candidate], outcome: Outcome, quantity: str) -> tuple[Verdict, ...]:
    networks, found = outcome.networks, []
    for name, ms, spread_percent, visits in zip(
        networks.items, networks.ms, networks.spread_percent, networks.visits, strict=True
    ):
        if name in chosen and name not in outcome.refused:
            told, said = chosen[name], chosen[name].tell.values[quantity]
            # What a search measured itself has an interval of that hour's noise, which promises nothing for another.
            low, high = (None, None) if quantity == "latency_ms" and told.prediction is None else (said.low, said.high)
            found.append(Verdict(name, said.value, low, high, float(ms), float(spread_percent), int(visits)))
    return tuple(found)


def _write(archive: Archive, verdicts: Sequence[Verdict], *, quantity: str, source: str, identity: str) -> None:
    """Adds what the archive does not hold yet; more minutes spent on a campaign give a new measurement."""
    written = archive.measurements(quantity)
    new = []
    for one in verdicts:
        newest = written.get(one.network)
        if newest and newest.details.get("campaign") == identity and newest.value == one.measured_ms:
            continue
        details = {
            "campaign": identity,
            "predicted_ms": one.predicted_ms,
            "inside_interval": one.interval == "inside",
            "visits": one.visits,
        }
        new.append(Measurement(one.network, quantity, one.measured_ms, source, one.spread_percent, details))
    archive.add_measurements(new)


def _held_out(form: RunForm, table: Table | None) -> list[tuple[float, float]]:
    """(Predicted, measured) ms of the networks that the run's predictor was judged on; none if it is another by now."""
    if table is None or not (table.folder / PREDICTOR).is_file():
        return []
    pin = form.pins.get("table" if len(form.tables) == 1 else f"table {table.name}")
    if pin != predictor_fingerprint(table.folder):
        return []
    try:
        fit = read_predictor_form(table.folder)
    except RequestError:  # of another version, which the campaign that has just ended must not fall for
        return []
    return list(zip(fit.predicted_ms, fit.measured_ms, strict=True))
