"""`holdfast demo`: the whole platform at work on real documents, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.digest.demonstrate import demonstrate
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.terminal import out


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Documents to summarise; without it the project's own and installed READMEs."),
    ] = None,
    *,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Where the platform keeps its data.")] = Path(
        ".holdfast"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report; by default in the data folder.")
    ] = None,
    pace: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds that each document takes longer.")
    ] = 0.0,
) -> None:
    """Start broker, ledger and worker, summarise documents as real jobs, show the report, stop everything.

    Uses a platform that already runs on the data folder. A second run does no work twice.
    Exit codes as those of `digest`.
    """
    with StopSignals() as signals:
        raise typer.Exit(demonstrate(folder, data_dir, out(), signals, output=output, pace_seconds=pace))
