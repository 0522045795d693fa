"""`holdfast tasks`: what can be enqueued."""

from typing import Annotated

import typer

from holdfast.cli.connection import load_tasks
from holdfast.cli.task_list import collect, offers_of, show
from holdfast.cli.terminal import out, print_json
from holdfast.settings import load
from holdfast.tasks import registry


def tasks(
    name: Annotated[str | None, typer.Argument(help="Show one task with its schema.")] = None,
    *,
    schema: Annotated[bool, typer.Option("--schema", help="Show the JSON schemas, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List tasks, their queues, versions and arguments: of the modules here, and of live workers."""
    settings = load()
    load_tasks(settings)
    offers, problem = offers_of(settings)
    found = collect(list(registry), offers, only=name)
    if as_json:
        print_json([task.as_json() for task in found])
    else:
        show(out(), found, problem, with_schema=schema or name is not None)
    raise typer.Exit(int(not found))
