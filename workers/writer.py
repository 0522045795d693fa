"""The one writer of a worker: commits together what is waiting together.

Every claim, settlement and checkpoint of a process goes through here. An idle
writer commits at once; while a commit runs, what arrives waits and goes into
the next one. There is no timer.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar, cast

from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import NO_EXCEPTION, Apart, Claim, ClaimRequest, Settled, Settlement, Without
from holdfast.jobs.lease import Lease
from holdfast.jobs.rota import Rota
from holdfast.ledger import Ledger
from holdfast.workers.spool.outcomes import OutcomeSpool

T = TypeVar("T")
MOST_IN_A_BATCH: Final = 256
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_SLOW_SECONDS: Final = 1.0
"""An outcome that the ledger has not taken after so long goes to the disk, too: the call may hang."""
_LAST_TRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """What a worker claims for: the queues it serves and the limits of its tasks."""

    worker_id: WorkerId
    queues: tuple[str, ...]
    default_attempt_seconds: float
    hard_limits: Mapping[str, float]
    without: Without = NO_EXCEPTION
    apart: Apart | None = None
    """Claim jobs that run in isolated processes, and no others."""
    concurrency: Mapping[str, ConcurrencyLimit] = field(default_factory=dict[str, ConcurrencyLimit])
    """How many jobs of a task may run at once, for those that have a limit."""
    rota: Rota | None = None
    """Whose turn it is where more waits than can run."""


@dataclass(slots=True, eq=False)
class _Wish:
    kind: str
    value: Any
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    is_on_disk: bool = False


class LedgerWriter:
    """A thread that owns the ledger's write path of this process.

    Settlements that meet an unreachable ledger stay and are tried again until
    it is back (`spooled` tells how many), and go to the disk meanwhile, so that
    the death of this process loses none. Everything else fails at once with
    LedgerUnavailable, for the caller to decide.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        on_unavailable: Callable[[Exception], None],
        disk: OutcomeSpool | None = None,
    ) -> None:
        """Write to this ledger; `on_unavailable` is told, on the writer's thread, of each failed try.

        Without a `disk` outcomes wait in memory alone.
        """
        self._ledger = ledger
        self._on_unavailable = on_unavailable
        self._disk = disk
        self._wishes: deque[_Wish] = deque()
        self._spool: list[_Wish] = []
        self._in_flight: list[_Wish] = []
        self._wake = threading.Condition()
        self._disk_turn = threading.Lock()
        self._stopping = False
        self._gives_up = False
        self._pause = 0.0
        self._thread = threading.Thread(target=self._run, name="holdfast-writer", daemon=True)
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watch_slow, name="holdfast-spool", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        if self._disk is not None:
            self._disk.open()
            self._watch.start()
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Write what is waiting, for so long if need be, then end.

        Returns False if something could not be written; the outcomes among it are on the disk.
        """
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        with self._wake:
            self._gives_up = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(_LAST_TRY_SECONDS)
        self._ended.set()
        is_all_written = not self._thread.is_alive() and not self._spool
        if self._disk is not None:
            self._keep(self._not_on_disk())
            if is_all_written:
                self._disk.close()
        return is_all_written

    @property
    def spooled(self) -> int:
        """Tell how many outcomes wait for the ledger to come back."""
        return len(self._spool)

    async def claim(self, requests: Sequence[ClaimRequest], terms: ClaimTerms) -> list[Claim]:
        """Claim jobs; what somebody else has, or nobody may run, is missing in the answer."""
        return cast("list[Claim]", await self._wish("claim", (tuple(requests), terms)))

    async def settle(self, settlement: Settlement) -> Settled:
        """Write the end of an attempt. Waits through an outage of the ledger."""
        return cast("Settled", await self._wish("settle", settlement))

    async def hand_back(self, lease: Lease, why: str) -> Settled:
        """Give a job back unfinished, in one batch with all that are handed back now: a drain has many."""
        return cast("Settled", await self._wish("hand_back", (lease, why)))

    async def call(self, verb: Callable[[Ledger], T]) -> T:
        """Run any other ledger verb on the writer's thread."""
        return cast("T", await self._wish("call", verb))

    def _wish(self, kind: str, value: object) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        wish = _Wish(kind, value, loop, loop.create_future())
        with self._wake:
            self._wishes.append(wish)
            self._wake.notify()
        return wish.answer

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._wishes and not self._stopping and not self._spool:
                    self._wake.wait()
                if self._pause and not self._wishes and not self._gives_up:
                    self._wake.wait(self._pause)
                batch = [self._wishes.popleft() for _ in range(min(len(self._wishes), MOST_IN_A_BATCH))]
                settles = self._spool + [wish for wish in batch if wish.kind == "settle"]
                self._spool, self._in_flight = [], settles
            self._write(batch, settles)
            with self._wake:
                if self._stopping and not self._wishes and (self._gives_up or not self._spool):
                    return

    def _write(self, batch: list[_Wish], settles: list[_Wish]) -> None:
        if settles:
            self._settle(settles)
            self._clear_disk()
        returns = [wish for wish in batch if wish.kind == "hand_back"]
        for why in dict.fromkeys(wish.value[1] for wish in returns):
            self._hand_back([wish for wish in returns if wish.value[1] == why], why)
        claims = [wish for wish in batch if wish.kind == "claim"]
        for wish in claims:
            self._answer(wish, partial(self._claim, *wish.value))
        for wish in batch:
            if wish.kind == "call":
                self._answer(wish, partial(wish.value, self._ledger))

    def _claim(self, requests: tuple[ClaimRequest, ...], terms: ClaimTerms) -> list[Claim]:
        return self._ledger.claim(
            terms.worker_id,
            requests,
            queues=terms.queues,
            default_attempt_seconds=terms.default_attempt_seconds,
            hard_limits=terms.hard_limits,
            without=terms.without,
            apart=terms.apart,
            concurrency=terms.concurrency,
            rota=terms.rota,
        )

    def _settle(self, wishes: list[_Wish]) -> None:
        if self._pause:
            # The last try failed, and this one may hang for long.
            self._keep(wishes)
        try:
            answers = self._ledger.settle([wish.value for wish in wishes])
        except LedgerUnavailable as error:
            # An outcome is paid work: it is kept and tried again, the token makes that safe.
            self._spool += wishes
            self._keep(wishes)
            self._pause = min(max(self._pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            self._on_unavailable(error)
            return
        except Exception as error:  # noqa: BLE001 -- whatever it is, the waiting attempts must hear of it
            if len(wishes) == 1:
                _reply(wishes[0], error=error)
                return
            # One of them is to blame, and the others are paid work: each alone (B13).
            for wish in wishes:
                self._settle([wish])
            return
        self._pause = 0.0
        for wish, settled in zip(wishes, answers, strict=True):
            _reply(wish, value=settled)

    # The disk.

    # Two threads write there, and one clears: what waits is looked at in the same turn as it is written or
    # cleared. Otherwise an outcome that is settled during its own write would stay on the disk.

    def _keep(self, wishes: Sequence[_Wish]) -> None:
        with self._disk_turn:
            self._put_on_disk(wishes)

    def _put_on_disk(self, wishes: Sequence[_Wish]) -> None:
        new = [wish for wish in wishes if not wish.is_on_disk]
        if self._disk is not None and new and self._disk.keep([wish.value for wish in new]):
            for wish in new:
                wish.is_on_disk = True

    def _clear_disk(self) -> None:
        with self._disk_turn:
            with self._wake:
                self._in_flight = []
                is_settled = not self._spool and not any(wish.is_on_disk for wish in self._wishes)
            if self._disk is not None and is_settled:
                self._disk.clear()

    def _not_on_disk(self) -> list[_Wish]:
        with self._wake:
            waiting = [wish for wish in self._wishes if wish.kind == "settle"]
            return [wish for wish in (*self._in_flight, *self._spool, *waiting) if not wish.is_on_disk]

    def _watch_slow(self) -> None:
        before: list[_Wish] = []
        while not self._ended.wait(_SLOW_SECONDS):
            with self._disk_turn:
                now = self._not_on_disk()
                self._put_on_disk([wish for wish in now if wish in before])
            before = now

    # What is not kept.

    def _hand_back(self, wishes: list[_Wish], why: str) -> None:
        try:
            answers = self._ledger.hand_back([wish.value[0] for wish in wishes], why)
        except Exception as error:  # noqa: BLE001 -- those who asked must hear of it, and the writer goes on
            if isinstance(error, LedgerUnavailable):
                self._on_unavailable(error)
            for wish in wishes:
                _reply(wish, error=error)
            return
        for wish, settled in zip(wishes, answers, strict=True):
            _reply(wish, value=settled)

    def _answer(self, wish: _Wish, verb: Callable[[], object]) -> None:
        try:
            value = verb()
        except LedgerUnavailable as error:
            self._on_unavailable(error)
            _reply(wish, error=error)
        except Exception as error:  # noqa: BLE001 -- the one who asked must hear of it, and the writer goes on
            _reply(wish, error=error)
        else:
            _reply(wish, value=value)


def _reply(wish: _Wish, *, value: object = None, error: Exception | None = None) -> None:
    def set_result() -> None:
        if wish.answer.done():
            return
        if error is not None:
            wish.answer.set_exception(error)
        else:
            wish.answer.set_result(value)

    try:
        wish.loop.call_soon_threadsafe(set_result)
    except RuntimeError:
        # The loop is closed: nobody waits for this answer any more.
        return
