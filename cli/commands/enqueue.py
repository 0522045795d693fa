"""`holdfast enqueue`: one job, from the command line."""

from typing import Annotated

import typer

from holdfast.cli.arguments import job_arguments
from holdfast.cli.connection import connected, load_tasks
from holdfast.cli.task_list import schema_of
from holdfast.cli.terminal import err, out, print_json, say
from holdfast.cli.waiting import wait_and_tell
from holdfast.cli.waits import surroundings_of, why_it_waits
from holdfast.settings import load
from holdfast.tasks import Handle, Options


def enqueue(  # noqa: PLR0913 -- one keyword for each option of a job
    task: Annotated[str, typer.Argument(help="The task's name; `holdfast tasks` lists them.")],
    arguments: Annotated[
        str | None, typer.Argument(metavar="[JSON]", help="The arguments as a JSON object.")
    ] = None,
    *,
    arg: Annotated[
        list[str] | None, typer.Option("--arg", "-a", metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait, with --wait; without it for ever.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A name for this request: a second one of the name gets the first job.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, help="Seconds from now before which it does not run.")] = 0.0,
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds from now after which it does not begin.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Another queue than the task's own.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is first, 9 is last.")] = None,
    tenant: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="A word to find the job by; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Enqueue a job. Exit code 0: enqueued (with --wait: completed), 1: it failed, 2: error."""
    settings = load()
    load_tasks(settings)
    options = Options(
        key=key,
        delay_seconds=delay,
        deadline_seconds=deadline,
        queue=queue,
        priority=priority,
        tenant=tenant,
        tags=tag or (),
    )
    # Enqueue needs only the ledger; who waits needs a platform that runs.
    with connected(settings, must_run=wait) as connection:
        given = job_arguments(arguments, arg or [], schema_of(task, connection.ledger))
        handle: Handle[object] = connection.client.enqueue_sync(task, given, options)
        job = handle.status_sync()
        waits = why_it_waits(job, surroundings_of(job, connection.ledger))
        for reason in waits:
            say(err(), f"It waits: {reason}.", "yellow")
        if wait:
            raise typer.Exit(wait_and_tell(handle, timeout, as_json=as_json))
    if as_json:
        print_json(
            {"job_id": handle.id, "created": handle.created, "conflict": handle.conflict, "waits": waits}
        )
    else:
        say(out(), f"{handle.id}{_remark(handle)}")


def _remark(handle: Handle[object]) -> str:
    if handle.conflict is None:
        return "" if handle.created else " (known by its key; nothing new was enqueued)"
    told = {
        "replaced": "it has these arguments now; nothing new was enqueued",
        "moved": "it has these arguments now, and waits anew; nothing new was enqueued",
        "superseded": "the job that held its unique key was cancelled",
        "waits": "it begins when the job that holds its unique key has ended",
    }
    return f" ({told.get(handle.conflict, 'it holds the unique key; nothing new was enqueued')})"
