"""How breakers look on a terminal and in JSON."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from holdfast.cli.status.vitals import duration
from holdfast.cli.terminal import a_table, say
from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.control import Upstream

_MILLI: Final = 1000.0
_STYLES: Final = {
    Phase.CLOSED.value: "green",
    Phase.OPEN.value: "red",
    Phase.HALF_OPEN.value: "yellow",
    Phase.RAMP.value: "yellow",
    Override.ISOLATED.value: "bold red",
    Override.DISABLED.value: "magenta",
    Override.SHADOW.value: "magenta",
}


def show_list(console: Console, found: Sequence[Upstream]) -> None:
    """Print a table, or a line that says what an empty one means."""
    if not found:
        say(console, "No upstream was called, or ordered about, within the last hour.")
        return
    table = a_table("upstream", "state", "why", "opens again in", "failed", "calls")
    for one in found:
        state = state_of(one)
        ok, failed = counts_of(one)
        # Names and reasons are other people's, and have brackets.
        table.add_row(
            Text(one.name),
            Text(state, _STYLES[state]),
            Text(one.now.reason),
            _wait(one),
            str(failed),
            str(ok + failed),
        )
    console.print(table)


def show_one(console: Console, one: Upstream) -> None:
    """Print everything that is known of one."""
    circuit, now, state = one.circuit, one.now, state_of(one)
    ok, failed = counts_of(one)
    say(console, f"{one.name}: {state}", _STYLES[state])
    lines = [
        ("why", now.reason),
        ("next call in", _wait(one)),
        (
            "in its window",
            f"{ok} went well, {failed} failed, {sum(slot.pushed for slot in circuit.slots)} pushed back",
        ),
        ("failures in a row", str(circuit.streak) if circuit.streak else ""),
        ("openings in a row", str(circuit.trips) if circuit.trips else ""),
        ("ramp", f"{now.rate / _MILLI:.1f} calls/s" if now.phase is Phase.RAMP else ""),
        ("a probe is under way", "yes" if circuit.probe_owner else ""),
        ("ordered by", circuit.override_actor if now.override is not Override.NONE else ""),
        ("phase beneath", now.phase.value if now.override is not Override.NONE else ""),
        ("epoch", str(now.epoch)),
    ]
    for label, text in lines:
        if text:
            say(console, f"  {label}: {text}")


def as_json(one: Upstream) -> dict[str, Any]:
    """Return it for machines; times are seconds from now."""
    circuit, now = one.circuit, one.now
    ok, failed = counts_of(one)
    return {
        "upstream": one.name, "state": state_of(one),
        "phase": now.phase.value, "override": now.override.value,
        "reason": now.reason, "closed_for_seconds": now.closed_for / _MILLI,
        "not_before_seconds": now.not_before / _MILLI, "rate": now.rate / _MILLI, "epoch": now.epoch,
        "ok": ok, "failed": failed, "streak": circuit.streak, "openings": circuit.trips,
        "is_probed": bool(circuit.probe_owner), "actor": circuit.override_actor,
    }  # fmt: skip


def state_of(one: Upstream) -> str:
    """Name what holds: the override, else the phase."""
    return one.now.override.value or one.now.phase.value


def counts_of(one: Upstream) -> tuple[int, int]:
    """Add up what the window holds: calls that went well, and that failed."""
    slots = one.circuit.slots
    return sum(slot.ok for slot in slots), sum(slot.failed for slot in slots)


def _wait(one: Upstream) -> str:
    wait = max(one.now.closed_for, one.now.not_before) / _MILLI
    return duration(wait) if wait > 0 else ""
