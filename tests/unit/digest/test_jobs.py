"""The two jobs of `digest`, as a worker runs them: whatever happens, the report says it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.tasks.agents.digest import scan
from holdfast.tasks.agents.digest.jobs import ReportRequest, digest_document, digest_report
from holdfast.testing import Platform

TEXTS = {
    "a.md": "# Leases\n\nThe lease tells which worker may write.\n\nA late worker loses its lease.\n",
    "b.md": "# Workers\n\nThe worker renews each lease in time.\n\nEvery worker has one lease per job.\n",
}


@pytest.fixture
def platform():
    """The process's own tasks: the shipped ones."""
    with Platform() as made:
        yield made


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two documents."""
    made = tmp_path / "documents"
    made.mkdir()
    for name, text in TEXTS.items():
        (made / name).write_text(text, encoding="utf-8")
    return made


def ordered(folder: Path, *, output: Path) -> ReportRequest:
    """One job for each document, as the command orders them, and the request for the report."""
    found = scan(folder)
    jobs = {
        unit.key: digest_document.options(key=unit.key).enqueue_sync(str(folder), unit).id
        for unit in found.units()
    }
    started_at = datetime.now(UTC)  # noqa: TID251 -- the report subtracts it from the real time
    return ReportRequest(
        folder=str(folder), output=str(output), scan=found, job_ids=jobs, started_at=started_at
    )


def test_each_document_is_digested_and_reported(platform: Platform, folder, tmp_path):
    """Two jobs, then the report, which quotes both documents."""
    request = ordered(folder, output=tmp_path / "report.md")
    assert ["completed"] * 2 == [outcome.state for outcome in platform.run_available_sync()]
    summary = platform.run_task_sync(digest_report, request).result()
    assert (2, 0) == (summary.documents, summary.skipped)
    assert "The lease tells which worker may write." in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_document_that_has_changed_is_no_reason_to_try_again(platform: Platform, folder, tmp_path):
    """Its job fails for good, and the report names it with the reason."""
    request = ordered(folder, output=tmp_path / "report.md")
    (folder / "b.md").unlink()
    outcomes = platform.drain_sync()
    assert [("completed", 1), ("quarantined", 1)] == sorted(
        (str(outcome.state), len(outcome.attempts)) for outcome in outcomes
    )
    summary = platform.run_task_sync(digest_report, request).result()
    assert (1, 1) == (summary.documents, summary.skipped)
    assert "b.md" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("crash_at", [1, "before_settle", "after_settle"])
def test_a_worker_that_dies_over_the_report_leaves_one(platform: Platform, folder, tmp_path, crash_at):
    """It is written again, whole, and nothing else lies beside it."""
    request = ordered(folder, output=tmp_path / "out" / "report.md")
    platform.run_available_sync()
    assert 2 == platform.run_task_sync(digest_report, request, crash_at=crash_at).result().documents
    assert ["report.md"] == [path.name for path in (tmp_path / "out").iterdir()]
