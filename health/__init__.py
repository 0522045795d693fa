"""Are we fit to serve: one check per file; the deadline and the errors are `run_all`'s work."""

from holdfast.health.check import HealthCheck, run_all
from holdfast.health.report import ComponentReport, Report, Status

__all__ = ["ComponentReport", "HealthCheck", "Report", "Status", "run_all"]
