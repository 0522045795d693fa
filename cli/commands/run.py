"""`holdfast run`: a job's handler once more, in this process."""

import json
import pdb  # noqa: T100 -- what the option asks for
import traceback
from typing import Annotated, Final

import typer

from holdfast.cli.connection import load_tasks, opened_ledger
from holdfast.cli.local_run import run_locally
from holdfast.cli.terminal import err, out, print_json, say
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.signals import Signal
from holdfast.jobs.state import JobState
from holdfast.settings import load
from holdfast.tasks import registry
from holdfast.workers.limits import Limits

RETURNED, RAISED = 0, 1
_WOULD: Final = {
    "Retry": "be tried again",
    "Snooze": "snooze",
    "Park": "be parked",
    "Cancel": "be cancelled",
    "Quarantine": "be quarantined",
}


def run(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID")],
    *,
    local: Annotated[
        bool, typer.Option("--local", help="In this process. There is no other way; it has to be said.")
    ] = False,
    debug: Annotated[bool, typer.Option("--pdb", help="Open the debugger where the handler raised.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Run the handler of a job once more, here, with its arguments, to find a fault. The job stays as it is.

    Nothing is written: no result, no progress, no job that it enqueues, and its transactions are undone. What
    it does elsewhere, such as a call to an upstream, is done for real, with the job's idempotency keys.
    Exit code 0: it returned, 1: it raised, 2: error.
    """
    if not local:
        raise typer.BadParameter("say --local; `holdfast jobs retry` lets workers run a job again")
    settings = load()
    load_tasks(settings)
    limits = Limits(None, settings.hard_timeout_seconds, settings.result_largest_bytes)
    with opened_ledger(settings) as ledger:
        job = ledger.job(JobId(job_id))
        _warn(job)
        ended = run_locally(
            ledger, registry, job, limits=limits, tell=lambda text: say(err(), f"  {text}", "dim")
        )
        if ended.error is None:
            if as_json:
                result = json.loads(ended.result or "null")
                print_json({"job_id": job.id, "result": result, "raised": None})
            else:
                say(out(), ended.result or "null")
            raise typer.Exit(RETURNED)
        _tell_error(job, ended.error, as_json=as_json)
        if debug:
            pdb.post_mortem(ended.error.__traceback__)
    raise typer.Exit(RAISED)


def _warn(job: Job) -> None:
    say(err(), f"{job.task} {job.id} ({job.state}): a run beside it that changes nothing of it.", "bold")
    say(err(), "Calls to the outside are made for real, and none is skipped.", "yellow")
    task = registry.get(job.task)
    if task is not None and job.version not in task.spec.upcasts.chain:
        versions = f"of version {job.version}, and the handler here of {task.spec.version}"
        say(err(), f"The job is {versions}.", "yellow")
    if job.state is JobState.RUNNING:
        say(err(), f"It is running on {job.worker_id}, too, at this moment.", "yellow")


def _tell_error(job: Job, error: BaseException, *, as_json: bool) -> None:
    if as_json:
        print_json({"job_id": job.id, "result": None, "raised": f"{type(error).__qualname__}: {error}"})
    say(err(), "".join(traceback.format_exception(error)).rstrip(), "red")
    if isinstance(error, Signal):
        say(err(), f"On a worker the job would {_WOULD.get(type(error).__name__, 'end by a signal')}.")
