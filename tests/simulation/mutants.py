"""Known-bad variants of the protocol, as patches of production source; each must be caught.

The first five are the weaker rules that the protocol was chosen over; the
others leave out one thing each.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Patch:
    """A text that stands once in a module's source, and what stands there instead."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A variant: its name, what is wrong with it, and how production is changed."""

    name: str
    says: str
    patches: tuple[Patch, ...]


MUTANTS: Final = (
    Mutant(
        "fence-instead-of-token",
        "who may write is told by the job's fence, which a failover gives out again",
        (
            Patch(
                "holdfast.ledger.statements.claim",
                "lease_token=token,",
                'lease_token=jobs.c.id + ":" + cast(jobs.c.fence_counter + 1, jobs.c.id.type),',
            ),
            Patch(
                "holdfast.ledger.statements.claim",
                "attempts.insert().from_select(",
                'attempts.insert().prefix_with("OR REPLACE").from_select(',
            ),
            Patch(
                "holdfast.ledger.claiming",
                "return [granted[token] for token in sorted(granted, key=self._order.__getitem__)]",
                "return list(granted.values())",
            ),
        ),
    ),
    Mutant(
        "no-reconciliation",
        "nobody compares what a worker holds with what the ledger says it holds",
        (
            Patch(
                "holdfast.workers.leases",
                "await self._check_missing(before, {row.token for row in rows})",
                "pass",
            ),
            Patch(
                "holdfast.workers.leases",
                "await self._hand_back_strays(rows, set(before) | under_way)",
                "pass",
            ),
        ),
    ),
    Mutant(
        "rescue-once",
        "a dead worker is swept shortly after its death only, and a claim does not look at the worker's row",
        (
            Patch("holdfast.ledger.claiming", "if not alive:", "if alive is None:"),
            Patch(
                "holdfast.ledger.statements.maintenance",
                "lives = exists().where(workers.c.id == jobs.c.worker_id, workers.c.alive)",
                "lives = exists().where(workers.c.id == jobs.c.worker_id,"
                " or_(workers.c.alive, workers.c.ended_at <= now_plus(-3.0)))",
            ),
        ),
    ),
    Mutant(
        "lease-by-database-clock",
        "a worker is dead when its row is old by the database's clock",
        (
            Patch(
                "holdfast.workers.observer",
                "silent = [worker for worker in others if self._is_silent(worker, now)]",
                "latest = max((worker.seen_at for worker in workers), default=None)\n"
                "        silent = [worker for worker in others if latest is not None"
                " and (latest - worker.seen_at).total_seconds() >= self._lease_seconds]",
            ),
        ),
    ),
    Mutant(
        "early-freeing-without-proof",
        "a process that is not on this machine counts as gone",
        (
            Patch(
                "holdfast.workers.census",
                "if not here.machine_id or birth.machine_id != here.machine_id or not birth.started_marker:",
                "if not birth.started_marker:",
            ),
        ),
    ),
    Mutant(
        "no-token-in-settle",
        "whoever names a running job may end it",
        (
            Patch(
                "holdfast.ledger.statements.shape",
                "is_still(JobState.RUNNING), jobs.c.lease_token == token)",
                "is_still(JobState.RUNNING), token.is_not(None))",
            ),
        ),
    ),
    Mutant(
        "no-re-ring",
        "a job is rung once, and a lost ring stays lost",
        (
            Patch(
                "holdfast.ledger.statements.maintenance",
                "for index, arm in enumerate(arms)\n",
                "for index, arm in enumerate(arms[:1])\n",
            ),
        ),
    ),
    Mutant(
        "acknowledge-before-claim",
        "a ring is acknowledged when it is taken up, before the ledger has granted the claim",
        (
            Patch(
                "holdfast.workers.gate",
                "        self._claiming = requests\n",
                "        self._claiming = requests\n"
                "        for ticket in tickets:\n"
                "            ticket.ack()\n",
            ),
        ),
    ),
    Mutant(
        "park-without-wake-seq",
        "a job parks though it was woken since it decided to",
        (
            Patch(
                "holdfast.ledger.statements.settle",
                '(and_(self.is_kind("park"), ~self._is_woken), named("parked"))',
                '(self.is_kind("park"), named("parked"))',
            ),
        ),
    ),
    Mutant(
        "children-by-counter",
        "a wait is over when as many ends were counted as there are children",
        (
            Patch(
                "holdfast.ledger.statements.children",
                "        ~_some_child(mine, _open(_child)),\n",
                "        _counted(mine) >= _some_count(mine),\n",
            ),
            Patch(
                "holdfast.ledger.statements.children",
                "def _some_child(*conditions",
                "def _counted(mine):\n"
                "    from holdfast.ledger.schema import job_moments\n"
                "    ends = job_moments.c.state.in_(['completed', 'cancelled', 'quarantined'])\n"
                "    found = select(func.count()).where(mine, job_moments.c.job_id == _child.c.id, ends)\n"
                "    return found.correlate(jobs, gatherings).scalar_subquery()\n\n\n"
                "def _some_count(mine):\n"
                "    found = select(func.count()).where(mine)\n"
                "    return found.correlate(jobs, gatherings).scalar_subquery()\n\n\n"
                "def _some_child(*conditions",
            ),
        ),
    ),
    Mutant(
        "no-sweep-of-parents",
        "only who ended a child looks after its parent",
        (Patch("holdfast.workers.services.parents", "self._children.wake(self._batch)", "0"),),
    ),
    Mutant(
        "children-left-behind",
        "nobody asks the children of a cancelled parent to end",
        (Patch("holdfast.workers.services.parents", "self._children.cancel_bereaved(self._batch)", "0"),),
    ),
    Mutant(
        "one-too-many",
        "a claim counts the places under a limit before it takes its own",
        (
            Patch(
                "holdfast.ledger.concurrency",
                "if running[keys[row.id]] > limits[row.task].most:",
                "if running[keys[row.id]] - 1 > limits[row.task].most:",
            ),
        ),
    ),
    Mutant(
        "release-again",
        "a release whose answer was lost is repeated, and gives the same tickets to other jobs",
        (Patch("holdfast.ledger.parking", ', doing="release", is_repeatable=False)', ', doing="release")'),),
    ),
)
