"""The tasks that can be enqueued: those of the modules here joined with those that live workers offer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from rich.console import Console

from holdfast.cli.connection import opened_ledger
from holdfast.cli.terminal import a_table, say
from holdfast.jobs.errors import LedgerError
from holdfast.ledger import Ledger
from holdfast.ledger.records import OfferRow
from holdfast.settings import Settings
from holdfast.tasks import Task, registry
from holdfast.tasks.by_name import is_for_old_jobs


@dataclass(slots=True)
class ListedTask:
    """One version of a task."""

    name: str
    version: str
    queue: str
    schema: Mapping[str, Any]
    is_here: bool = False
    """Whether its module is loaded in this process."""
    doc: str = ""
    workers: list[str] = field(default_factory=list[str])
    """Live workers that run it."""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "name": self.name, "version": self.version, "queue": self.queue, "doc": self.doc,
            "is_here": self.is_here, "workers": self.workers, "schema": self.schema,
        }  # fmt: skip


def offers_of(settings: Settings) -> tuple[list[OfferRow], str]:
    """Return what live workers offer; the text says why it could not be read."""
    try:
        with opened_ledger(settings) as ledger:
            return ledger.offers(), ""
    except LedgerError as error:
        return [], str(error)


def collect(
    here: Sequence[Task[..., Any]], offers: Sequence[OfferRow], *, only: str | None = None
) -> list[ListedTask]:
    """Join both, by name and version; what a worker only upcasts is not a version to enqueue."""
    found: dict[tuple[str, str], ListedTask] = {}
    for task in here:
        spec = task.spec
        found[spec.name, spec.version] = ListedTask(
            spec.name, spec.version, spec.queue, _schema(spec.offer().schema), is_here=True, doc=spec.doc
        )
    for offer in offers:
        if is_for_old_jobs(offer):
            continue
        listed = found.setdefault(
            (offer.task, offer.version),
            ListedTask(offer.task, offer.version, offer.queue, _schema(offer.schema)),
        )
        listed.workers.append(offer.worker)
    return [found[key] for key in sorted(found) if only is None or only == key[0]]


def show(console: Console, tasks: Sequence[ListedTask], problem: str, *, with_schema: bool) -> None:
    """Print the list; with schemas, each task's below its line."""
    table = a_table("task", "version", "queue", "arguments", "workers")
    for task in tasks:
        table.add_row(task.name, task.version, task.queue, arguments(task.schema), str(len(task.workers)))
    if tasks:
        console.print(table, markup=False)
    else:
        say(console, "No such task is known here or to a live worker.")
    for task in tasks if with_schema else ():
        say(console, f"\n{task.name} (version {task.version}): {' '.join(task.doc.split())}", "bold")
        say(console, json.dumps(task.schema, indent=2, ensure_ascii=False))
    if problem:
        say(console, f"\nLive workers are not shown: {problem}", "yellow")


def arguments(schema: Mapping[str, Any]) -> str:
    """Write a schema's parameters in short: `folder, pace_seconds?`; a question mark may be left out."""
    required = cast("Sequence[str]", schema.get("required", ()))
    names = cast("Mapping[str, Any]", schema.get("properties", {}))
    return ", ".join(name if name in required else f"{name}?" for name in names)


def _schema(text: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", json.loads(text))


def schema_of(name: str, ledger: Ledger) -> Mapping[str, Any]:
    """Return the schema of a task's arguments, from here or from a live worker; empty if nobody knows it."""
    task = registry.get(name)
    if task is not None:
        return _schema(task.spec.offer().schema)
    offers = (offer for offer in ledger.offers() if offer.task == name and not is_for_old_jobs(offer))
    return next((_schema(offer.schema) for offer in offers), {})
