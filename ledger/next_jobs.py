"""Which jobs are claimed by a worker that takes any: the next ones of the rota."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import CompoundSelect, Connection, Row

from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Without
from holdfast.jobs.rota import Group, Rota
from holdfast.ledger.batch import packed
from holdfast.ledger.statements import claim, rota
from holdfast.ledger.transaction import Transactions

MOST_GROUPS: Final = 32
"""Groups that are looked at together; with more, the others have their turn in the next look."""
_MOST_LOOKS: Final = 4
"""Where what waits is not for this worker, or is being taken by others, it looks for others so often."""


class NextJobs:
    """Finds the next jobs for a worker, and locks them, in one transaction."""

    def __init__(
        self,
        transactions: Transactions,
        connection: Connection,
        turns: Rota,
        *,
        worker_id: str,
        queues: Sequence[str],
        without: Without,
    ) -> None:
        """Look in these queues, take turns by this rota, and leave out what is to be spared."""
        self._transactions = transactions
        self._connection = connection
        self._turns = turns
        self._worker_id = worker_id
        self._queues = queues
        self._tasks, self._jobs = sorted(without.tasks), sorted(without.jobs)

    def find(self, wanted: int, taken: Collection[str]) -> list[str]:
        """Return so many jobs, or all that there are, in the order of their turns; none of those `taken`."""
        found: dict[str, Group | None] = dict.fromkeys(taken)
        wanted += len(found)
        most = min(wanted, MOST_GROUPS)
        for _ in range(_MOST_LOOKS):
            groups = self._waiting(most)
            are_all = len(groups) < most
            self._take(groups, wanted, found, again=are_all)
            if are_all or len(found) >= wanted:
                break
            most = MOST_GROUPS
        return list(found)[len(taken) :]

    def _take(self, groups: list[Group], wanted: int, found: dict[str, Group | None], *, again: bool) -> None:
        # Not again: there may be other groups, whose turn comes before anybody has another one.
        # What a group brought before it brings again; of what others took, nobody knows whose it was.
        brought = Counter(found.values())
        most = Counter({group: brought[group] + brought[None] for group in groups})
        while groups and len(found) < wanted:
            left = wanted - len(found)
            plan = self._turns.plan(groups, left if again else min(left, len(groups)))
            most.update(plan)
            heads = self._heads({group: most[group] for group in set(plan)})
            for group in plan:
                fresh = next((job_id for job_id in heads[group] if job_id not in found), None)
                if fresh is not None:
                    found[fresh] = group
            # Whoever brought less than it might has no more.
            groups = [
                group
                for group in groups
                if group not in heads or (again and len(heads[group]) >= most[group])
            ]

    def _waiting(self, most: int) -> list[Group]:
        asked: list[dict[str, object]] = []
        for queue in self._queues:
            for priority in range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1):
                asked += _questions(self._turns, priority, queue)
        rows = self._run(rota.waiting(), {**packed(asked), rota.MOST: most})
        rows.sort(key=lambda row: (row.lap, row.place))
        lines: dict[tuple[int, str], dict[str | None, None]] = {}
        for row in rows:
            line = lines.setdefault((row.priority, row.queue), {})
            # Who comes after these has its turn in the next look, and does not bring the last one back here.
            if len(line) < most:
                line[row.tenant] = None
        return [Group(*place, tenant) for place, line in lines.items() for tenant in line]

    def _heads(self, most: dict[Group, int]) -> dict[Group, list[str]]:
        named = [group for group in most if group.tenant is not None]
        unnamed = [group for group in most if group.tenant is None]
        arms: list[Group | None] = [*_padded(named), *_padded(unnamed)]
        statement = rota.heads(
            self._worker_id,
            len(_padded(named)),
            len(_padded(unnamed)),
            spares_tasks=bool(self._tasks),
            spares_jobs=bool(self._jobs),
        )
        values: dict[str, Any] = {claim.SPARED_TASKS: self._tasks, claim.SPARED_JOBS: self._jobs}
        for index, group in enumerate(arms):
            one = group or _NOBODY
            limit = most[group] if group else 0
            values |= dict(zip(rota.names(index), (*one, limit), strict=True))
        heads: dict[Group, list[str]] = {group: [] for group in most}
        for row in sorted(self._run(statement, values)):
            group = arms[int(row.arm)]
            if group is not None:
                heads[group].append(row.id)
        return heads

    def _run(self, statement: CompoundSelect[*tuple[Any, ...]], values: dict[str, Any]) -> list[Row[Any]]:
        return list(self._transactions.run(self._connection, statement, values))


_NOBODY: Final = Group(HIGHEST_PRIORITY, "", "")


def _questions(turns: Rota, priority: int, queue: str) -> list[dict[str, object]]:
    # Laps: 0 who goes on, 1 the tenants after the last one, 2 those without a name, 3 the tenants up to it.
    place = {"priority": priority, "queue": queue}
    asked: list[dict[str, object]] = [{**place, "kind": rota.UNNAMED, "tenant": None, "lap": 2}]
    last = turns.last(priority, queue)
    tenant, goes_on = last or (None, False)
    if goes_on and tenant is not None:
        asked.append({**place, "kind": rota.EXACTLY, "tenant": tenant, "lap": 0})
    if last is not None:
        asked.append({**place, "kind": rota.AFTER, "tenant": tenant or "", "lap": 1})
    if last is None or tenant is not None:
        asked.append({**place, "kind": rota.AFTER, "tenant": "", "lap": 3})
    return asked


def _padded(groups: list[Group]) -> list[Group | None]:
    # To a power of two, so that few statements serve all numbers.
    size = 1 << (len(groups) - 1).bit_length() if groups else 0
    return [*groups, *[None] * (size - len(groups))]
