"""How scripts beside a running `holdfast up` find its broker."""

import os
import stat
import subprocess
import sys

import pytest

from holdfast.jobs.errors import SettingsError
from holdfast.settings import embedded, load

URL = "redis://:secret@127.0.0.1:23456/0"


def test_a_published_broker_is_found(folder):
    """Settings without a broker's address use the embedded one that runs on the same data folder."""
    embedded.publish(folder / ".holdfast", URL)
    assert URL == load().broker().url


def test_nobody_runs_one():
    """The error names the one command."""
    settings = load()
    with pytest.raises(SettingsError, match="holdfast up"):
        settings.broker()


def test_only_the_owner_may_read_it(folder):
    """The file holds the broker's password, the folder the jobs."""
    file = embedded.publish(folder / "new", URL)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)


def test_the_address_of_a_dead_platform_is_not_used(folder):
    """After a kill the file is still there; the process that it names is not."""
    script = (
        "import sys; from pathlib import Path; from holdfast.settings import embedded;"
        "embedded.publish(Path(sys.argv[1]), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", script, str(folder), URL], check=True)
    assert (folder / "broker.json").exists()
    assert embedded.discover(folder) is None


def test_withdrawing(folder):
    """A platform that ends takes its address back, and nobody else's."""
    file = embedded.publish(folder, URL)
    embedded.withdraw(folder)
    assert embedded.discover(folder) is None
    embedded.withdraw(folder)
    file.write_text(f'{{"broker_url": "{URL}", "pid": {os.getppid()}}}')
    embedded.withdraw(folder)
    assert URL == embedded.discover(folder)


@pytest.mark.parametrize(
    "content", ["", "null", "[1]", '{"pid": 1}', '{"broker_url": 3, "pid": "x"}', "\x00"]
)
def test_a_broken_file_is_no_broker(folder, content):
    """Rubbish in the file is the same as no file."""
    (folder / "broker.json").write_text(content)
    assert embedded.discover(folder) is None
