"""Steer jobs: those that are named, or all that fit a filter after they were counted and confirmed."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import typer

from holdfast.cli.job_list import states
from holdfast.cli.terminal import err, out, print_json, say, say_error
from holdfast.jobs.errors import JobError
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.ledger.bulk import CANCELLED, DUE, HELD, REFUSED, REQUESTED, REQUEUED, TAKEN, Outcomes
from holdfast.ledger.job_filter import JobCount, JobFilter

DONE, NOT_ALL, WRONG = 0, 1, 2
_SAID: Final = {
    CANCELLED: "cancelled",
    REQUESTED: "asked to end; their workers do that within seconds",
    REQUEUED: "requeued; workers take them within seconds",
    DUE: "due now",
    REFUSED: "left: messages that were refused; `holdfast quarantine replay` sends them again",
    TAKEN: "left: another job of their unique key is there; requeue them when that has ended",
    HELD: "left: children whose parent is open and does not wait for them; requeue that when it has ended",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be done to jobs."""

    name: str
    does: str
    """Of the command: `cancels`."""
    done: str
    """Of the jobs: `cancelled`."""
    among: Sequence[JobState]
    """The states of the jobs that it can be done to."""
    one: Callable[[Ledger, JobId], tuple[str, str]]
    """Does it to one job: returns what came of it, as a word and as a sentence. Raises JobError."""
    many: Callable[[Ledger, JobFilter, int | None], Iterator[Outcomes]]
    """Does it to all that fit, at most so many."""
    undone: frozenset[str] = frozenset()
    """Words of `one` that say that nothing was done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How far to go."""

    most: int | None = None
    yes: bool = False
    """It was confirmed beforehand."""
    as_json: bool = False


def steer_named(ledger: Ledger, verb: Verb, job_ids: Sequence[str], *, as_json: bool) -> int:
    """Steer jobs one by one; one that cannot be does not keep the others. Returns the exit code."""
    answers: list[dict[str, str]] = []
    code = DONE
    for job_id in job_ids:
        try:
            word, sentence = verb.one(ledger, JobId(job_id))
        except JobError as error:
            code = WRONG
            answers.append({"job_id": job_id, "error": str(error)})
            say_error(error)
            continue
        code = max(code, NOT_ALL if word in verb.undone else DONE)
        answers.append({"job_id": job_id, "answer": word})
        if not as_json:
            say(out(), f"{job_id}: {sentence}")
    if as_json:
        print_json(answers)
    return code


def steer_fitting(ledger: Ledger, verb: Verb, which: JobFilter, wish: Wish) -> int:
    """Count what fits, ask, and steer that: nothing that came later. Returns the exit code."""
    counted = ledger.inspection.count(which, among=verb.among)
    until = counted.at if which.created_until is None else min(counted.at, which.created_until)
    if not counted.total or not (wish.yes or _is_confirmed(verb, counted, wish)):
        return _only_counted(verb, counted, wish)
    done: Outcomes = Counter()
    try:
        _carry_out(verb.many(ledger, replace(which, created_until=until), wish.most), done, counted, wish)
    finally:
        _tell(done, counted, wish)
    return NOT_ALL if done[REFUSED] or done[HELD] or done[TAKEN] else DONE


def _carry_out(pages: Iterator[Outcomes], done: Outcomes, counted: JobCount, wish: Wish) -> None:
    console = err()
    if wish.as_json or not console.is_terminal:
        for page in pages:
            done.update(page)
        return
    with console.status("...") as status:
        for page in pages:
            done.update(page)
            status.update(f"{done.total():,} of {counted.total:,} (Ctrl-C stops; what is done stays done)")


def _is_confirmed(verb: Verb, counted: JobCount, wish: Wish) -> bool:
    if wish.as_json or not (sys.stdin.isatty() and out().is_terminal):
        return False
    bound = f", at most {wish.most:,} of them" if wish.most is not None and wish.most < counted.total else ""
    return typer.confirm(f"{verb.name.capitalize()} {_jobs(counted)}{bound}?")


def _only_counted(verb: Verb, counted: JobCount, wish: Wish) -> int:
    if wish.as_json:
        print_json({"found": counted.total, "by_state": dict(counted.by_state), "done": {}})
    elif counted.total:
        say(out(), f"Found {_jobs(counted)}. Nothing was done; --yes {verb.does} them.")
    else:
        say(out(), f"No job fits that can be {verb.done}.")
    return NOT_ALL if counted.total else DONE


def _tell(done: Outcomes, counted: JobCount, wish: Wish) -> None:
    if wish.as_json:
        print_json({"found": counted.total, "by_state": dict(counted.by_state), "done": dict(+done)})
        return
    for word, sentence in _SAID.items():
        if done[word]:
            say(out(), f"{done[word]:,} {sentence}.")
    meanwhile = counted.total - done.total()
    if wish.most is None and meanwhile > 0:
        say(err(), f"{meanwhile:,} were left: changed meanwhile, or not reached.", "yellow")


def _jobs(counted: JobCount) -> str:
    return f"{counted.total:,} job{'s' if counted.total > 1 else ''} ({states(counted)})"
