"""`holdfast workers`: who lives, and how busy they are."""

from typing import Annotated

import typer

from holdfast.cli.connection import opened_ledger
from holdfast.cli.terminal import out, print_json
from holdfast.cli.worker_list import as_json as shown_as_json
from holdfast.cli.worker_list import show
from holdfast.settings import load


def workers(
    *,
    everyone: Annotated[
        bool, typer.Option("--all", help="Also those that ended within the last hour.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the live workers: where they are, what they read, how many jobs they run of how many slots.

    Exit code 0: at least one lives, 1: none, 2: error.
    """
    with opened_ledger(load()) as ledger:
        now = ledger.inspection.overview(most_running=0)
        found = ledger.workers(alive_only=False) if everyone else now.workers
    if as_json:
        print_json([shown_as_json(one, now.held.get(one.id, 0)) for one in found])
    else:
        show(out(), found, now.held, now.at)
    raise typer.Exit(int(not any(one.is_alive for one in found)))
