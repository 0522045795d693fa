"""`holdfast cancel`: ask for a job's end."""

from typing import Annotated, Final

import typer

from holdfast.cli.connection import opened_ledger
from holdfast.cli.terminal import out, print_json, say
from holdfast.jobs.ids import JobId
from holdfast.settings import load

_SAID: Final = {
    "cancelled": "It waited, and is cancelled.",
    "requested": "It runs; its worker was asked to end it, within seconds.",
    "already_final": "It had ended already; nothing was changed.",
}


def cancel(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID")],
    *,
    reason: Annotated[str, typer.Option(help="Kept with the job.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Cancel a job. Exit code 0: cancelled or asked for, 1: it had ended already, 2: error."""
    with opened_ledger(load()) as ledger:
        answer = ledger.cancel(JobId(job_id), reason)
    if as_json:
        print_json({"job_id": job_id, "answer": answer})
    else:
        say(out(), _SAID[answer])
    raise typer.Exit(int(answer == "already_final"))
