"""`holdfast migrate`: bring the ledger's tables to this version's."""

from typing import Annotated

import typer

from holdfast.cli.supervisor.lock import prepare
from holdfast.cli.terminal import out, print_json, say
from holdfast.ledger.upgrade import migrate as migrate_ledger
from holdfast.settings import load
from holdfast.settings.urls import masked


def migrate(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False
) -> None:
    """Create or upgrade the ledger's tables. Safe to run twice, and by two at once."""
    settings = load()
    if settings.has_embedded_database:
        prepare(settings.data_path)
    revision = migrate_ledger(settings.ledger_config("holdfast-migrate"))
    where = masked(settings.resolved_database_url())
    if as_json:
        print_json({"revision": revision, "database": where})
    else:
        say(out(), f"The ledger is at revision {revision}: {where}")
