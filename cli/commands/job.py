"""`holdfast job`: one job, with its attempts and its history."""

from typing import Annotated

import typer

from holdfast.cli.connection import opened_ledger
from holdfast.cli.job_page import as_json as page_as_json
from holdfast.cli.job_page import show
from holdfast.cli.terminal import out, print_json
from holdfast.cli.waits import surroundings_of, why_it_waits
from holdfast.jobs.ids import JobId
from holdfast.settings import load


def job(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID")],
    *,
    arguments: Annotated[
        bool, typer.Option("--arguments", help="Show arguments and result, which may be private.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where a failed handler raised, line by line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show a job: its state, its attempts, its history."""
    with opened_ledger(load()) as ledger:
        found = ledger.job(JobId(job_id))
        attempts, history = ledger.attempts(found.id), ledger.history(found.id)
        waits = why_it_waits(found, surroundings_of(found, ledger))
    if as_json:
        print_json(page_as_json(found, attempts, history, with_arguments=arguments, waits=waits))
    else:
        show(out(), found, attempts, history, with_arguments=arguments, with_traceback=traceback, waits=waits)
