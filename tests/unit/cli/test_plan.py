"""What a platform consists of."""

import pytest

from holdfast.cli.supervisor.plan import Plan, flower_access, flower_spec, worker_specs
from holdfast.settings import Origin, Settings, Source, load


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The defaults, with a data folder of their own."""
    monkeypatch.chdir(tmp_path)
    return load(data_dir=tmp_path / "data", probe_port=0)


def test_each_worker_has_its_own_name_log_and_heartbeat(settings, tmp_path):
    """Nothing that a worker writes to is shared with another."""
    specs = worker_specs(settings, Plan(workers=3), tmp_path)
    for own in (
        [spec.name for spec in specs],
        [spec.log_path for spec in specs],
        [spec.environment["HOLDFAST_PROBE_HEARTBEAT_FILE"] for spec in specs],
        [spec.argv for spec in specs],
    ):
        assert 3 == len(set(own))
    assert str(settings.heartbeat_path) == specs[0].environment["HOLDFAST_PROBE_HEARTBEAT_FILE"]


def test_a_platform_on_one_machine_is_quick_unless_told_otherwise(settings, tmp_path):
    """Stopping and taking over are quick by default; what the user chose stands."""
    environment = worker_specs(settings, Plan(), tmp_path)[0].environment
    assert "3" == environment["HOLDFAST_SHUTDOWN_GRACE_SECONDS"]
    assert "5" == environment["HOLDFAST_LEADER_SECONDS"]
    chosen = Settings.loaded(
        {"shutdown_grace_seconds": 40.0, "leader_seconds": 9.0},
        dict.fromkeys(("shutdown_grace_seconds", "leader_seconds"), Source(Origin.ENVIRONMENT)),
        (),
    )
    spec = worker_specs(chosen, Plan(), tmp_path)[0]
    assert "40" == spec.environment["HOLDFAST_SHUTDOWN_GRACE_SECONDS"]
    assert "9" == spec.environment["HOLDFAST_LEADER_SECONDS"]
    assert spec.stop_seconds > 40


def test_flowers_password_is_on_no_command_line(settings, tmp_path):
    """A password is made up, told once to the user, and given by the environment."""
    access = flower_access(settings)
    spec = flower_spec(settings, Plan(), tmp_path, access)
    assert access.password == spec.environment["HOLDFAST_FLOWER_PASSWORD"]
    assert access.password not in " ".join(spec.argv)
    assert access.password not in repr(spec) + repr(access)
