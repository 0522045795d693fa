"""Schedules as people and machines read them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final

from rich.console import Console

from holdfast.cli.terminal import a_table, say
from holdfast.jobs.codec import decode
from holdfast.jobs.errors import InvalidSchedule
from holdfast.jobs.schedules.rule import in_words
from holdfast.jobs.schedules.zones import zone_of
from holdfast.ledger.schedule_records import Schedule

_UTC: Final = "UTC"


def as_json(found: Schedule, *, ticks: int = 1, with_arguments: bool = False) -> dict[str, Any]:
    """Return a schedule for machines; instants in ISO 8601."""
    page = asdict(found.definition)
    arguments = page.pop("arguments")
    page |= {
        "source": found.source.value,
        "release": found.release,
        "next_ticks": [tick.isoformat() for tick in islice(_ticks(found), ticks)],
        "last_tick": _plain(found.last_tick),
        "ticks": found.ticks,
        "paused_at": _plain(found.paused_at),
        "pause_reason": found.pause_reason,
        "created_at": _plain(found.created_at),
        "changed_at": _plain(found.changed_at),
    }
    return page | ({"arguments": decode(arguments)} if with_arguments else {})


def show_list(console: Console, found: Sequence[Schedule]) -> None:
    """Print a table."""
    if not found:
        say(console, "There is no schedule.")
        return
    table = a_table("schedule", "rule", "next tick", "jobs", "")
    for one in found:
        zone = "" if one.definition.zone == _UTC else f" {one.definition.zone}"
        table.add_row(
            one.name,
            f"{one.definition.rule}{zone}",
            "" if one.paused_at else next_tick_of(one),
            str(one.ticks),
            _remark(one),
        )
    console.print(table, markup=False)


def show_one(console: Console, found: Schedule, *, ticks: int, with_arguments: bool) -> None:
    """Print one, a line for each fact."""
    definition = found.definition
    facts = {
        "schedule": definition.name,
        "rule": f"{definition.rule} ({_words(definition.rule)})",
        "zone": definition.zone,
        "task": f"{definition.task} version {definition.version}, queue {definition.queue}",
        "missed ticks": definition.missed.value,
        "deadline": None if definition.deadline_seconds is None else f"{definition.deadline_seconds:g} s",
        "tenant": definition.tenant,
        "arguments": definition.arguments if with_arguments else None,
        "said by": f"the code, release {found.release}" if found.source == "code" else "an operator",
        "jobs": str(found.ticks),
        "last tick": None if found.last_tick is None else _local(found, found.last_tick),
        "state": _remark(found) or "ticks",
    }
    table = a_table("", "")
    table.show_header = False
    for name, text in facts.items():
        if text is not None:
            table.add_row(name, text)
    for number, tick in enumerate(islice(_ticks(found), ticks)):
        table.add_row("" if number else "next ticks", _local(found, tick))
    console.print(table, markup=False)


def next_tick_of(found: Schedule) -> str:
    """Write when it ticks next, by the clocks of its zone."""
    return _local(found, found.next_tick)


def _ticks(found: Schedule) -> Iterator[datetime]:
    """Give the next ticks; none while it is paused or cannot be followed."""
    if found.paused_at is not None:
        return
    tick = found.next_tick
    yield tick
    try:
        rule = found.definition.rule_from(found.anchor)
        while True:
            tick = rule.next_after(tick)
            yield tick
    except InvalidSchedule:
        return


def _local(found: Schedule, instant: datetime) -> str:
    with suppress(InvalidSchedule):
        instant = instant.astimezone(zone_of(found.definition.zone))
    return f"{instant:%Y-%m-%d %H:%M:%S %Z}"


def _remark(found: Schedule) -> str:
    if found.paused_at is None:
        return ""
    reason = f": {found.pause_reason}" if found.pause_reason else ""
    return f"paused since {found.paused_at:%Y-%m-%d %H:%M:%S}{reason}"


def _words(rule: str) -> str:
    try:
        return in_words(rule)
    except InvalidSchedule:
        return "it cannot be read"


def _plain(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
