"""`docs/events.md`, written from the events themselves.

Run `python -m holdfast.monitoring.events_page > docs/events.md` after changing `jobs/events.py`; a
test compares the two.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Final

from holdfast.jobs import events, ring_events, schedule_events, upstream_events
from holdfast.monitoring.logs import event_name

HEAD: Final = """\
# Events

What happens is told by typed events (`jobs/events.py`, `jobs/ring_events.py`,
`jobs/upstream_events.py`, `jobs/schedule_events.py`). Each becomes one line of the log under the
name below, and most are counted (`docs/monitoring.md`). They carry ids, names, numbers and reasons,
never arguments, results or secrets. A new field may come at any time; a name or a meaning changes
only with a note in the changelog.

This page is written by `python -m holdfast.monitoring.events_page`.
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, _overview(), *(_section(kind) for kind in kinds())])


def kinds() -> tuple[type[events.Event], ...]:
    """Return every event in the order of the files."""
    homes = (events, ring_events, upstream_events, schedule_events)
    values = [value for home in homes for value in vars(home).values()]
    found = dict.fromkeys(value for value in values if inspect.isclass(value))
    return tuple(
        kind
        for kind in found
        if issubclass(kind, events.Event) and kind not in {events.Event, events.JobEvent}
    )


def _overview() -> str:
    rows = [
        f"| [`{event_name(kind)}`](#{event_name(kind)}) | {kind.level} | {_summary(kind)} |"
        for kind in kinds()
    ]
    return "\n".join(["| event | level | when |", "|---|---|---|", *rows, ""])


def _section(kind: type[events.Event]) -> str:
    rows = [f"| `{name}` | {type_} | {default} |" for name, type_, default in _fields(kind)]
    return "\n".join(
        [f"## {event_name(kind)}", "", f"{_summary(kind)} `{kind.__name__}`, logged as {kind.level}.", "",
         "| field | type | default |", "|---|---|---|", *rows, ""]
    )  # fmt: skip


def _fields(kind: type[events.Event]) -> Iterator[tuple[str, str, str]]:
    for field in fields(kind):
        default = "" if field.default is MISSING else f"`{field.default!r}`"
        yield field.name, getattr(field.type, "__name__", str(field.type)), default


def _summary(kind: type[events.Event]) -> str:
    return " ".join((inspect.getdoc(kind) or "").split())


if __name__ == "__main__":
    sys.stdout.write(page())
