"""`holdfast probe`: listed here for `--help`; the console script answers it before all this is imported."""

import typer

from holdfast.cli import probe as quick

PROBE_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""For the registration of the command: it reads its own options."""


def probe(context: typer.Context) -> None:
    """Ask the worker on this machine: live, ready or startup. Exit code 0: yes, 1: no, 2: cannot be asked."""
    raise typer.Exit(quick.main(list(context.args)))
