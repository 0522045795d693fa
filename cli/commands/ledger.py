"""`holdfast ledger`: what the ledger has to be told after its database was replaced."""

from typing import Annotated, Final

import typer

from holdfast.cli.terminal import out, print_json, say
from holdfast.jobs.state import FINAL_STATES
from holdfast.ledger import Ledger, connect
from holdfast.ledger.revision import check_revision
from holdfast.producer import require_ledger
from holdfast.settings import load

HELD: Final = "held after a restore or a failover: decide what may run, then resume"

ledger = typer.Typer(no_args_is_help=True, help="What the ledger has to be told after a restore or failover.")


# The callback keeps `promoted` a command of its own while it is the only one.
@ledger.callback()
def _begin() -> None: ...


@ledger.command()
def promoted(
    *,
    hold: Annotated[
        bool,
        typer.Option(
            "--hold",
            help="First pause each queue that has unfinished jobs or readers, until `holdfast queue resume`.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Say that the database may have forgotten commits: after a failover, a restore, a moved file.

    Fences of later claims are higher than all earlier ones, also those that were forgotten. Run it
    once; after a restore, before the workers start. Exit code 0: done, 2: error.
    """
    settings = load()
    require_ledger(settings)
    # A moved SQLite file still names the machine that it came from, which is what this command mends.
    opened = connect(settings.ledger_config("holdfast-cli"), check_schema=False)
    try:
        check_revision(opened.revision())
        held = _hold(opened, settings.queues) if hold else {}
        incarnation = opened.promoted()
    finally:
        opened.close()
    if as_json:
        print_json({"incarnation": incarnation, "held": held})
        return
    say(out(), f"The ledger is in its incarnation {incarnation}.")
    for queue, waiting in held.items():
        say(out(), f"{queue} is paused; {waiting} of its jobs are not final.")


def _hold(opened: Ledger, read_here: tuple[str, ...]) -> dict[str, int]:
    """Pause the queues that hold unfinished jobs or that anybody reads or read; return what they hold."""
    read_ever = [queue for worker in opened.workers(alive_only=False) for queue in worker.queues]
    held = dict.fromkeys([*read_here, *read_ever], 0)
    for count in opened.counts():
        if count.state not in FINAL_STATES:
            held[count.queue] = held.get(count.queue, 0) + count.count
    for queue in held:
        opened.pause_queue(queue, HELD)
    return held
