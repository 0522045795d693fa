"""What a digest at work looks like."""

import errno
import os
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from holdfast.cli.connection import Connected
from holdfast.cli.digest.conduct import Outcome, tell, work_done
from holdfast.cli.digest.demonstrate import report_name
from holdfast.cli.digest.order import DigestRun, NoFolder, Piece, require_folder
from holdfast.cli.digest.view import a_view, progress_of, row_of
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.tasks.agents.digest.document import DocumentDigest, DocumentRef, Kind, Scan, Skipped, SkipReason
from holdfast.tasks.agents.digest.jobs import ReportSummary


def _a_run(*states, reused=0, refused=()):
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
                digest=digest if state is JobState.COMPLETED and number not in refused else None,
                refusal=_refusal(document.path) if number in refused else None,
            )
        )  # fmt: skip
    return run


def _refusal(path):
    return Skipped(path=path, reason=SkipReason.NO_READABLE_TEXT, detail="the PDF holds no text")


def test_without_a_terminal_a_line_per_step():
    """Steps and the end are told in plain lines; the same is not told twice."""
    written = StringIO()
    with a_view(Console(file=written, width=100)) as view:
        view.show("Enqueueing", _a_run(JobState.AVAILABLE))
        view.show("Enqueueing", _a_run(JobState.COMPLETED, JobState.COMPLETED, reused=2))
        view.show("Digesting", _a_run(JobState.RUNNING, JobState.RUNNING))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.RUNNING))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.COMPLETED))
        view.show("Digesting", _a_run(JobState.COMPLETED, JobState.COMPLETED))
    expected = ["Enqueueing", "Digesting: 0 of 2 documents done", "Digesting: 2 of 2 documents done"]
    assert expected == written.getvalue().splitlines()


def test_what_cannot_be_digested_is_counted_apart():
    """A document without text is neither done nor failed; a failed job is named as such."""
    done, failed = JobState.COMPLETED, JobState.QUARANTINED
    assert "2 of 2 documents done" == progress_of(_a_run(done, done))
    mixed = _a_run(done, done, done, failed, refused={1, 2})
    assert "1 of 4 documents done, 2 could not be digested, 1 failed" == progress_of(mixed)
    assert ["3.md"] == [piece.document.path for piece in mixed.failed]
    assert ["done", "no text", "no text", "failed"] == [row_of(piece)[1].plain for piece in mixed.pieces]


def test_the_outcome_names_what_was_left_out():
    """The last lines name skipped files, documents without text and files of other kinds."""
    run = _a_run(JobState.COMPLETED, JobState.COMPLETED, refused={1})
    run.scan = run.scan.model_copy(
        update={"other_files": 5, "other_names": ("a.bin", "b.bin", "c.bin", "d.bin")}
    )
    text = _told(run)
    assert "1 could not be digested, the report names them: 1.md" in text
    assert "5 of other kinds and not read, the report names them: a.bin, b.bin, c.bin and 2 more" in text


def test_an_empty_folder_is_said_to_be_empty():
    """Without a document there is nothing to count; the words say so."""
    text = _told(_a_run())
    assert "Nothing to digest here" in text
    assert "0 jobs" not in text


def _told(run):
    written = StringIO()
    summary = ReportSummary(path="r.md", documents=1, skipped=0, themes=0, reused=0, seconds=1.0)
    tell(Console(file=written, width=200), Outcome(run, summary))
    return written.getvalue()


@pytest.mark.parametrize("name", ["missing", "file.md", "file.md/below"])
def test_what_is_no_folder_is_refused_in_the_same_words(tmp_path, name):
    """Missing, a file, below a file: one error of ours that names the path, and never a traceback."""
    (tmp_path / "file.md").touch()
    with pytest.raises(NoFolder, match="is not a folder that can be read") as refused:
        require_folder(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)


def test_a_folder_below_a_closed_one_is_refused_in_the_same_words(tmp_path, monkeypatch):
    """Where we may not look there is no folder for us."""

    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(NoFolder, match=r"is not a folder that can be read \(permission denied\)"):
        require_folder(tmp_path)


def test_each_folder_has_its_own_report(tmp_path):
    """Two folders of one name do not share a report; one folder has the same by every path."""
    (tmp_path / "a" / "docs").mkdir(parents=True)
    one, other = report_name(tmp_path / "a" / "docs"), report_name(tmp_path / "b" / "docs")
    assert one != other
    assert one.startswith("report-docs-")
    assert one == report_name(tmp_path / "a" / ".." / "a" / "docs")
    assert "report.md" == report_name(None)


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
