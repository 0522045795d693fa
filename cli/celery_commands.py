"""The same commands as `celery -A holdfast.workers.app holdfast ...`.

Celery asks for its plug-ins at each start of a worker, so the commands are
imported by name at the first use. Typer carries a click of its own, so each
command is wrapped into one of Celery's click and gets its arguments untouched.
"""

import importlib
from typing import Any

import click

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class Commands(click.Group):
    """A group that gets its commands from `holdfast.cli.main`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `holdfast --help`."""
        del ctx
        return list(_ours().commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Wrap one command; None if there is none of this name."""
        del ctx
        command = _ours().commands.get(cmd_name)
        if command is None:
            return None

        @click.pass_context
        def run(context: click.Context) -> None:
            importlib.import_module("holdfast.cli.main").main([cmd_name, *context.args])

        return click.Command(
            cmd_name,
            callback=run,
            context_settings=dict(_PASS_ON),
            add_help_option=False,
            short_help=command.get_short_help_str(),
        )


holdfast = Commands("holdfast", help="Jobs, platform and health: the commands of `holdfast`.")


def _ours() -> Any:  # noqa: ANN401 -- a group of typer's own click
    main = importlib.import_module("holdfast.cli.main")
    return main.get_command(main.app)
