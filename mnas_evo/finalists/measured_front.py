"""The front of a run as its device has shown it, also where the device is one of several."""

from collections.abc import Sequence
from dataclasses import replace

from mnas_evo.search.archive import Archive, Value
from mnas_evo.search.front import Candidate, candidates, front


def measured_front(archive: Archive, objectives: Sequence[str], quantity: str) -> list[Candidate]:
    """The front with a latency measured where it was measured, fastest first.

    Of several devices each of the others stands with what its table says; architectures that were measured on this one
    alone count once there are any, as `front` has it for a single device.
    """
    found = candidates(archive)
    if quantity == "latency_ms":
        return front(found, objectives)
    measured = archive.measurements(quantity)
    shown = [_shown(one, quantity, measured[one.network].value) for one in found if one.network in measured]
    return front(shown or found, objectives)


def _shown(candidate: Candidate, quantity: str, ms: float) -> Candidate:
    said = candidate.tell.values[quantity]
    values = {**candidate.tell.values, quantity: Value(ms, "measured")}
    return Candidate(replace(candidate.tell, values=values), candidate.top1, ms, said.value, ms)
