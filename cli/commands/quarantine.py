"""`holdfast quarantine`: what was put aside, and the way back for messages; jobs have `holdfast jobs`."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from holdfast import celeryconfig
from holdfast.cli.connection import opened_ledger
from holdfast.cli.quarantine_page import job_json, message_json, show_jobs, show_message, show_messages
from holdfast.cli.terminal import out, print_json, say, say_error
from holdfast.jobs.errors import MessageNotReplayable
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger.reading import DEFAULT_LIST
from holdfast.ledger.records import MessageFilter
from holdfast.settings import Settings, load
from holdfast.tasks.application import make_app
from holdfast.workers.replay import Replayed, Replayer

DONE, NOT_DONE = 0, 1
_HIGHEST_ID: Final = 2**63 - 1

quarantine = typer.Typer(
    no_args_is_help=True, help="List what was put aside; show, replay and drop messages."
)

MessageId = Annotated[int, typer.Argument(metavar="ID", min=1, max=_HIGHEST_ID)]
Reasons = Annotated[
    list[QuarantineReason] | None, typer.Option("--reason", help="Only these reasons; may be repeated.")
]
Queues = Annotated[
    list[str] | None, typer.Option("--queue", help="Only these queues, by our name or the broker's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@quarantine.command("list")
def list_(
    *,
    reason: Reasons = None,
    queue: Queues = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many of each.")] = DEFAULT_LIST,
    messages: Annotated[bool, typer.Option("--messages", help="Only messages.")] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help="Only jobs.")] = False,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Also messages that were replayed and did not come back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List quarantined messages, the last seen first, and quarantined jobs, newest first."""
    settings = load()
    which = _which(settings, reason, queue, with_replayed=replayed)
    with opened_ledger(settings) as ledger:
        found = [] if jobs and not messages else ledger.quarantine.listed(limit, which=which)
        ended = (
            []
            if messages and not jobs
            else ledger.quarantine.jobs(limit, reasons=which.reasons, queues=queue or ())
        )
    if as_json:
        print_json(
            {"messages": [message_json(one) for one in found], "jobs": [job_json(job) for job in ended]}
        )
        return
    if messages or not jobs:
        show_messages(out(), found)
    if jobs or not messages:
        show_jobs(out(), ended)


@quarantine.command()
def show(
    message_id: MessageId,
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show headers and bytes, escaped; they may be private.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one message. A quarantined job is shown by `holdfast jobs show`."""
    with opened_ledger(load()) as ledger:
        message = ledger.quarantine.one(message_id)
    if as_json:
        print_json(message_json(message, raw=raw))
    else:
        show_message(out(), message, raw=raw)


@quarantine.command()
def replay(
    message_ids: Annotated[list[int], typer.Argument(metavar="ID...", min=1, max=_HIGHEST_ID)],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Send also what could not be read, and what a job had the id of.")
    ] = False,
    as_new: Annotated[
        bool, typer.Option("--as-new", help="Send it under a new id, as another job than before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send messages again, as they were, to the queue where they were; they stay here, marked.

    Exit code 0: all were sent, 1: some cannot be, and why, 2: error.
    """
    settings = load()
    app = make_app("holdfast-cli", celeryconfig.config(settings))
    sent: list[Replayed] = []
    refused: list[MessageNotReplayable] = []
    with opened_ledger(settings) as ledger:
        replayer = Replayer(ledger, app.connection_for_write)
        for message_id in message_ids:
            try:
                sent.append(replayer.replay(message_id, force=force, as_new=as_new))
            except MessageNotReplayable as error:
                refused.append(error)
    _tell_replays(sent, refused, as_json=as_json)
    raise typer.Exit(NOT_DONE if refused else DONE)


@quarantine.command()
def drop(
    message_ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID...]", min=1, max=_HIGHEST_ID)
    ] = None,
    *,
    reason: Reasons = None,
    queue: Queues = None,
    everything: Annotated[bool, typer.Option("--all", help="All messages, replayed ones included.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Drop what the filters let through; without it they are counted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete messages for good: by their ids, or by filters with --yes.

    Exit code 0: dropped, 1: only counted, 2: error.
    """
    filters = bool(reason or queue or everything)
    if bool(message_ids) == filters:
        raise typer.BadParameter("name ids, or --reason, --queue or --all")
    settings = load()
    which = _which(settings, reason, queue, with_replayed=True)
    with opened_ledger(settings) as ledger:
        for message_id in message_ids or ():
            ledger.quarantine.drop_one(message_id)
        counted = ledger.quarantine.count(which) if filters else None
        dropped = len(message_ids or ())
        if counted is not None and yes:
            dropped = ledger.quarantine.drop(which, newest=counted.newest)
    if counted is not None and not yes:
        _tell(as_json, {"dropped": 0, "found": counted.count}, f"{counted.count} found; --yes drops them.")
        raise typer.Exit(NOT_DONE)
    _tell(as_json, {"dropped": dropped}, f"{dropped} dropped.")


def _which(
    settings: Settings,
    reasons: Sequence[QuarantineReason] | None,
    queues: Sequence[str] | None,
    *,
    with_replayed: bool,
) -> MessageFilter:
    names = [name for queue in queues or () for name in (queue, settings.names.queue(queue))]
    return MessageFilter(tuple(reasons or ()), tuple(names), with_replayed=with_replayed)


def _tell_replays(
    sent: Sequence[Replayed], refused: Sequence[MessageNotReplayable], *, as_json: bool
) -> None:
    if as_json:
        answers = [
            {"id": one.message_id, "queue": one.queue, "job_id": one.job_id, "is_closed": one.is_closed}
            for one in sent
        ]
        print_json({"replayed": answers, "refused": [str(error) for error in refused]})
        return
    for one in sent:
        job = f"; its job is {one.job_id}" if one.job_id else ""
        back = "" if one.is_closed else "; it has come back already"
        say(out(), f"{one.message_id} was sent to {one.queue}{job}{back}")
    for error in refused:
        say_error(error)


def _tell(as_json: bool, value: dict[str, object], text: str) -> None:  # noqa: FBT001 -- the option as it was given
    if as_json:
        print_json(value)
    else:
        say(out(), text)
