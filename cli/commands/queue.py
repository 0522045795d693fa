"""`holdfast queue`: pause queues, resume them, and see how they are."""

from collections.abc import Sequence
from typing import Annotated

import typer

from holdfast.cli.connection import opened_ledger
from holdfast.cli.queue_list import collect, show
from holdfast.cli.terminal import err, out, print_json, say
from holdfast.jobs.backlog import limits_of
from holdfast.jobs.queues import QUEUE_RULE, is_queue
from holdfast.ledger import Ledger
from holdfast.settings import load

queue = typer.Typer(
    no_args_is_help=True, help="Pause queues and resume them; list them with what waits there."
)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Queues, as tasks name them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@queue.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the queues that hold jobs, that live workers read, or that are paused."""
    settings = load()
    limits = limits_of(settings.backlog_limits)
    with opened_ledger(settings) as ledger:
        found = collect(ledger.counts(), ledger.workers(), ledger.paused_queues(), limits)
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        show(out(), found)


@queue.command()
def pause(
    names: Names,
    *,
    reason: Annotated[str, typer.Option(help="Why; whoever asks what keeps a job waiting reads it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Begin no job of these queues until they are resumed, whatever is restarted meanwhile.

    What runs goes on, enqueue goes on, and deadlines go on. Exit code 0: paused, also before; 2: error.
    """
    _check(names)
    with opened_ledger(load()) as ledger:
        changed = {name: ledger.pause_queue(name, reason) for name in names}
        unknown = _unknown(ledger, names)
    _tell(changed, as_json=as_json, done="is paused", before="was paused already")
    for name in unknown:
        say(err(), f"No live worker reads {name} and no job is in it: is that its name?", "yellow")


@queue.command()
def resume(names: Names, *, as_json: AsJson = False) -> None:
    """Begin the jobs of these queues again; those that wait are rung at once.

    Exit code 0: open, also before; 2: error. Repeat it after an error.
    """
    _check(names)
    with opened_ledger(load()) as ledger:
        changed = {name: ledger.resume_queue(name) for name in names}
    _tell(changed, as_json=as_json, done="is open again", before="was not paused")


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not is_queue(name):
            raise typer.BadParameter(f"{name!r} is no queue: {QUEUE_RULE}")


def _unknown(ledger: Ledger, names: Sequence[str]) -> list[str]:
    known = {count.queue for count in ledger.counts()}.union(*(one.queues for one in ledger.workers()))
    return [name for name in names if name not in known]


def _tell(changed: dict[str, bool], *, as_json: bool, done: str, before: str) -> None:
    if as_json:
        print_json([{"queue": name, "changed": is_news} for name, is_news in changed.items()])
        return
    for name, is_news in changed.items():
        say(out(), f"{name} {done if is_news else before}.")
