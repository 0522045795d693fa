"""`holdfast watch`: what is going on, live."""

import threading
from typing import Annotated

import typer
from rich.live import Live

from holdfast.cli.connection import opened_ledger
from holdfast.cli.terminal import out, print_json
from holdfast.cli.watch import JsonView, LiveView, View, as_json, keep_watching, picture
from holdfast.jobs.backlog import limits_of
from holdfast.settings import load


def watch(
    *,
    seconds: Annotated[
        float, typer.Option("--every", min=0.2, max=3600, help="Seconds between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, as without a terminal.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, and another one at each change.")
    ] = False,
) -> None:
    """Watch queues, running jobs, what parked jobs wait for, and workers, until Ctrl-C.

    Each look reads what has not ended, in one transaction; a million jobs that have cost it nothing.
    """
    settings = load()
    limits = limits_of(settings.backlog_limits)
    console = out()
    with opened_ledger(settings) as ledger:
        if once or not (json_ or console.is_terminal):
            now = ledger.inspection.overview()
            if json_:
                print_json(as_json(now, limits))
            else:
                console.print(picture(now, limits), markup=False)
            return

        def run(view: View) -> None:
            wait = threading.Event().wait
            keep_watching(ledger.inspection.overview, view, every_seconds=seconds, wait=wait)

        try:
            if json_:
                run(JsonView(console, limits))
            else:
                with Live(console=console, auto_refresh=False, screen=False) as live:
                    run(LiveView(live, limits))
        except KeyboardInterrupt:
            return
