"""How a worker gets jobs."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.errors import LeaseLost
from holdfast.jobs.ids import LeaseToken, WorkerId
from holdfast.jobs.job import NO_EXCEPTION, Apart, Claim, ClaimRequest, Without
from holdfast.jobs.rota import Rota
from holdfast.jobs.state import JobState, Move, QuarantineReason
from holdfast.ledger import endings, moments, rows
from holdfast.ledger.batch import packed, packed_with_ids
from holdfast.ledger.concurrency import Concurrency
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.next_jobs import NextJobs
from holdfast.ledger.rows import BadRow
from holdfast.ledger.settling import Settling
from holdfast.ledger.statements import claim, maintenance
from holdfast.ledger.transaction import DataRefused, Transactions
from holdfast.ledger.types import bounded_seconds

AnyRow = Row[Any]
Wish = dict[str, Any]
NO_LIMITS: Final[Mapping[str, ConcurrencyLimit]] = {}

_log: Final = logging.getLogger(__name__)


class Claiming:
    """Grants claims."""

    def __init__(
        self, transactions: Transactions, settling: Settling, turns: Concurrency, config: LedgerConfig
    ) -> None:
        """Work in these transactions; rows that cannot be read are ended by `settling`."""
        self._turns = turns
        self._grace_seconds = config.attempt_grace_seconds
        self._transactions = transactions
        self._settling = settling

    def claim(
        self,
        worker_id: WorkerId,
        requests: Sequence[ClaimRequest],
        *,
        queues: Sequence[str],
        default_attempt_seconds: float,
        hard_limits: Mapping[str, float],
        without: Without = NO_EXCEPTION,
        apart: Apart | None = None,
        concurrency: Mapping[str, ConcurrencyLimit] = NO_LIMITS,
        rota: Rota | None = None,
    ) -> list[Claim]:
        """Grant what can be granted, in one transaction."""
        if not requests:
            return []
        limits = [
            {"task": task, "seconds": bounded_seconds(seconds)} for task, seconds in hard_limits.items()
        ]
        parameters = {
            claim.LIMITS: json.dumps(limits),
            claim.DEFAULT_SECONDS: bounded_seconds(default_attempt_seconds),
            claim.GRACE_SECONDS: self._grace_seconds,
        }
        if apart is not None:
            parameters[claim.LEAST_COHORT] = apart.least_cohort
        work = _Work(
            self._transactions,
            worker_id,
            requests,
            queues,
            parameters,
            without=without,
            is_apart=apart is not None,
            rota=rota or Rota(),
            hold=lambda connection, taken: self._turns.hold(connection, taken, concurrency),
        )
        try:
            granted = self._transactions.write(work.claim, doing="claim", tells_data=True)
        except DataRefused:
            # One row cannot be moved, whatever wrote it: find it, put it aside, claim the others.
            work.is_careful = True
            granted = self._transactions.write(work.claim, doing="claim carefully")
        if rota is not None:
            rota.become(work.turns)
        return self._readable(granted)

    def _readable(self, granted: list[AnyRow]) -> list[Claim]:
        claims: list[Claim] = []
        for row in granted:
            try:
                claims.append(Claim(rows.lease(row), rows.job(row)))
            except BadRow as error:
                self._put_aside(row, error)
        return claims

    def _put_aside(self, row: AnyRow, error: BadRow) -> None:
        _log.warning("job %s cannot be read and is quarantined: %s", row.id, error.detail)
        ending = endings.ending(
            row.id,
            LeaseToken(row.lease_token),
            kind=Move.QUARANTINE.value,
            reason=QuarantineReason.INVALID_PAYLOAD.value,
            detail=f"the row cannot be read: {error.detail}",
        )
        try:
            self._transactions.write(
                lambda connection: self._settling.end_running(connection, [ending]),
                doing="put a row aside",
                tells_data=True,
            )
        except DataRefused as refused:
            # Even that is refused: it stays under a lease that nobody holds, and harms nobody else.
            _log.error("job %s cannot be quarantined either: %s", row.id, refused.said)


class _Work:
    """One batch of claims; may run several times, with the same tokens."""

    def __init__(
        self,
        transactions: Transactions,
        worker_id: WorkerId,
        requests: Sequence[ClaimRequest],
        queues: Sequence[str],
        parameters: dict[str, Any],
        *,
        without: Without,
        is_apart: bool,
        rota: Rota,
        hold: Callable[[Connection, Sequence[AnyRow]], list[AnyRow]],
    ) -> None:
        self._is_apart = is_apart
        self._rota = rota
        self.turns = rota
        self._hold = hold
        self._transactions = transactions
        self._worker_id = worker_id
        self._named = {request.token: request for request in requests if request.job_id is not None}
        self._any = [request.token for request in requests if request.job_id is None]
        self._order = {request.token: place for place, request in enumerate(requests)}
        self._queues = tuple(sorted(set(queues)))
        self._parameters = parameters
        self._without = without
        self.is_careful = False

    def claim(self, connection: Connection) -> list[AnyRow]:
        alive = self._transactions.run(connection, claim.worker_is_alive(self._worker_id)).scalar()
        if not alive:
            raise LeaseLost(detail=f"worker {self._worker_id} was declared dead, or never registered")
        # A repeated wish for any job must find the job it got, before it takes another one.
        granted = self._granted_before(connection, self._any)
        wishes: list[Wish] = [{"id": one.job_id, "token": token} for token, one in self._named.items()]
        wishes += self._next(connection, [token for token in self._any if token not in granted], wishes)
        taken = self._hold(connection, self._take(connection, wishes))
        granted |= {row.lease_token: row for row in taken}
        granted |= self._granted_before(connection, [token for token in self._named if token not in granted])
        return [granted[token] for token in sorted(granted, key=self._order.__getitem__)]

    def _next(self, connection: Connection, tokens: list[LeaseToken], named: list[Wish]) -> list[Wish]:
        # Each try begins where the last claim ended.
        self.turns = self._rota.copy()
        if not tokens or not self._queues:
            return []
        taken = {str(wish["id"]) for wish in named}
        if self._is_apart:
            found = self._next_apart(connection, len(tokens) + len(taken))
            free = [job_id for job_id in found if job_id not in taken]
        else:
            look = NextJobs(
                self._transactions,
                connection,
                self.turns,
                worker_id=self._worker_id,
                queues=self._queues,
                without=self._without,
            )
            free = look.find(len(tokens), taken)
        return [{"id": job_id, "token": token} for job_id, token in zip(free, tokens, strict=False)]

    def _next_apart(self, connection: Connection, most: int) -> list[str]:
        spared = sorted(self._without.jobs)
        statement = claim.next_apart(self._worker_id, self._queues, spares_jobs=bool(spared))
        values = {**self._parameters, claim.SPARED_JOBS: spared, claim.LIMIT: most}
        return list(self._transactions.run(connection, statement, values).scalars())

    def _take(self, connection: Connection, wishes: list[Wish]) -> list[AnyRow]:
        wishes.sort(key=lambda wish: wish["id"])
        if not self.is_careful:
            return self._update(connection, wishes)
        taken, refused = self._transactions.apart(connection, wishes, self._update)
        for wish, said in refused:
            _log.warning("job %s cannot be claimed and is quarantined: %s", wish["id"], said)
            self._quarantine(connection, str(wish["id"]), said)
        return taken

    def _update(self, connection: Connection, wishes: Sequence[Wish]) -> list[AnyRow]:
        taken: list[AnyRow] = []
        for layer in _layers(wishes):
            batch = packed_with_ids(layer)
            if len(layer) > 1 and self._transactions.is_postgresql:
                self._transactions.run(connection, claim.lock(), batch)
            statement = claim.claim(self._worker_id, apart=self._is_apart)
            taken += self._transactions.run(connection, statement, {**batch, **self._parameters}).all()
        if taken:
            attempts = packed([_attempt(row) for row in taken])
            self._transactions.run(connection, claim.start_attempts(), attempts)
            moments.record(self._transactions, connection, taken, Move.CLAIM.value)
        return taken

    def _granted_before(
        self, connection: Connection, tokens: Sequence[LeaseToken]
    ) -> dict[LeaseToken, AnyRow]:
        if not tokens:
            return {}
        batch = packed([{"token": token} for token in tokens])
        found = self._transactions.run(connection, claim.by_token(self._worker_id), batch)
        return {row.lease_token: row for row in found}

    def _quarantine(self, connection: Connection, job_id: str, said: str) -> None:
        detail = f"the row cannot be claimed: {said}"
        statement = maintenance.quarantine_waiting(
            QuarantineReason.INVALID_PAYLOAD, detail, JobState.AVAILABLE
        )

        def put_aside(ours: Connection, ids: Sequence[str]) -> list[AnyRow]:
            moved = self._transactions.run(
                ours, statement, packed_with_ids([{"id": one} for one in ids])
            ).all()
            moments.record(self._transactions, ours, moved, Move.QUARANTINE.value)
            return list(moved)

        self._transactions.apart(connection, [job_id], put_aside)


def _layers(wishes: Sequence[Wish]) -> list[list[Wish]]:
    """Part wishes so that no job stands twice in one statement."""
    layers: list[dict[str, Wish]] = []
    for wish in wishes:
        place = next((layer for layer in layers if wish["id"] not in layer), None)
        if place is None:
            layers.append({wish["id"]: wish})
        else:
            place[wish["id"]] = wish
    return [list(layer.values()) for layer in layers]


def _attempt(row: AnyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "token": row.lease_token,
        "generation": row.generation,
        "number": row.attempt,
        "incarnation": row.fence_incarnation,
        "counter": row.fence_counter,
        "worker_id": row.worker_id,
    }
