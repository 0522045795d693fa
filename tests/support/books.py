"""The books of a worker that was sent anything: what came in is what came of it, to the message."""

import json
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import text

from holdfast.jobs.ids import JobId, is_job_id
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.worker import WorkerServer

_ENDED = (" succeeded in ", " raised ", "Discarding revoked task", " retry: ")


class Books:
    """Counts what a worker made of messages, from its ledger and its log (JSON, at debug level)."""

    def __init__(self, platform: Platform, worker: WorkerServer) -> None:
        self._platform = platform
        self._worker = worker
        self._read = 0
        self._logged: Counter[str] = Counter()
        self._rings: defaultdict[str, list[str]] = defaultdict(list)
        self._written = 0
        self._names: Counter[str] = Counter()

    @property
    def told_again(self) -> list[str]:
        """What the log tells of more than once, in the words of the log: at most one of them is right."""
        return [name for name, count in self._names.items() if count > 1]

    def told(self) -> int:
        """Return how many messages the log tells of: cheap to ask again and again."""
        self._read_log()
        return self._logged.total() + self._written

    def outcomes(self) -> Counter[str]:
        """Return how many messages came to what, by the ledger where it holds them."""
        self._read_log()
        counted = Counter(
            adopted=self._ask("SELECT count(*) FROM job_moments WHERE kind = 'adopt'"),
            quarantined=self._ask('SELECT coalesce(sum("count"), 0) FROM quarantined_messages'),
        )
        return self._logged + counted

    def _enter_rings(self) -> None:
        # The worker rings for jobs, too; what came of these rings nobody sent.
        said, self._rings = self._rings, defaultdict(list)
        job_ids = [job_id for named in said.values() for job_id in named]
        jobs = self._platform.ledger.find([JobId(job_id) for job_id in job_ids if is_job_id(job_id)])
        for what, named in said.items():
            sent = [job_id for job_id in named if job_id not in jobs]
            self._logged[what] += len(sent)
            self._names.update(f"{what} {job_id}" for job_id in sent)

    def _ask(self, question: str) -> int:
        with self._platform.ledger.session() as session:
            return int(session.connection().execute(text(question)).scalar_one())

    def _read_log(self) -> None:
        with self._worker.log_path.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._count(line)
        self._enter_rings()

    def _count(self, line: bytes) -> None:
        entry = _entry(line)
        said = str(entry.get("event", ""))
        if said in {"ring_dropped", "ring_turned"}:
            self._rings[said].append(str(entry.get("job_id")))
        elif said in {"message_quarantined", "job_adopted"}:
            self._written += 1
        elif said == "message_known":
            self._logged["known"] += 1
        elif any(words in said for words in _ENDED):
            self._logged["plain tasks ended"] += 1
            self._names[said[: said.find("]") + 1]] += 1


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
