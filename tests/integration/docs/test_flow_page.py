"""The page on flow is run, and says of states and classes what the code says."""

import re

import pytest

from holdfast.jobs.backlog import CLASSES
from holdfast.jobs.job import HIGHEST_PRIORITY
from holdfast.jobs.state import JobState
from holdfast.tests.support import documents, reader
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "flow.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.timeout(180)
def test_each_program_of_the_page_prints_what_it_says(tmp_path):
    """No server is needed: the test kit is the platform."""
    shown = reader.programs(PAGE)
    assert [("", one.prints) for one in shown] == reader.run(shown, tmp_path, {})
    assert all(one.prints for one in shown)


def test_the_states_that_wait_are_the_states_that_wait():
    """The table names those that are neither final nor running."""
    table = TEXT.partition("| state | waits for |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert {one.value for one in JobState if not one.is_final and one != JobState.RUNNING} == named


def test_the_classes_of_priority_are_those_of_the_limits():
    """What the page calls urgent, normal and bulk, enqueue refuses by."""
    told = re.search(r"urgent is (\d) to (\d), normal (\d) to (\d), bulk (\d) to (\d)", TEXT)
    assert told
    bounds = [int(number) for number in told.groups()]
    assert [one.last_priority for one in CLASSES] == bounds[1::2]
    assert [HIGHEST_PRIORITY, *(last + 1 for last in bounds[1:-1:2])] == bounds[::2]


def test_each_part_is_reached_from_the_first_table():
    """Who looks for a means finds its part."""
    parts = {"priorities", "queues-and-pauses", "concurrency-limits", "rate-limits", "parking-and-ramps"}
    parts |= {"backlog-limits", "deadlines"}
    assert parts <= {anchor for path, anchor in documents.links(PAGE) if not path} & documents.anchors(PAGE)
