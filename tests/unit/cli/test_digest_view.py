"""What a digest at work looks like."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import cast

from rich.console import Console

from holdfast.cli.connection import Connected
from holdfast.cli.digest.conduct import work_done
from holdfast.cli.digest.order import DigestRun, Piece
from holdfast.cli.digest.view import a_view
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.tasks.agents.digest.document import DocumentDigest, DocumentRef, Kind, Scan


def _a_run(*states, reused=0):
    documents = tuple(
        DocumentRef(path=f"{number}.md", sha256=str(number), size_bytes=9, kind=Kind.MARKDOWN)
        for number in range(len(states))
    )
    run = DigestRun(
        cast("Connected", None), Path(), Path("r.md"), 0.0, datetime(2026, 1, 1, tzinfo=UTC),
        scan=Scan(documents=documents, skipped=()),
    )  # fmt: skip
    for number, (document, state) in enumerate(zip(documents, states, strict=True)):
        digest = DocumentDigest(
            path=document.path, sha256=document.sha256, kind=document.kind, title="", words=12, sentences=(),
            phrases=(), seconds=0.5,
        )  # fmt: skip
        run.pieces.append(
            Piece(
                document, JobId(str(number)), is_reused=number < reused, state=state, attempt=1,
                digest=digest if state is JobState.COMPLETED else None,
            )
        )  # fmt: skip
    return run


def test_without_a_terminal_a_line_per_step():
    """Steps and the end are told in plain lines; the same is not told twice."""
    written = StringIO()
    with a_view(Console(file=written, width=100)) as view:
        view.show("Enqueueing", _a_run())
        view.show("Digesting", _a_run(JobState.RUNNING, JobState.RUNNING))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.RUNNING))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.COMPLETED))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.COMPLETED))
    expected = ["Enqueueing", "Digesting: 0 of 2 documents done", "Digesting: 2 of 2 documents done"]
    assert expected == written.getvalue().splitlines()


def test_a_terminal_sees_bar_and_table():
    """On a terminal the bar counts and each document has its row, with names shown as they are."""
    written = StringIO()
    console = Console(file=written, width=100, height=30, force_terminal=True, color_system=None)
    with a_view(console) as view:
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.RUNNING, JobState.QUARANTINED))
    text = written.getvalue()
    for word in ("2/3", "0.md", "done", "1.md", "running", "2.md", "failed", "0.50 s"):
        assert word in text


def test_nobody_at_work_is_said():
    """When no worker lives the view says that the jobs wait."""
    written = StringIO()
    run = _a_run(JobState.AVAILABLE)
    run.workers = 0
    with a_view(Console(file=written, width=200)) as view:
        view.show("Digesting", run)
    assert "no worker is alive" in written.getvalue()


def test_machines_are_not_disturbed():
    """With JSON asked for nothing else is printed."""
    written = StringIO()
    with a_view(Console(file=written), is_quiet=True) as view:
        view.show("Digesting", _a_run(JobState.RUNNING))
    assert "" == written.getvalue()


def test_what_was_done_before_is_said():
    """A second run says that nothing was done twice; a partly new one says how much was."""
    done = JobState.COMPLETED
    assert "2 jobs run now" == work_done(_a_run(done, done))
    assert "Nothing was done twice: all 2 were already done" == work_done(_a_run(done, done, reused=2))
    assert work_done(_a_run(done, done, reused=1)).startswith("1 job run now, 1 already done by a former run")
