"""The command line as a whole."""

import click
import pytest
from typer.main import get_command

from holdfast.cli import main as command_line
from holdfast.cli.celery_commands import holdfast as celery_group

COMMANDS = [
    "demo", "digest", "up", "worker", "flower", "migrate", "enqueue", "tasks", "run", "watch",
    "workers", "queues", "doctor", "health", "probe", "jobs", "queue", "schedules", "breakers",
    "quarantine", "ledger",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command_line.main(list(arguments))
    return ended.value.code


def test_celery_has_the_same_commands():
    """`celery -A holdfast.workers.app holdfast` offers what `holdfast` offers."""
    with click.Context(celery_group) as context:
        assert COMMANDS == celery_group.list_commands(context)
        assert all(celery_group.get_command(context, name) for name in COMMANDS)
        assert celery_group.get_command(context, "nothing") is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_for(name):
    """Each command has a help text, and so has each of its options."""
    command = get_command(command_line.app).commands[name]
    assert command.help
    assert [] == [each.name for each in command.params if each.param_type_name == "option" and not each.help]


def test_an_error_of_ours_is_a_line_and_a_hint(capsys):
    """What the platform names is shown without a traceback, with what to do; the exit code is 2."""
    assert 2 == _run("digest", ".")
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert "holdfast up" in error
    assert "Traceback" not in error


def test_debug_shows_where_it_came_from():
    """With --debug the error itself comes through."""
    with pytest.raises(command_line.PlatformError):
        command_line.main(["--debug", "digest", "."])


@pytest.mark.parametrize(
    "arguments",
    [("nothing",), ("up", "--workers", "0"), ("enqueue",), ("demo", "--pace", "x"), ("demo", "nowhere")],
)
def test_a_wrong_call_ends_with_2(arguments):
    """A call that makes no sense does nothing and ends with 2."""
    assert 2 == _run(*arguments)


def test_help_and_version_are_no_errors(capsys):
    """Asking for help or the version ends with 0."""
    assert not _run("--help")
    assert not _run("--version")
    assert "holdfast 0." in capsys.readouterr().out


def test_a_folder_without_a_platform_says_so(capsys):
    """Asking for a job where no ledger is names the folder and the way to one."""
    assert 2 == _run("jobs", "show", "x")
    assert "HOLDFAST_DATA_DIR" in capsys.readouterr().err
