"""The page on schedules is run, and its table of rules is what the rules say."""

import json
import re
import subprocess
import sys

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.schedules.rule import SHORTCUTS, rule_of
from holdfast.tests.support import documents, run_programs
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "schedules.md"
TEXT = PAGE.read_text(encoding="utf-8")
LONGEST_SECONDS = 60


def test_each_block_of_the_page_runs_and_prints_what_it_says(tmp_path):
    """The comments `# -> text` are the lines that it prints."""
    blocks = [one for one in documents.snippets(PAGE) if one.language == "python"]
    files = [str(tmp_path / f"block{number}.py") for number in range(len(blocks))]
    for file, one in zip(files, blocks, strict=True):
        (tmp_path / file).write_text(one.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", run_programs.__name__, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [("", one.prints) for one in blocks] == [
        (report["error"], report["printed"].splitlines()) for report in told
    ], done.stderr


@pytest.mark.parametrize("name", SHORTCUTS)
def test_the_page_has_each_name(name):
    """And no other."""
    assert f"`{name}`" in TEXT
    assert set(SHORTCUTS) == set(re.findall(r"`(@[a-z]+)`", TEXT))


@pytest.mark.parametrize("rule", sorted(set(re.findall(r"`(every [0-9][0-9a-z]*|[\d*][^`]* \* \*)`", TEXT))))
def test_each_rule_on_the_page_is_one(rule):
    """It ticks."""
    now = SystemClock().now()
    assert rule_of(rule, "Europe/Berlin", now).next_after(now) > now
