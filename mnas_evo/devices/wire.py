"""The host's words on the wire, whatever carries them: profiling/PROTOCOL.md's."""

from typing import Any

from mnas_evo.latency.runs import Plan

PROTOCOL = 1


def plan_message(plan: Plan, *, folder: str) -> dict[str, Any]:
    """A plan as the agent reads it; `folder` is where the models lie for the agent."""
    return {
        "type": "plan",
        "protocol": PROTOCOL,
        "folder": folder,
        "visit_ns": plan.visit_ns,
        "min_repeats": plan.min_repeats,
        "max_repeats": plan.max_repeats,
        "visits": [
            {"slot": visit.slot, "item": visit.item, "model": visit.model, "in_shape": list(visit.in_shape)}
            for visit in plan.visits
        ],
    }
