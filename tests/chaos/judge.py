"""What came of the jobs of a cell: read from the ledger's tables and from the witness, and counted."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import create_engine, text

FINAL = {"completed", "cancelled", "quarantined"}


@dataclass
class Books:
    """The two books of a cell."""

    states: dict[str, str]
    reasons: dict[str, str]
    inside: Counter[str]
    """Effects inside the job's transaction, by job."""
    endings: Counter[tuple[str, int]]
    """Final moves in the history, by job and generation."""
    outcomes: Counter[str]
    """Ends of attempts, by kind."""
    heard: list[dict]
    """What the witness wrote down."""
    early: int = 0
    notes: list[str] = field(default_factory=list)

    def effects(self, kind: str) -> Counter[str]:
        """Count the effects of a kind that were taken, by job."""
        return Counter(word["job"] for word in self.heard if word["say"] == kind and word.get("taken"))

    def columns(self, expected: Collection[str], *, inside: bool) -> dict[str, int]:
        """Return the columns of the table; `inside` tells whether these jobs have effects inside."""
        keyed, raw = self.effects("keyed"), self.effects("raw")
        lost = [
            job
            for job in expected
            if self.states.get(job) != "completed" or not keyed[job] or (inside and not self.inside[job])
        ]
        return {
            "lost": len(lost),
            "doubled_inside": _doubled(self.inside),
            "doubled_with_key": _doubled(keyed),
            "doubled_raw": _doubled(raw),
            "doubled_final": _doubled(self.endings),
        }


def read(database_url: str, schema: str | None, heard: list[dict]) -> Books:
    """Read the ledger past all of its code."""
    place = f'"{schema}".' if schema and database_url.startswith("postgresql") else ""
    engine = create_engine(database_url)
    with engine.connect() as connection:

        def rows(question: str) -> list[tuple]:
            return [tuple(row) for row in connection.execute(text(question))]

        jobs = rows(f"SELECT id, state, reason FROM {place}jobs")  # noqa: S608 -- the schema is our own
        # A requeue opens the next generation: the moves before it belong to the one before.
        moves = rows(f"SELECT job_id, seq, kind, state FROM {place}job_moments ORDER BY job_id, seq")  # noqa: S608 -- the same
        ends = rows(f"SELECT outcome FROM {place}attempts WHERE outcome IS NOT NULL")  # noqa: S608 -- the same
        inside = rows("SELECT job_id FROM chaos_effects")
    engine.dispose()
    return Books(
        states={job: state for job, state, _ in jobs},
        reasons={job: reason for job, _, reason in jobs if reason},
        inside=Counter(job for (job,) in inside),
        endings=_endings(moves),
        outcomes=Counter(outcome for (outcome,) in ends),
        heard=heard,
    )


def _endings(moves: list[tuple]) -> Counter[tuple[str, int]]:
    generations: Counter[str] = Counter()
    endings: Counter[tuple[str, int]] = Counter()
    for job, _, kind, state in moves:
        generations[job] += kind == "requeue"
        endings[job, generations[job]] += state in FINAL
    return endings


def _doubled(counted: Counter) -> int:
    return sum(count - 1 for count in counted.values() if count > 1)
