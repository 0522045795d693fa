"""How a worker comes into its row: alone under its name, and with what its predecessors left settled."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Events, WorkerDeclaredDead
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow
from holdfast.ledger import Ledger
from holdfast.ledger.records import NewWorker
from holdfast.tasks.registry import Registry
from holdfast.workers.census import Birth, birth_of
from holdfast.workers.config import WorkerConfig
from holdfast.workers.spool.heir import Heir, prefix_of
from holdfast.workers.twins import Twins

_LOOKS_PER_LEASE: Final = 20


class AskedToLeave(Exception):
    """The worker was asked to leave while it waited to come in."""


class Registration:
    """Registers this process, at its start and after it was declared dead."""

    def __init__(
        self,
        config: WorkerConfig,
        birth: Birth,
        registry: Registry,
        *,
        ledger: Ledger,
        heir: Heir | None,
        has_lane: bool,
        events: Events,
        clock: Clock,
        is_leaving: Callable[[], bool] = bool,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """Register with this ledger; without an heir nothing on the disk is looked at.

        `is_leaving` tells whether there is no need any more, and is asked in every wait.
        `pause` waits for seconds, and is a parameter for tests.
        """
        self._config = config
        self._birth = birth
        self._registry = registry
        self._ledger = ledger
        self._heir = heir
        self._has_lane = has_lane
        self._events = events
        self._is_leaving = is_leaving
        self._pause = pause or threading.Event().wait
        self._twins = Twins(
            ledger,
            config.name,
            birth,
            lease_seconds=config.lease_seconds,
            events=events,
            clock=clock,
            pause=self._wait,
        )

    def enter(self, worker_id: WorkerId) -> None:
        """Register, replay the predecessors' spools, and only then free their leases (B16).

        Waits up to a lease for a worker of our name whose death is not proved.
        Raises WorkerNameTaken if it lives, AskedToLeave, and LedgerError; nothing of us is left then.
        """
        outlived = self._twins.outlived(worker_id)
        self._register(worker_id)
        try:
            self._inherit(outlived)
            for twin in outlived:
                self._bury(twin)
            self._twins.refuse_elder(worker_id)
        except BaseException:
            with contextlib.suppress(LedgerError):
                self._ledger.retire_worker(worker_id)
            raise

    def _register(self, worker_id: WorkerId) -> None:
        config, birth = self._config, self._birth
        self._ledger.register_worker(
            NewWorker(
                id=worker_id,
                name=config.name,
                host=config.host,
                pid=birth.pid,
                version=config.version,
                slots=config.slots,
                queues=config.queues,
                machine_id=birth.machine_id,
                started_marker=birth.started_marker,
                has_lane=self._has_lane,
            ),
            [offer for task in self._registry for offer in task.spec.offers()],
        )

    def _inherit(self, outlived: Sequence[WorkerRow]) -> None:
        if self._heir is None:
            return
        theirs = tuple(prefix_of(self._ledger.ledger_id, birth_of(twin)) for twin in outlived)
        # Somebody else may be replaying one of them just now; a file that stays is given up after a lease.
        for _ in range(_LOOKS_PER_LEASE):
            left = self._heir.replay(self._ledger)
            if not any(name.startswith(theirs) for name in left):
                return
            self._wait(self._config.lease_seconds / _LOOKS_PER_LEASE)

    def _wait(self, seconds: float) -> None:
        self._pause(seconds)
        if self._is_leaving():
            raise AskedToLeave

    def _bury(self, twin: WorkerRow) -> None:
        # By the beat that was seen last: one that has beaten since lives, and has the name.
        if self._ledger.declare_dead(twin.id, twin.beat_seq):
            self._events.emit(WorkerDeclaredDead(worker_id=twin.id, name=twin.name))
