"""The report: what refuses the start, what only production refuses."""

import pytest

from holdfast.jobs.errors import SettingsError
from holdfast.settings import Settings, load, report

FIT_FOR_PRODUCTION = {
    "env": "production",
    "database_url": "postgresql://app:secret@db.example.com/jobs?sslmode=verify-full&sslrootcert=/ca.pem",
    "broker_url": "rediss://app:secret@cache.example.com:6379/0",
}


def test_the_embedded_platform_is_fine_on_a_desk():
    """SQLite, the embedded broker and open adoption only warn, and say that production refuses them."""
    found = report(load())
    assert () == found.errors
    assert ["HOLDFAST_DATABASE_URL", "HOLDFAST_BROKER_URL", "HOLDFAST_ADOPTION"] == [
        finding.setting for finding in found.warnings
    ]
    assert {"production"} == {finding.matters_in for finding in found.warnings}


def test_production_refuses_the_embedded_platform():
    """Every warning is a refusal, all at once, each with one thing to do."""
    with pytest.raises(SettingsError) as refused:
        load(env="production", adoption=True)
    text = str(refused.value)
    assert "SQLite" in text
    assert "the broker is the embedded one" in text
    assert "HOLDFAST_ADOPTION" in text


def test_production_takes_what_is_safe():
    """PostgreSQL and Redis over TLS with passwords start in production; adoption is off by itself."""
    settings = load(**FIT_FOR_PRODUCTION)
    assert () == report(settings).errors
    assert not settings.adopts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"broker_url": "redis://app:secret@cache.example.com/0"}, "not encrypted"),
        ({"broker_url": "rediss://cache.example.com/0"}, "no password"),
        ({"broker_url": "amqp://app:secret@mq.example.com/v"}, "amqps://"),
        ({"broker_url": "rediss://app:secret@cache.example.com/0?ssl_cert_reqs=none"}, "stand in for it"),
        ({"broker_url": "rediss://app:secret@cache.example.com/0?ssl_check_hostname=false"}, "stand in"),
        ({"broker_url": "embedded"}, "embedded"),
        ({"database_url": "sqlite:////srv/jobs.db"}, "SQLite"),
        ({"database_url": "postgresql://app:secret@db.example.com/jobs"}, "unencrypted"),
        ({"database_url": "postgresql://app:s@db.example.com/jobs?sslmode=require"}, "does not verify"),
        ({"database_url": "postgresql://app:s@/jobs?host=db.example.com"}, "unencrypted"),
        ({"adoption": True}, "any task"),
        ({"flower_host": "0.0.0.0"}, "Flower"),  # noqa: S104  the warning is about this address
    ],
)
def test_production_refuses_one_weak_spot(change, said):
    """One thing out of order is enough."""
    with pytest.raises(SettingsError, match=said) as refused:
        load(**FIT_FOR_PRODUCTION | change)
    assert "1 to mend" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"broker_url": "redis://app:secret@127.0.0.1/0"},
        {"broker_url": "redis+socket:///run/redis.sock"},
        {"broker_url": "rediss://app@cache.example.com/0", "broker_password": "secret"},
        {"database_url": "postgresql://app:secret@localhost/jobs"},
        {"database_url": "postgresql://app@/jobs?host=/run/postgresql"},
        {"flower_host": "0.0.0.0", "flower_password": "correct horse"},  # noqa: S104  guarded by a password
    ],
)
def test_production_takes_what_stays_on_the_machine(change):
    """Loopback and socket files need no TLS."""
    load(**FIT_FOR_PRODUCTION | change)


