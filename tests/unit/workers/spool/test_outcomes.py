"""The spool of a living process: bounded, quiet about its troubles, empty when the ledger has everything."""

import pytest

from holdfast.jobs.events import OutcomesSpooled, SpoolUnusable
from holdfast.jobs.outcome import Completed
from holdfast.tests.support.builders import a_lease, a_settlement
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.outcomes import OutcomeSpool


@pytest.fixture
def path(tmp_path):
    """Where the folder is."""
    return tmp_path / "spool"


def a_spool(path, events, largest_bytes=100_000):
    """A spool that has begun."""
    spool = OutcomeSpool(DiskFolder(path), "mine", largest_bytes=largest_bytes, events=events)
    spool.open()
    return spool


def on_disk(path):
    """What an heir would find."""
    return lines.read((path / "mine.spool").read_bytes())


def kinds(seen):
    """The names of the events."""
    return [type(event) for event in seen]


def test_what_is_kept_stands_on_disk_until_it_is_cleared(path, events, seen):
    """One word for an outage, and a file that is gone with its worker."""
    spool = a_spool(path, events)
    kept = [a_settlement(a_lease()) for _ in range(3)]
    assert spool.keep(kept[:1])
    assert spool.keep(kept[1:])
    assert (kept, 0) == on_disk(path)
    spool.close()
    assert (kept, 0) == on_disk(path), "outcomes are left for an heir"
    spool.clear()
    assert ([], 0) == on_disk(path)
    assert [OutcomesSpooled(count=1)] == seen
    spool.close()
    assert [] == list(path.iterdir())


def test_a_spool_that_is_full_says_so_once_and_takes_what_fits(path, events, seen):
    """Outcomes beyond the bound wait in memory alone."""
    spool = a_spool(path, events, largest_bytes=1000)
    small, large = a_settlement(a_lease()), a_settlement(a_lease(), Completed('"' + "x" * 2000 + '"'))
    assert spool.keep([small])
    assert not spool.keep([large])
    assert not spool.keep([large])
    assert ([small], 0) == on_disk(path)
    assert [OutcomesSpooled, SpoolUnusable] == kinds(seen)
    assert "full" in seen[1].error
    spool.clear()
    assert spool.keep([small])


def test_a_folder_that_cannot_be_used_is_told_at_the_start_and_tried_again(path, events, seen):
    """Long before an outage would show it; when somebody mends it, nothing has to be started again."""
    path.write_text("a file stands where the folder should be")
    spool = a_spool(path, events)
    assert [SpoolUnusable] == kinds(seen)
    assert not spool.keep([a_settlement(a_lease())])
    assert [SpoolUnusable] == kinds(seen)
    path.unlink()
    kept = a_settlement(a_lease())
    assert spool.keep([kept])
    assert ([kept], 0) == on_disk(path)


def test_an_outcome_that_no_json_can_hold_costs_no_other(path, events, seen):
    """It waits in memory; the ledger says what is wrong with it."""
    spool = a_spool(path, events)
    assert not spool.keep([a_settlement(a_lease(), Completed(object()))])
    assert [SpoolUnusable] == kinds(seen)
    assert spool.keep([a_settlement(a_lease())])
