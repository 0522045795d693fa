"""`holdfast digest`: summarise a folder's documents as real jobs on the running platform."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.connection import connected
from holdfast.cli.digest.conduct import Wish, conduct, tell
from holdfast.cli.digest.order import require_folder, require_worker
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.terminal import out, print_json
from holdfast.settings import load

REPORT = Path("digest-report.md")


def digest(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the documents.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The report to write.")] = REPORT,
    *,
    pace: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds that each document takes longer.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Summarise every document of a folder into one report, one job per document.

    Needs a running platform: `holdfast up` in the same folder, or `holdfast demo FOLDER`. Exit code
    0: done; what nobody could read is named in the report, and an empty folder is done at once.
    1: some jobs failed, run it again. 2: error, for example no such folder.
    """
    console = out()
    require_folder(folder)
    with StopSignals() as signals, connected(load()) as connection:
        require_worker(connection.ledger)
        outcome = conduct(connection, Wish(folder, output, pace), console, signals.wait, is_quiet=as_json)
    if as_json:
        print_json(outcome.as_json())
    else:
        tell(console, outcome)
    raise typer.Exit(int(bool(outcome.run.failed)))
