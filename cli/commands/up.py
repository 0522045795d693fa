"""`holdfast up`: the platform on this machine, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.status.keep_up import Wanted, keep_up
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.terminal import out


def up(
    *,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    slots: Annotated[
        int | None, typer.Option(min=1, max=20_000, help="Jobs that each worker runs at once.")
    ] = None,
    flower: Annotated[bool, typer.Option("--flower", help="Run Flower, too.")] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start workers anew when a task module changes.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where it keeps its data; by default HOLDFAST_DATA_DIR.")
    ] = None,
) -> None:
    """Keep broker, ledger and workers up, with a status line; start again what dies.

    Ctrl-C or SIGTERM stops everything within seconds and loses nothing; a second Ctrl-C does not wait
    for running jobs, which are handed back at once, and a third one for nothing at all.
    """
    with StopSignals() as signals:
        wanted = Wanted(workers=workers, slots=slots, flower=flower, reload=reload, data_dir=data_dir)
        raise typer.Exit(keep_up(wanted, out(), signals))
