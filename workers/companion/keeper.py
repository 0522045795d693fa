"""The companion's hands on the ledger: beats for one worker, and the end of its row."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Event, Events, ServiceFailed, WorkerDeclaredDead
from holdfast.jobs.job import Settlement
from holdfast.ledger import Ledger
from holdfast.workers.beat import BeatCalls, Heartbeat
from holdfast.workers.companion.attribution import Scene, accused
from holdfast.workers.companion.introduction import Introduction
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.scene import Death
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import Heir
from holdfast.workers.threads import NoThread, start

APPLICATION: Final = "holdfast-companion"
"""How the database lists its connection."""
LAST_WORDS_SECONDS: Final = 3.0
"""How long the end of a row may take; if the ledger is away, the missing beats say it later."""


class Keeper:
    """Beats for the worker that introduced itself last, and writes on the page how that goes."""

    def __init__(self, page: Page, events: Events, clock: Clock) -> None:
        """Write on this page; others' deaths are told to `events`."""
        self._page = page
        self._events = events
        self._clock = clock
        self._ledger: Ledger | None = None
        self._heartbeat: Heartbeat | None = None
        self._start_at: float | None = None
        """When to try to start the heartbeat, in monotonic seconds; None: it beats."""
        self._beat_seconds = 0.0

    def serve(self, introduction: Introduction) -> None:
        """Beat for this worker, and for no other any more; if there is no thread for it now, later."""
        self.rest()
        terms = introduction.terms
        if self._ledger is None:
            config = replace(terms.ledger, pool_size=1, pool_overflow=1, application_name=APPLICATION)
            self._ledger = Ledger(config)
        page, number = self._page, introduction.number
        self._heartbeat = heartbeat = Heartbeat(
            self._ledger,
            introduction.worker_id,
            beat_seconds=terms.beat_seconds,
            lease_seconds=terms.lease_seconds,
            clock=self._clock,
            events=Events(self._tell),
            calls=BeatCalls(
                on_dead=lambda: setattr(page, "dead", number),
                on_unsure=lambda: self._note_miss(heartbeat),
                on_beat=lambda: self._note_beat(heartbeat),
            ),
        )
        self._beat_seconds = terms.beat_seconds
        self._start_at = self._clock.monotonic()
        self.look()

    def look(self) -> None:
        """Begin to beat, if there was no thread for it before. To be called now and then."""
        heartbeat, now = self._heartbeat, self._clock.monotonic()
        if heartbeat is None or self._start_at is None or now < self._start_at:
            return
        try:
            heartbeat.start()
        except NoThread as error:
            # The worker hears of missed beats, as in an outage; it may live longer than the shortage.
            self._start_at = now + self._beat_seconds
            heartbeat.error_code = type(error).__name__
            self._note_miss(heartbeat)
            self._fail(error)
        else:
            self._start_at = None

    def rest(self) -> None:
        """Beat no more; does not wait for a beat that is under way."""
        if self._heartbeat is not None:
            self._heartbeat.end()
            self._heartbeat = None

    def close_row(self, introduction: Introduction, death: Death) -> int:
        """End the row of a worker whose process is gone, so that its jobs are free at once.

        Before that, what is suspected of its death is set apart (B11); returns how many jobs that are.
        """
        self.rest()
        suspects: list[Settlement] = []
        # On a thread: a database that does not answer must not keep a dead worker's supervisor waiting.
        closing = threading.Thread(target=self._close_row, args=(introduction, death, suspects), daemon=True)
        try:
            start(closing)
        except NoThread as error:
            # The missing beats say it later.
            self._fail(error)
            return 0
        closing.join(LAST_WORDS_SECONDS)
        return len(suspects)

    def _close_row(self, introduction: Introduction, death: Death, suspects: list[Settlement]) -> None:
        if self._ledger is None:
            return
        page, terms = self._page, introduction.terms
        heir = Heir(DiskFolder(Path(terms.spool)), terms.spool_prefix, events=self._events)
        try:
            # The outcomes that it left on disk are settled before its jobs are accused, or free (B16).
            has_replayed = not heir.replay(self._ledger)
            if death.is_proof:
                scene = Scene(page.seats(), page.on_loop, page.loop_thread)
                left = self._ledger.left_behind(introduction.worker_id)
                suspects += accused(introduction.worker_id, left, death, scene)
                self._ledger.settle(suspects)
            if has_replayed:
                self._ledger.retire_worker(introduction.worker_id)
        except LedgerError:
            return

    def _note_beat(self, heartbeat: Heartbeat) -> None:
        if heartbeat is self._heartbeat:
            self._page.unsure_since = 0.0
            self._page.beat_at = heartbeat.last_at

    def _note_miss(self, heartbeat: Heartbeat) -> None:
        if heartbeat is self._heartbeat and not self._page.unsure_since:
            self._page.unsure_error = heartbeat.error_code
            self._page.unsure_since = self._clock.monotonic()

    def _fail(self, error: NoThread) -> None:
        self._events.emit(ServiceFailed(service="companion", error=str(error)))

    def _tell(self, event: Event) -> None:
        # Whether the lease is sure is told by the worker, whose metrics count it.
        if isinstance(event, WorkerDeclaredDead):
            self._events.emit(event)
