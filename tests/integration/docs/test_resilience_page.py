"""The page on upstreams is run: each block as a program, on no server at all."""

import json
import subprocess
import sys

from holdfast.tests.support import documents, run_programs
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "resilience.md"
LONGEST_SECONDS = 60


def test_each_block_of_the_page_runs_and_prints_what_it_says(tmp_path):
    """The comments `# -> text` are the lines that it prints, all of them and in order."""
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
    assert any(one.prints for one in blocks)
