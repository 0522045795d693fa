"""Loading: which place wins, what is said about it, and how mistakes come back."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.jobs.errors import SettingsError
from holdfast.settings import Origin, Settings, examine, load, sources


def test_nothing_needs_to_be_set(folder):
    """Without any setting the embedded platform in the working directory is meant."""
    settings = load()
    assert f"sqlite:///{folder}/.holdfast/holdfast.db" == settings.ledger_config().url
    assert settings.has_embedded_broker
    assert "holdfast" == settings.ledger_config().schema


def test_the_environment_wins_over_the_file_and_the_file_over_the_secrets(folder, monkeypatch):
    """Override, environment, .env, secrets folder, default: the first that speaks holds."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in ("HOLDFAST_WORKER_SLOTS", "HOLDFAST_WORKER_THREADS", "HOLDFAST_WORKER_RING_WINDOW"):
        (secrets / name).write_text("3\n")
    (folder / ".env").write_text("HOLDFAST_WORKER_SLOTS=2\nHOLDFAST_WORKER_THREADS=2\n")
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "1")
    settings = load(secrets_dir=secrets)
    assert (1, 2, 3) == (settings.worker_slots, settings.worker_threads, settings.worker_ring_window)
    assert 7 == load(worker_slots=7).worker_slots


def test_each_value_says_where_it_came_from(folder, monkeypatch):
    """A source names the variable's place down to the line or the file."""
    secrets = folder / "run" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "holdfast_flower_password").write_text("correct horse")
    (folder / ".env").write_text(
        "# first\n\nHOLDFAST_NAMESPACE=blue\n\n\n# more\nexport HOLDFAST_QUEUES='a, b'\n"
    )
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "5")
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(secrets))
    found = sources(load(log_level="debug"))
    assert "environment" == str(found["worker_slots"])
    assert ".env line 3" == str(found["namespace"])
    assert ".env line 7" == str(found["queues"])
    assert str(secrets / "holdfast_flower_password") == str(found["flower_password"])
    assert Origin.OVERRIDE == found["log_level"].origin
    assert Origin.DEFAULT == found["worker_threads"].origin
    assert set(Settings.model_fields) == set(found)


def test_an_empty_variable_is_not_set(monkeypatch):
    """`VARIABLE=` in a compose file leaves the default."""
    monkeypatch.setenv("HOLDFAST_FLOWER_PASSWORD", "")
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "")
    settings = load()
    assert settings.flower_password is None
    assert 1000 == settings.worker_slots


def test_lists_are_separated_by_commas(monkeypatch):
    """Spaces around the parts do not count."""
    monkeypatch.setenv("HOLDFAST_TASK_MODULES", "shop.tasks, shop.mail ,")
    assert ("shop.tasks", "shop.mail") == load().task_modules


def test_every_mistake_comes_back_at_once(monkeypatch):
    """A refused start lists all there is to mend, not the first only."""
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "many")
    monkeypatch.setenv("HOLDFAST_BEAT_SECONDS", "15")
    monkeypatch.setenv("HOLDFAST_QUEUES", "mail,health")
    monkeypatch.setenv("HOLDFAST_BROKER_URL", "kafka://host")
    with pytest.raises(SettingsError) as refused:
        load()
    for variable in ("WORKER_SLOTS", "BEAT_SECONDS", "QUEUES", "BROKER_URL"):
        assert f"HOLDFAST_{variable}" in str(refused.value)
    assert "4 to mend" in str(refused.value)


def test_a_refusal_does_not_repeat_a_secret(monkeypatch):
    """A wrong value may be a password in the wrong place, so the message never quotes it."""
    monkeypatch.setenv("HOLDFAST_BROKER_URL", "redis://user:hunter2secret@")
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "hunter2secret")
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "mysql://user:hunter2secret@host/db")
    with pytest.raises(SettingsError) as refused:
        load()
    assert "hunter2secret" not in str(refused.value)


def test_a_mistake_does_not_hide_the_rest(monkeypatch):
    """Who looks for a mistake sees all other values."""
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "many")
    monkeypatch.setenv("HOLDFAST_NAMESPACE", "blue")
    examination = examine()
    assert "blue" == examination.settings.namespace
    assert ["HOLDFAST_WORKER_SLOTS"] == [finding.setting for finding in examination.report.errors]


def test_an_unknown_override_is_refused_with_the_nearest_name():
    """A programmer's typo is an error, too."""
    with pytest.raises(SettingsError, match="Did you mean worker_slots"):
        load(worker_slot=3)


@pytest.mark.parametrize("variable", ["HOLDFAST_ENV_FILE", "HOLDFAST_SECRETS_DIR"])
def test_a_place_that_was_named_must_be_there(variable, monkeypatch):
    """A mistyped path of the secrets does not start a platform without secrets."""
    monkeypatch.setenv(variable, "/does/not/exist")
    with pytest.raises(SettingsError, match="/does/not/exist"):
        load()


def test_a_file_that_is_no_text_is_refused(folder):
    """A broken .env is an error with its name."""
    (folder / ".env").write_bytes(b"HOLDFAST_NAMESPACE=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        load()


def test_settings_do_not_change():
    """What was read at start holds until the end."""
    settings = load()
    with pytest.raises(ValidationError):
        settings.worker_slots = 3
    with pytest.raises(ValidationError):
        Settings(no_such_thing=1)


def test_made_directly_they_see_no_environment(monkeypatch):
    """A test that builds settings gets what it wrote."""
    monkeypatch.setenv("HOLDFAST_WORKER_SLOTS", "5")
    assert 1000 == Settings().worker_slots


def test_secrets_are_not_in_the_repr():
    """Settings may be printed by accident."""
    settings = load(broker_url="redis://u:hunter2secret@127.0.0.1/0", flower_password="hunter2secret")
    assert "hunter2secret" not in repr(settings)
    assert "hunter2secret" not in str(settings)
    assert "hunter2secret" not in settings.model_dump_json()


def test_passwords_may_stand_apart_from_the_addresses():
    """A password from the secrets folder wins over the address's, special characters and all."""
    settings = load(
        database_url="postgresql://app@127.0.0.1/jobs?sslmode=require",
        database_password="p@ss/w:rd",
        broker_url="redis://app:old@127.0.0.1:6390/2",
        broker_password="p@ss/w:rd",
    )
    assert "postgresql://app:p%40ss%2Fw%3Ard@127.0.0.1/jobs?sslmode=require" == settings.ledger_config().url
    assert "redis://app:p%40ss%2Fw%3Ard@127.0.0.1:6390/2" == settings.broker().url


def test_the_data_folder_counts_from_the_working_directory(folder):
    """A relative folder becomes absolute; one in the home folder is found."""
    assert folder / "x" == load(data_dir=Path("x")).data_path
    assert Path.home() / "x" == load(data_dir=Path("~/x")).data_path
