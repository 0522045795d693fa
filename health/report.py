"""What a check found, and its JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """How fit something is; later members are worse."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """Works with less than it should, or could not be judged; the detail says which."""
    UNHEALTHY = "unhealthy"

    @property
    def exit_code(self) -> int:
        """Return 0, 1 or 2: what a command that reports this status exits with."""
        return _ORDER.index(self)


_ORDER: Final = tuple(Status)


def worst(statuses: Mapping[str, Status] | tuple[Status, ...]) -> Status:
    """Return the worst of some statuses; of none at all, healthy."""
    values = tuple(statuses.values()) if isinstance(statuses, Mapping) else statuses
    return max(values, key=_ORDER.index, default=Status.HEALTHY)


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """The state of one part."""

    status: Status
    latency_ms: float | None
    """How long the part took to answer; None when it was not asked or gave no answer."""
    detail: str = ""
    """One line for people; never holds a secret."""
    hops_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    """Where the time went, for parts that consist of several steps."""

    def as_json(self) -> dict[str, object]:
        """Return `status`, `latency_ms` and `detail`."""
        latency_ms = None if self.latency_ms is None else round(self.latency_ms, 3)
        return {"status": str(self.status), "latency_ms": latency_ms, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Report:
    """The state of all parts at one instant."""

    timestamp: datetime
    components: Mapping[str, ComponentReport]

    @property
    def status(self) -> Status:
        """The worst status of any part."""
        return worst(tuple(component.status for component in self.components.values()))

    @property
    def hops_ms(self) -> dict[str, float]:
        """The steps of all parts by name."""
        return {
            name: round(milliseconds, 3)
            for component in self.components.values()
            for name, milliseconds in component.hops_ms.items()
        }

    def as_json(self) -> dict[str, object]:
        """Return `status`, `timestamp`, `components`, and `hops_ms` when steps were measured."""
        body: dict[str, object] = {
            "status": str(self.status),
            "timestamp": self.timestamp.isoformat(),
            "components": {name: component.as_json() for name, component in self.components.items()},
        }
        return body | ({"hops_ms": self.hops_ms} if self.hops_ms else {})
