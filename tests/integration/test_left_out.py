"""What a test run leaves out is told, and forbidden where everything is required."""

import os
import subprocess
import sys

import pytest

ONE_SKIP = """
import pytest
def test_passes(): pass
def test_needs_something(): pytest.skip("needs a unicorn")
@pytest.mark.slow
def test_takes_long(): pass
"""


@pytest.mark.parametrize(
    ("require_all", "code", "said"),
    [
        ("", 0, ["needs a unicorn (1):", "marked slow: runs with `make test-all` (1):", "test_takes_long"]),
        ("1", 1, ["HOLDFAST_REQUIRE_ALL=1 forbids", "needs a unicorn (1):", "test_needs_something"]),
    ],
)
def test_skips_are_named_and_fail_a_complete_run(tmp_path, require_all, code, said):
    """A run names each test that it left out; with HOLDFAST_REQUIRE_ALL=1 a single one fails it."""
    (tmp_path / "test_some.py").write_text(ONE_SKIP, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: slow\n", encoding="utf-8")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "holdfast.tests.conftest",
            "--rootdir",
            str(tmp_path),
            ".",
        ],
        env={**os.environ, "HOLDFAST_REQUIRE_ALL": require_all},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert code == run.returncode, run.stdout + run.stderr
    assert [] == [words for words in said if words not in run.stdout]
