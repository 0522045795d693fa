"""The command line `holdfast`: one line per command, one file each in `commands/`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import holdfast
from holdfast.cli.commands.breakers import breakers
from holdfast.cli.commands.demo import demo
from holdfast.cli.commands.digest import digest
from holdfast.cli.commands.doctor import doctor
from holdfast.cli.commands.enqueue import enqueue
from holdfast.cli.commands.flower import PASS_ON, flower
from holdfast.cli.commands.health import health
from holdfast.cli.commands.jobs import jobs
from holdfast.cli.commands.ledger import ledger
from holdfast.cli.commands.migrate import migrate
from holdfast.cli.commands.probe import PROBE_CONTEXT, probe
from holdfast.cli.commands.quarantine import quarantine
from holdfast.cli.commands.queue import list_ as queues
from holdfast.cli.commands.queue import queue
from holdfast.cli.commands.run import run
from holdfast.cli.commands.schedules import schedules
from holdfast.cli.commands.tasks import tasks
from holdfast.cli.commands.up import up
from holdfast.cli.commands.watch import watch
from holdfast.cli.commands.worker import worker
from holdfast.cli.commands.workers import workers
from holdfast.cli.terminal import say_error
from holdfast.jobs.errors import PlatformError

WRONG = 2
"""Exit code of a wrong call, and of an error that the platform names."""


class CommandLine(TyperGroup):
    """Shows our errors as one red line and what to do; anything else is a bug and shows where."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- a context of typer's own click
        """Run a command; a PlatformError ends it with exit code 2, or with its own."""
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            if ctx.params.get("debug"):
                raise
            say_error(error)
            raise typer.Exit(getattr(error, "exit_code", WRONG)) from error


app = typer.Typer(
    name="holdfast",
    cls=CommandLine,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Durable, resilient async jobs on Celery: Celery delivers, the ledger decides.",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer calls it with the option's value
    if wanted:
        typer.echo(f"holdfast {holdfast.__version__}")
        raise typer.Exit


@app.callback()
def _begin(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del debug, version  # CommandLine.invoke and _version read them


TRY, WORK, WATCH, CARE = "Try it", "Run it", "Jobs", "Look after it"
app.command(rich_help_panel=TRY)(demo)
app.command(rich_help_panel=TRY)(digest)
app.command(rich_help_panel=WORK)(up)
app.command(rich_help_panel=WORK, context_settings=PASS_ON)(worker)
app.command(rich_help_panel=WORK, context_settings=PASS_ON)(flower)
app.command(rich_help_panel=WORK)(migrate)
app.command(rich_help_panel=WATCH)(enqueue)
app.command(rich_help_panel=WATCH)(tasks)
app.command(rich_help_panel=WATCH)(run)
app.command(rich_help_panel=WATCH)(watch)
app.command(rich_help_panel=WATCH)(workers)
app.command("queues", rich_help_panel=WATCH)(queues)
app.add_typer(jobs, name="jobs", rich_help_panel=WATCH)
app.add_typer(queue, name="queue", rich_help_panel=WATCH)
app.add_typer(schedules, name="schedules", rich_help_panel=WATCH)
app.add_typer(breakers, name="breakers", rich_help_panel=WATCH)
app.add_typer(quarantine, name="quarantine", rich_help_panel=WATCH)
app.add_typer(ledger, name="ledger", rich_help_panel=CARE)
app.command(rich_help_panel=CARE)(doctor)
app.command(rich_help_panel=CARE)(health)
app.command(rich_help_panel=CARE, context_settings=PROBE_CONTEXT)(probe)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends by SystemExit with the command's exit code."""
    get_command(app)(args=arguments, prog_name="holdfast")
