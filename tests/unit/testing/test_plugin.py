"""The fixture, as a user's project gets it."""

import subprocess
import sys

CONFTEST = 'pytest_plugins = ["holdfast.testing.plugin"]\n'
TESTS = """
import asyncio
from holdfast import task


@task
async def double(number: int) -> int:
    return 2 * number


def test_sync(holdfast):
    double.delay(4)
    assert [8] == [outcome.result() for outcome in holdfast.drain_sync()]


def test_async(holdfast):
    assert 6 == asyncio.run(holdfast.run_task(double, 3)).result()
    holdfast.assert_enqueued(double, {"number": 3}, times=1)
"""


def test_the_fixture_is_one_line_away(tmp_path):
    """`pytest_plugins` in a conftest gives `holdfast`, and the project's own tasks run on it."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "2 passed" in done.stdout
