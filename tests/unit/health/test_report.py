"""The JSON form of a report, and what a status means."""

from datetime import UTC, datetime

from holdfast.health import ComponentReport, Report, Status
from holdfast.health.report import worst

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_json_has_exactly_the_promised_shape():
    """A report is status, timestamp and components; a component is status, latency_ms and detail."""
    report = Report(AT, {"database": ComponentReport(Status.HEALTHY, 1.23456, "read 1 ms")})
    assert {
        "status": "healthy",
        "timestamp": "2026-11-23T12:00:00+00:00",
        "components": {"database": {"status": "healthy", "latency_ms": 1.235, "detail": "read 1 ms"}},
    } == report.as_json()


def test_hops_stand_beside_the_components():
    """Measured steps are shown in milliseconds under their names."""
    report = Report(AT, {"worker": ComponentReport(Status.HEALTHY, 9.0, "", {"run": 2.00049})})
    assert {"run": 2.0} == report.as_json()["hops_ms"]


def test_worst_component_decides():
    """A report is as bad as its worst component."""
    parts = {
        name: ComponentReport(status, None) for name, status in zip("abc", reversed(Status), strict=True)
    }
    assert Status.UNHEALTHY == Report(AT, parts).status
    assert Status.HEALTHY == worst(())


def test_exit_codes():
    """Healthy, degraded and unhealthy exit with 0, 1 and 2."""
    assert [0, 1, 2] == [status.exit_code for status in Status]
