"""Where commands print: results to standard output, everything about them to standard error."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.cli.errors import Interrupted
from holdfast.jobs.errors import PlatformError


def out() -> Console:
    """Return the console of results."""
    return Console(highlight=False)


def err() -> Console:
    """Return the console of errors."""
    return Console(stderr=True, highlight=False)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON value for machines, whatever the width of the terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    out().print(text, soft_wrap=True, markup=False, emoji=False)


def say(console: Console, text: str, style: str = "") -> None:
    """Print one line as it is: no markup, not folded."""
    console.print(Text(text, style=style), soft_wrap=True)


def say_error(error: PlatformError) -> None:
    """Print what went wrong in red, and what to do below it."""
    console = err()
    advice = error.advice
    message = str(error).removesuffix(f". {advice}") if advice else str(error)
    if isinstance(error, Interrupted):
        say(console, message, "bold yellow")
    else:
        say(console, f"Error: {message}", "bold red")
    if advice:
        say(console, f"  {advice}", "yellow")


def a_table(*columns: str) -> Table:
    """Return a table in the one look that all commands share."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
