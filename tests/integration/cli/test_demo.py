"""`holdfast demo` and `holdfast digest`: what a stranger sees first."""

import json
import signal
from contextlib import closing

import pytest

from holdfast.cli.digest.demonstrate import report_name
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.settings import embedded
from holdfast.tests.support.command_line import CommandLine, is_alive
from holdfast.tests.support.redis import redis_binary
from holdfast.tests.support.servers import require
from holdfast.tests.support.waiting import until

READY = "workers 1/1 up"
QUICK = {"HOLDFAST_BEAT_SECONDS": "0.5", "HOLDFAST_LEASE_SECONDS": "2", "HOLDFAST_LEADER_SECONDS": "3"}


@pytest.fixture
def folder(tmp_path):
    """A working directory with documents to digest."""
    require(redis_binary(), "redis-server on PATH, or the extra `local`")
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(12):
        (documents / f"{number}.md").write_text(
            f"# Harbour {number}\n\nThe harbour number {number} shelters ships from the storm. "
            f"Pilots of harbour {number} know each rock by name. In winter {number} boats stay ashore.\n"
        )
    (documents / "empty.md").write_text("")
    return tmp_path


def _sections(report):
    return sum(line.startswith("### ") for line in report.read_text().splitlines())


def test_a_demo_does_the_work_once(folder):
    """The demo reports on each document and leaves nothing running; a second one does nothing twice."""
    report = folder / ".holdfast" / "demo" / report_name(folder / "documents")
    with CommandLine("demo", "documents", folder=folder) as first:
        until(lambda: first.child("holdfast.workers"), timeout_seconds=30, what="the worker")
        children = first.children()
        assert 0 == first.end(90)
        assert not any(map(is_alive, children))
        assert "12 documents" in first.output
        assert "12 jobs run now" in first.output
        assert "1 skipped" in first.output
        assert "# Digest of" in first.output
        assert str(report) in first.output
        assert "Traceback" not in first.output
    assert 12 == _sections(report)
    with CommandLine("demo", "documents", folder=folder) as second:
        assert 0 == second.end(90)
        assert "Nothing was done twice: all 12 were already done" in second.output


def test_what_nobody_can_read_is_named_and_no_failure(folder):
    """A broken PDF is counted apart, named once with its reason, and not tried again; the exit code is 0."""
    documents = folder / "documents"
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing of one")
    (documents / "notes.json").write_text("{}")
    for jobs in ("12 documents", "Nothing was done twice: all 13 were already done"):
        with CommandLine("demo", "documents", folder=folder) as demo:
            assert 0 == demo.end(90)
            assert jobs in demo.output
            assert "12 of 13 documents done, 1 could not be digested" in demo.output
            assert 1 == demo.output.count("Enqueueing")
    text = (folder / ".holdfast" / "demo" / report_name(documents)).read_text()
    assert 12 == text.count("\n### ")
    assert 1 == text.count("the PDF cannot be read")
    assert "`notes.json`" in text


def test_a_folder_without_documents_is_done_at_once(folder):
    """An empty folder ends with 0 and says so, a missing one with 2."""
    (folder / "nothing").mkdir()
    with CommandLine("demo", "nothing", folder=folder) as demo:
        assert 0 == demo.end(60)
        assert "Nothing to digest here" in demo.output
    with CommandLine("demo", "missing", folder=folder) as demo:
        assert 2 == demo.end(60)
        assert "missing is not a folder that can be read" in demo.output


def test_a_demo_uses_the_platform_that_runs(folder):
    """Beside `holdfast up` the demo starts no platform of its own, and leaves that one running."""
    with CommandLine("up", folder=folder) as up:
        up.until_said(READY)
        with CommandLine("demo", "documents", folder=folder) as demo:
            assert 0 == demo.end(60)
            assert "Using the platform that already runs" in demo.output
            assert "12 documents" in demo.output
        assert up.process.poll() is None


def test_a_digest_survives_the_death_of_its_worker(folder):
    """The worker is killed in the middle of a digest; the report has each document once."""
    with CommandLine("up", folder=folder, settings=QUICK) as up:
        up.until_said(READY)
        with CommandLine(
            "digest", "documents", "-o", "r.md", "--pace", "2", "--json", folder=folder
        ) as digest:
            up_child = up.child("holdfast.workers")
            until(lambda: "digest.document" in _jobs(folder), timeout_seconds=30, what="a running job")
            up_child.kill()
            assert 0 == digest.end(90)
            outcome = json.loads(digest.output)
    assert 12 == outcome["documents"] == outcome["jobs"]
    assert 12 == _sections(folder / "r.md")


def test_ctrl_c_stops_the_demo_and_the_next_goes_on(folder):
    """Ctrl-C in the middle ends everything with 130 and one line; the next run completes the work."""
    with CommandLine("demo", "documents", "--pace", "20", folder=folder) as first:
        first.until_said("Digesting")
        children = first.children()
        first.signal(signal.SIGINT)
        assert 130 == first.end(60)
        assert not any(map(is_alive, children))
        assert "nothing is lost" in first.output
        assert "Traceback" not in first.output
    with CommandLine("digest", "documents", folder=folder) as alone:
        assert 2 == alone.end(30)
        assert "holdfast up" in alone.output


@pytest.mark.slow
def test_a_failed_document_is_tried_again_by_the_next_run(folder):
    """What ended without a digest is named, ends the run with 1, and is ordered anew by the next."""
    with CommandLine("up", "--slots", "1", folder=folder) as up:
        up.until_said(READY)
        with CommandLine("digest", "documents", "--pace", "0.3", "--json", folder=folder) as digest:
            last = until(lambda: _job_of(folder, "9.md"), timeout_seconds=30, what="the last job")
            with closing(_ledger(folder)) as ledger:
                assert "cancelled" == ledger.cancel(last)
            assert 1 == digest.end(60)
            assert ["9.md"] == [each["path"] for each in json.loads(digest.output)["failed"]]
        with CommandLine("digest", "documents", "--json", folder=folder) as again:
            assert 0 == again.end(60)
            outcome = json.loads(again.output)
        assert 11 == outcome["reused"]
        assert 12 == outcome["documents"]


def _ledger(folder):
    return connect(LedgerConfig(url=embedded.database_url(folder / ".holdfast")))


def _jobs(folder):
    with closing(_ledger(folder)) as ledger:
        return [job.task for job in ledger.list_jobs(states=[JobState.RUNNING])]


def _job_of(folder, name):
    with closing(_ledger(folder)) as ledger:
        found = ledger.list_jobs(tasks=["digest.document"])
        return next((job.id for job in found if f'"{name}"' in job.arguments), None)
