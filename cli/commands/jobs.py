"""`holdfast jobs`: find jobs, look at one, and steer one, several, or all that fit."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Final

import typer

from holdfast.cli.connection import opened_ledger
from holdfast.cli.job_list import as_json as list_as_json
from holdfast.cli.job_list import count_json, states
from holdfast.cli.job_list import show as show_list
from holdfast.cli.job_options import JobOptions, takes_a_filter
from holdfast.cli.job_page import as_json as page_as_json
from holdfast.cli.job_page import show as show_page
from holdfast.cli.steering import Verb, Wish, steer_fitting, steer_named
from holdfast.cli.terminal import out, print_json, say
from holdfast.cli.waits import surroundings_of, why_it_waits
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import IllegalTransition
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.ledger.bulk import CANCELLABLE, DUE, REQUEUEABLE, REQUEUED, RETRYABLE, Outcomes
from holdfast.ledger.job_filter import EVERY_JOB, JobFilter, Place
from holdfast.ledger.reading import DEFAULT_LIST
from holdfast.settings import load

jobs = typer.Typer(no_args_is_help=True, help="Find jobs; show, cancel, requeue and retry one or many.")

JobIds = Annotated[
    list[str] | None, typer.Argument(metavar="[JOB_ID...]", help="Jobs by their ids, in place of a filter.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Everything = Annotated[bool, typer.Option("--all", help="All jobs that it can be done to.")]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do it; without it they are counted, and a terminal is asked.")
]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many: a few first, to see.")]
_CANCELLED: Final = {
    "cancelled": "It waited, and is cancelled.",
    "requested": "It runs; its worker was asked to end it, within seconds.",
    "already_final": "It had ended already; nothing was changed.",
}


@jobs.command("list")
@takes_a_filter()
def list_(
    options: JobOptions,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = DEFAULT_LIST,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Go on where a list ended, as it said.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are, by state.")] = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first, by pages: all, or those that fit every option given."""
    which, place = options.as_filter(), _place(after)
    with opened_ledger(load()) as ledger:
        if count:
            counted = ledger.inspection.count(which)
            if as_json:
                print_json(count_json(counted))
            else:
                say(out(), f"{counted.total:,}" + (f" ({states(counted)})" if counted.total else ""))
            return
        page = ledger.inspection.page(which, after=place, limit=limit)
    if as_json:
        print_json(list_as_json(page))
    else:
        show_list(out(), page, SystemClock().now())


@jobs.command()
def show(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID")],
    *,
    arguments: Annotated[
        bool, typer.Option("--arguments", help="Show arguments and result, which may be private.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where each attempt failed, line by line.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a job: its state, why it waits, its attempts, its history, how its children stand."""
    with opened_ledger(load()) as ledger:
        found = ledger.job(JobId(job_id))
        attempts, history = ledger.attempts(found.id), ledger.history(found.id)
        waits = why_it_waits(found, surroundings_of(found, ledger))
        children = ledger.inspection.count(JobFilter(parents=(found.id,)))
    if as_json:
        page = page_as_json(found, attempts, history, with_arguments=arguments, waits=waits)
        print_json({**page, "children": dict(children.by_state)})
    else:
        options = {"with_arguments": arguments, "with_traceback": traceback}
        show_page(out(), found, attempts, history, waits=waits, **options)
        if children.total:
            say(out(), f"\nIts children: {states(children)}; `holdfast jobs list --parent {found.id}`")


@jobs.command()
@takes_a_filter(without={"reason"})
def cancel(
    options: JobOptions,
    job_ids: JobIds = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with each job.")] = "",
    everything: Everything = False,
    limit: Most = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel what waits, and ask what runs to end: jobs by their ids, or all that fit.

    Exit code 0: done, 1: only counted, or one had ended already, 2: error. Repeat it after an error.
    """

    def one(ledger: Ledger, job_id: JobId) -> tuple[str, str]:
        answer = ledger.cancel(job_id, reason)
        return answer, _CANCELLED[answer]

    def many(ledger: Ledger, which: JobFilter, most: int | None) -> Iterator[Outcomes]:
        return ledger.bulk.cancel(which, reason, most=most)

    verb = Verb(
        "cancel", "cancels", "cancelled", CANCELLABLE, one=one, many=many, undone=frozenset({"already_final"})
    )
    _steer(verb, options, job_ids, Wish(limit, yes, as_json), everything=everything)


@jobs.command()
@takes_a_filter()
def requeue(
    options: JobOptions,
    job_ids: JobIds = None,
    *,
    everything: Everything = False,
    limit: Most = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give quarantined jobs their next generation: a new budget of attempts, and no deadline.

    Exit code 0: done, 1: only counted, or some were left, 2: error. Repeat it after an error.
    """
    verb = Verb(
        "requeue", "requeues", "requeued", REQUEUEABLE, one=_requeue,
        many=lambda ledger, which, most: ledger.bulk.requeue(which, most=most),
    )  # fmt: skip
    _steer(verb, options, job_ids, Wish(limit, yes, as_json), everything=everything)


@jobs.command()
@takes_a_filter()
def retry(
    options: JobOptions,
    job_ids: JobIds = None,
    *,
    everything: Everything = False,
    limit: Most = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let jobs that wait for their time run now, and requeue those that are quarantined.

    Exit code 0: done, 1: only counted, or some were left, 2: error. Repeat it after an error.
    """
    verb = Verb(
        "retry", "retries", "retried", RETRYABLE, one=_retry,
        many=lambda ledger, which, most: ledger.bulk.retry(which, most=most),
    )  # fmt: skip
    _steer(verb, options, job_ids, Wish(limit, yes, as_json), everything=everything)


def _steer(
    verb: Verb, options: JobOptions, job_ids: Sequence[str] | None, wish: Wish, *, everything: bool
) -> None:
    which = options.as_filter()
    if bool(job_ids) == (which != EVERY_JOB or everything):
        raise typer.BadParameter("name jobs by their ids, or say by options which, or --all")
    if job_ids and wish.most is not None:
        raise typer.BadParameter("--limit goes with a filter, not with ids")
    with opened_ledger(load()) as ledger:
        work = (
            partial(steer_named, ledger, verb, job_ids, as_json=wish.as_json)
            if job_ids
            else partial(steer_fitting, ledger, verb, which, wish)
        )
        raise typer.Exit(work())


def _requeue(ledger: Ledger, job_id: JobId) -> tuple[str, str]:
    job = ledger.requeue(job_id)
    return REQUEUED, f"It is {job.state}, generation {job.generation}; a worker takes it within seconds."


def _retry(ledger: Ledger, job_id: JobId) -> tuple[str, str]:
    job = ledger.job(job_id)
    if job.state is JobState.QUARANTINED:
        return _requeue(ledger, job_id)
    for done in ledger.bulk.retry(JobFilter(ids=(job_id,), states=(JobState.SCHEDULED,))):
        if done[DUE]:
            return DUE, "It is due now; a worker takes it within seconds."
    raise IllegalTransition(
        job_id=job_id,
        detail=f"only a scheduled or quarantined job can be retried; it is {ledger.job(job_id).state}",
    )


def _place(text: str | None) -> Place | None:
    try:
        return Place.parse(text) if text is not None else None
    except ValueError as error:
        raise typer.BadParameter(f"--after takes what the list before it named: {error}") from error
