"""The ledger: can it be reached, does it fit this version, and is its clock right."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from holdfast import ledger
from holdfast.cli.doctor.verdict import Verdict, failure, fine, note, warning
from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import LedgerError, LedgerUnavailable, SchemaMismatch
from holdfast.ledger.clock import read_clock
from holdfast.ledger.payloads import PayloadBooks
from holdfast.ledger.records import LimitBook
from holdfast.settings import Settings
from holdfast.settings.urls import is_loopback

WORTH_MENTIONING: Final = timedelta(seconds=2)
_PREFIX: Final = "sqlite:///"


def look_at_database(settings: Settings, *, clock: Clock | None = None) -> Iterator[Verdict]:
    """Look at the ledger; makes nothing, not even a file of SQLite's."""
    config = settings.ledger_config("holdfast-doctor")
    subject = "database"
    if config.url.startswith(_PREFIX) and not Path(config.url.removeprefix(_PREFIX)).exists():
        makers = (
            "`holdfast migrate` makes"
            if settings.is_production
            else "`holdfast up` and `holdfast migrate` make"
        )
        yield note(subject, f"not made yet; {makers} it", "holdfast migrate")
        return
    started = time.monotonic()
    try:
        opened = ledger.connect(config)
    except SchemaMismatch as error:
        yield failure(subject, error.detail, "holdfast migrate")
        return
    except LedgerUnavailable as error:
        yield failure(subject, f"cannot be reached: {error.detail}", _knock(settings))
        return
    except LedgerError as error:
        yield failure(
            subject, error.detail, "export HOLDFAST_DATABASE_URL=postgresql://user:password@host/name"
        )
        return
    try:
        ping = opened.ping()
        yield fine(
            subject,
            f"revision {opened.revision()}, connected in {1000 * (time.monotonic() - started):.0f} ms, "
            f"read {ping.read_ms:.1f} ms, write {ping.write_ms:.1f} ms",
        )
        yield from _limits(opened.concurrency.books())
        yield from _payloads(opened.inspection.payload_books())
    except LedgerError as error:
        yield failure(subject, f"cannot be written to: {error.detail}", _knock(settings))
        return
    finally:
        opened.close()
    if not config.url.startswith("sqlite"):
        yield from _clock(settings, clock or SystemClock())


def _limits(books: Sequence[LimitBook]) -> Iterator[Verdict]:
    """Compare the places that limits give with the jobs that hold them."""
    if not books:
        return
    subject = "limits"
    over = [book for book in books if book.running > book.most]
    left = [book for book in books if book.left]
    if over:
        first = over[0]
        yield failure(
            subject,
            f"{first.running} jobs run under {first.key}, and {first.most} may: workers of another version?",
            "holdfast tasks",
        )
    elif left:
        first = left[0]
        yield warning(
            subject, f"{first.left} places of {first.key} are held by workers that are gone", "holdfast jobs"
        )
    else:
        held = sum(book.running for book in books)
        yield fine(subject, f"{held} places of {len(books)} are held, each by a job of a living worker")


def _payloads(books: PayloadBooks) -> Iterator[Verdict]:
    """Compare the large payloads with the jobs that refer to them; silent where all is well."""
    subject = "payloads"
    if books.dangling:
        newest = books.dangling[0]
        yield failure(
            subject,
            f"{len(books.dangling)} jobs have lost large arguments or results, the newest is {newest}",
            f"holdfast jobs show {newest}",
        )
    if books.orphans:
        yield warning(
            subject,
            f"{len(books.orphans)} large payloads belong to jobs that are gone, such as {books.orphans[0]}",
            "DELETE FROM payloads WHERE job_id NOT IN (SELECT id FROM jobs)",
        )


def _clock(settings: Settings, clock: Clock) -> Iterator[Verdict]:
    before = clock.now()
    try:
        theirs = read_clock(settings.ledger_config("holdfast-doctor"))
    except LedgerError as error:
        yield warning("clock", f"the database's could not be read: {error.detail}", "holdfast doctor")
        return
    after = clock.now()
    apart = theirs - before if theirs < before else theirs - after if theirs > after else timedelta()
    seconds = apart.total_seconds()
    if abs(apart) > WORTH_MENTIONING:
        found = (
            f"the database's is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
        )
        yield warning("clock", found, "sudo timedatectl set-ntp true")
    else:
        yield fine("clock", f"the database's and this machine's are {abs(seconds):.1f} s apart")


def _knock(settings: Settings) -> str:
    url = settings.resolved_database_url()
    if url.startswith(_PREFIX):
        return f"ls -l '{url.removeprefix(_PREFIX)}'"
    host = urlsplit(url).hostname
    return "sudo systemctl start postgresql" if is_loopback(host) else f"pg_isready -h {host}"