@pytest.mark.parametrize(
    ("change", "variable"),
    [
        ({"beat_seconds": 10.0, "lease_seconds": 20.0}, "HOLDFAST_BEAT_SECONDS"),
        ({"soft_timeout_seconds": 3600.0}, "HOLDFAST_SOFT_TIMEOUT_SECONDS"),
        ({"unsure_limit_seconds": 20.0}, "HOLDFAST_UNSURE_LIMIT_SECONDS"),
        ({"job_total_age_seconds": 3600.0}, "HOLDFAST_JOB_TOTAL_AGE_SECONDS"),
        ({"leader_seconds": 2.0}, "HOLDFAST_LEADER_SECONDS"),
        ({"database_url": "postgresql://host"}, "HOLDFAST_DATABASE_URL"),
        ({"database_url": "postgresql://u:p@ss[@host/db"}, "HOLDFAST_DATABASE_URL"),
        ({"database_url": "mysql://host/db"}, "HOLDFAST_DATABASE_URL"),
        ({"database_url": "jobs.db"}, "HOLDFAST_DATABASE_URL"),
        ({"database_url": "sqlite://"}, "HOLDFAST_DATABASE_URL"),
        ({"database_password": "x"}, ""),
        ({"broker_password": "x"}, "HOLDFAST_BROKER_PASSWORD"),
        ({"broker_tls_ca_file": "/no/such.pem"}, "HOLDFAST_BROKER_TLS_CA_FILE"),
        ({"broker_tls_key_file": __file__}, "HOLDFAST_BROKER_TLS_KEY_FILE"),
    ],
)
def test_what_cannot_work_refuses_everywhere(change, variable):
    """Development does not start with it, either."""
    if not variable:
        change, variable = {"database_url": "sqlite:////x.db", **change}, "HOLDFAST_DATABASE_PASSWORD"
    with pytest.raises(SettingsError, match=variable):
        load(**change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("namespace", "Blue"),
        ("namespace", "blue.green"),
        ("namespace", "pg_blue"),
        ("namespace", "x" * 33),
        ("queues", ""),
        ("queues", "a,a"),
        ("queues", "a.b"),
        ("queues", "epoch"),
        ("worker_slots", 0),
        ("probe_port", 65536),
        ("flower_user", "a:b"),
        ("flower_password", "short"),
        ("log_format", "xml"),
        ("intake_queue", "a b"),
    ],
)
def test_values_have_bounds(field, value):
    """A value out of its bounds is refused by name."""
    with pytest.raises(SettingsError, match=f"HOLDFAST_{field.upper()}"):
        load(**{field: value})


def test_a_typo_is_named_with_what_was_meant(monkeypatch, folder):
    """A variable of ours that nothing reads is a warning in development and refuses in production."""
    monkeypatch.setenv("HOLDFAST_WORKER_SLOT", "5")
    (folder / ".env").write_text("HOLDFAST_DATABSE_URL=sqlite:////x.db\nOTHER=1\n")
    typos = [str(finding) for finding in report(load()).warnings if finding.matters_in == "always"]
    assert 2 == len(typos)
    assert "Did you mean HOLDFAST_WORKER_SLOTS?" in typos[0]
    assert "HOLDFAST_DATABSE_URL: there is no such setting (from .env line 1)" in typos[1]
    with pytest.raises(SettingsError, match="2 to mend"):
        load(**FIT_FOR_PRODUCTION)


def test_places_of_settings_cannot_be_set_in_the_file(folder):
    """.env cannot say where .env is."""
    (folder / ".env").write_text("HOLDFAST_SECRETS_DIR=/x\n")
    (found,) = [finding for finding in report(load()).warnings if finding.matters_in == "always"]
    assert "HOLDFAST_SECRETS_DIR: has no effect in .env line 1" in str(found)


@pytest.mark.parametrize(
    "variable", ["CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"]
)
def test_variables_that_outrank_ours_are_refused(variable, monkeypatch):
    """Celery would ask them before our settings, so the platform would talk to two brokers."""
    monkeypatch.setenv(variable, "redis://elsewhere")
    with pytest.raises(SettingsError, match=variable):
        load()


def test_the_report_of_settings_made_by_hand():
    """The report is a function of the settings alone."""
    assert ["HOLDFAST_BEAT_SECONDS"] == [
        finding.setting for finding in report(Settings(beat_seconds=30)).errors
    ]


def test_faults_on_purpose_are_never_silent_and_refused_by_production():
    """On a desk they warn; in production they refuse the start, unless somebody said so in so many words."""
    chaos = "search:fault=0.1"
    assert "HOLDFAST_CHAOS" in {finding.setting for finding in report(load(chaos=chaos)).warnings}
    with pytest.raises(SettingsError, match="HOLDFAST_CHAOS_IN_PRODUCTION"):
        load(**FIT_FOR_PRODUCTION, chaos=chaos)
    found = report(load(**FIT_FOR_PRODUCTION, chaos=chaos, chaos_in_production=True))
    assert () == found.errors
    assert ["HOLDFAST_CHAOS"] == [finding.setting for finding in found.warnings]
    assert "HOLDFAST_CHAOS" not in {finding.setting for finding in report(load()).warnings}


def test_a_mistake_in_the_faults_on_purpose_is_named_with_its_place():
    """It refuses the start, and does not wait for the first call."""
    with pytest.raises(SettingsError, match="at character 8, 'fault=2' has a chance"):
        load(chaos="search:fault=2")
