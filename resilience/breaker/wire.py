"""Circuits, messages and replies as JSON, the way the store's script reads and writes them."""

import json
from dataclasses import asdict
from typing import Any

from holdfast.resilience.breaker.circuit import Circuit, Override, Phase, Slot, Turn
from holdfast.resilience.breaker.message import Message, Reply
from holdfast.resilience.breaker.terms import Terms


def as_json(value: Circuit | Message | Terms) -> str:
    """Write all fields under their names."""
    return json.dumps(asdict(value), separators=(",", ":"))


def circuit_of_json(text: str | bytes) -> Circuit:
    """Read a circuit. Raises ValueError, KeyError or TypeError for what is none."""
    values: dict[str, Any] = json.loads(text)
    # A script of the store writes an empty list as an empty object.
    values["slots"] = [Slot(**slot) for slot in values["slots"]]
    for name in ("recent", "heard", "failers"):
        values[name] = [(first, second) for first, second in values[name]]
    values["phase"], values["override"] = Phase(values["phase"]), Override(values["override"])
    return Circuit(**values)


def reply_of_json(text: str | bytes) -> Reply:
    """Read a reply. Raises ValueError, KeyError or TypeError for what is none."""
    values: dict[str, Any] = json.loads(text)
    values["phase"], values["override"] = Phase(values["phase"]), Override(values["override"])
    values["turns"] = tuple(Turn(turn) for turn in values["turns"])
    return Reply(**values)
