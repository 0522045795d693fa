"""The application's module."""

import subprocess
import sys

from holdfast.tests.support.repository import ROOT


def test_a_second_application_is_refused_with_the_right_command():
    """`celery -A workers.app` from the checkout says what to type, and makes no second application."""
    run = subprocess.run(
        [sys.executable, "-c", "import workers.app"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 != run.returncode
    assert "celery -A holdfast.workers.app" in run.stderr
