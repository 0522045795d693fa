"""Keep the platform up, and say how it is, until somebody wants it to stop."""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

import holdfast
from holdfast.cli.connection import load_tasks
from holdfast.cli.status.board import Board
from holdfast.cli.status.vitals import Vitals, status_line, vitals
from holdfast.cli.supervisor.plan import Plan, is_free
from holdfast.cli.supervisor.platform import Platform
from holdfast.cli.supervisor.reload import CodeWatch, roots_of
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.terminal import say
from holdfast.jobs.errors import LedgerError, SettingsError
from holdfast.ledger import Ledger
from holdfast.settings import Settings, load, report
from holdfast.settings.urls import masked

LOOK_SECONDS: Final = 0.5
SHARE: Final = 20
"""A look at the ledger may take a twentieth of the time between two looks."""
FORCED: Final = 130


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    workers: int
    slots: int | None
    flower: bool
    reload: bool
    data_dir: Path | None


def keep_up(wanted: Wanted, console: Console, signals: StopSignals) -> int:
    """Run the platform until a signal; return the exit code: 0, or 130 when it was hurried."""
    settings = load(**({"data_dir": wanted.data_dir} if wanted.data_dir is not None else {}))
    for finding in report(settings).warnings:
        if finding.matters_in == "always":
            say(console, f"Warning: {finding}", "yellow")
    _check(settings, wanted)
    plan = Plan(workers=wanted.workers, slots=wanted.slots, flower=wanted.flower)
    board = Board(console)
    platform = Platform(settings, plan, signals, board.note)
    try:
        ledger = platform.start()
        _say_hello(console, settings, wanted, platform)
        watch = _watch(console, settings) if wanted.reload else None
        with board:
            _look_after(platform, ledger, board, watch, signals)
    finally:
        _stop(console, platform, signals)
    return FORCED if signals.must_hurry() else 0


def _check(settings: Settings, wanted: Wanted) -> None:
    """Find what would let a part die again and again, before any is started. Raises SettingsError."""
    if not wanted.reload:
        # With it, the module is being worked on: the workers come when it is mended.
        load_tasks(settings)
    if wanted.flower and not is_free(settings.flower_host, settings.flower_port):
        raise SettingsError(
            detail=f"port {settings.flower_port} of {settings.flower_host}, for Flower, is taken",
            hint="Set HOLDFAST_FLOWER_PORT to a free one, or end what has it.",
        )


def _look_after(
    platform: Platform, ledger: Ledger, board: Board, watch: CodeWatch | None, signals: StopSignals
) -> None:
    pause = 0.0
    while not signals.wait(pause):
        if watch is not None and (changed := watch.changed()):
            board.announce(f"{changed[0].name} changed; starting the workers anew")
            platform.restart_workers()
        began = time.monotonic()
        now, ready = _look(platform, ledger)
        board.show(status_line(now, platform.children(), ready))
        pause = max(LOOK_SECONDS, SHARE * (time.monotonic() - began))


def _look(platform: Platform, ledger: Ledger) -> tuple[Vitals | None, int]:
    try:
        now = vitals(ledger.counts(), ledger.workers(), ledger.paused_queues(), ledger.parked_groups())
        return now, platform.workers_ready(ledger)
    except LedgerError:
        return None, 0


def _watch(console: Console, settings: Settings) -> CodeWatch:
    roots = roots_of(settings.task_modules)
    if roots:
        say(console, f"  reload     at changes in {', '.join(str(root) for root in roots)}")
    else:
        say(console, "  reload     has nothing to watch: no HOLDFAST_TASK_MODULES is set", "yellow")
    return CodeWatch(roots)


def _say_hello(console: Console, settings: Settings, wanted: Wanted, platform: Platform) -> None:
    say(console, f"Holdfast {holdfast.__version__}", "bold")
    if platform.redis is not None:
        where = f"{platform.redis.engine}, embedded on 127.0.0.1:{platform.redis.port}"
    else:
        where = masked(settings.broker().url)
    say(console, f"  broker     {where}")
    say(console, f"  database   {masked(settings.resolved_database_url())}")
    slots = wanted.slots or settings.worker_slots
    say(console, f"  workers    {wanted.workers} with {slots:,} slots each")
    say(console, f"  logs       {platform.log_dir}")
    if platform.flower is not None:
        access = platform.flower
        say(console, f"  Flower     {access.url} (user {access.user}, password {access.password})")
    say(console, "  enqueue    holdfast enqueue TASK --arg name=value")
    say(console, f"  elsewhere  HOLDFAST_DATA_DIR={shlex.quote(str(settings.data_path))}")
    say(console, "Ctrl-C stops everything and loses nothing.", "dim")


def _stop(console: Console, platform: Platform, signals: StopSignals) -> None:
    if signals.is_requested():
        say(console, "Stopping; what runs is handed back (Ctrl-C again: at once)", "dim")
    platform.stop()
    if signals.is_requested():
        say(console, "Stopped. What is left goes on at the next start.", "dim")
