"""Large arguments and results: apart from their jobs' rows, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs.children import ChildEnd
from holdfast.jobs.claim_check import DEFAULT_INLINE_BYTES, Reference, is_large
from holdfast.jobs.job import Job
from holdfast.ledger.batch import chunked, packed, packed_with_ids
from holdfast.ledger.rows import BadRow
from holdfast.ledger.statements import payloads
from holdfast.ledger.transaction import Transactions

NEWEST_LOOKED_AT: Final = 10_000
"""Jobs whose references `books` follows."""
_MOST_SHOWN: Final = 100
_FEW_CHARACTERS: Final = 400

Bodies = dict[tuple[str, str], str]
"""Payloads by the job that has them and their digest."""


@dataclass(frozen=True, slots=True)
class PayloadBooks:
    """What does not fit together; at most 100 of each are named."""

    orphans: Sequence[str]
    """Jobs that are gone, and whose payloads are not."""
    dangling: Sequence[str]
    """Of the newest 10,000 jobs those whose reference leads nowhere."""


class Payloads:
    """Writes and reads what is too large for a row. Whatever has no reference costs no statement."""

    def __init__(self, transactions: Transactions, inline_bytes: int = DEFAULT_INLINE_BYTES) -> None:
        """Work in these transactions; up to so many UTF-8 bytes stand in the row itself."""
        self._transactions = transactions
        self._inline_bytes = inline_bytes

    def part(self, job_id: str, text: str, heavy: Bodies) -> str:
        """Return what stands in the row of a job; what does not is put into `heavy`."""
        if not is_large(text, self._inline_bytes):
            return text
        reference = Reference.to(text)
        heavy[job_id, reference.digest] = text
        return reference.text

    def lightened(self, row: Mapping[str, Any], name: str, heavy: Bodies) -> dict[str, Any]:
        """Return a row of a batch with a reference where that is called for."""
        text = row[name]
        return {**row, name: None if text is None else self.part(str(row["id"]), text, heavy)}

    def write(self, connection: Connection, heavy: Bodies) -> None:
        """Write payloads, in the transaction that writes the references."""
        rows = [
            {"id": job_id, "digest": digest, "body": body} for (job_id, digest), body in sorted(heavy.items())
        ]
        for chunk in chunked(rows, lambda row: len(row["body"]) + _FEW_CHARACTERS):
            self._transactions.run(connection, payloads.add(), packed(chunk))

    def let_go_of_others(self, connection: Connection, job_ids: Sequence[str], heavy: Bodies) -> None:
        """Delete what jobs have beside these: their arguments were replaced, and they have no result yet."""
        named: list[tuple[str, str | None]] = [(job_id, None) for job_id in sorted(job_ids)]
        named += sorted(heavy)
        rows = [{"id": job_id, "digest": digest} for job_id, digest in named]
        for chunk in chunked(rows, lambda _: _FEW_CHARACTERS):
            self._transactions.run(connection, payloads.delete_others(), packed_with_ids(chunk))

    def arguments(self, rows: Iterable[Row[Any]], connection: Connection | None = None) -> Bodies:
        """Read the large arguments of jobs."""
        return self._read([(row.id, row.arguments) for row in rows], connection)

    def of_job(self, job: Job) -> Job:
        """Return a job with its arguments and its result, as far as they are there."""
        found = self._read([(job.id, job.arguments), (job.id, job.result)])
        return replace(
            job,
            arguments=_found(job.id, job.arguments, found) or job.arguments,
            result=_found(job.id, job.result, found) or job.result,
        )

    def results_of(self, jobs: Sequence[Job]) -> list[Job]:
        """Return jobs with their results, as far as they are there; their arguments stay references."""
        found = self._read([(job.id, job.result) for job in jobs])
        return [replace(job, result=_found(job.id, job.result, found) or job.result) for job in jobs]

    def results_of_children(self, ends: Sequence[ChildEnd]) -> list[ChildEnd]:
        """Return children with their results, as far as they are there."""
        found = self._read([(end.job_id, end.result) for end in ends])
        return [replace(end, result=_found(end.job_id, end.result, found) or end.result) for end in ends]

    def books(self) -> PayloadBooks:
        """Look for payloads without a job, and for references without a payload."""

        def work(connection: Connection) -> PayloadBooks:
            orphans = self._transactions.run(connection, payloads.orphans(_MOST_SHOWN)).scalars().all()
            dangling = self._transactions.run(connection, payloads.dangling(NEWEST_LOOKED_AT)).scalars()
            return PayloadBooks(orphans, dangling.fetchmany(_MOST_SHOWN))

        return self._transactions.read(work, doing="look at payloads")

    def _read(self, asked: Iterable[tuple[str, str | None]], connection: Connection | None = None) -> Bodies:
        named = [
            {"id": job_id, "digest": reference.digest}
            for job_id, text in asked
            if (reference := Reference.read(text)) is not None
        ]
        if not named:
            return {}

        def work(ours: Connection) -> Bodies:
            found: Bodies = {}
            for chunk in chunked(named, lambda _: _FEW_CHARACTERS):
                rows = self._transactions.run(ours, payloads.read(), packed_with_ids(chunk))
                found |= {(row.job_id, row.digest): row.body for row in rows}
            return found

        if connection is not None:
            return work(connection)
        return self._transactions.read(work, doing="read payloads")


def with_arguments(job: Job, found: Bodies) -> Job:
    """Return a job with its arguments. Raises BadRow if they are lost, or not those that were written."""
    reference = Reference.read(job.arguments)
    if reference is None:
        return job
    body = found.get((job.id, reference.digest))
    if body is None:
        raise BadRow(job_id=job.id, detail=f"its arguments ({reference.size} bytes) are lost")
    if not reference.fits(body):
        raise BadRow(job_id=job.id, detail="its arguments are not those that were written: another digest")
    return replace(job, arguments=body)


def arguments_of(row: Row[Any], found: Bodies) -> str:
    """Return the arguments of a job's row; those that are lost are the reference."""
    return _found(row.id, row.arguments, found) or str(row.arguments)


def _found(job_id: str, text: str | None, found: Bodies) -> str | None:
    reference = Reference.read(text)
    body = None if reference is None else found.get((job_id, reference.digest))
    return body if body is not None and reference is not None and reference.fits(body) else None
