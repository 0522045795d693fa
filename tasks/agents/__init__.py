"""The tasks that come with Holdfast. One import line each; workers and the command line load this package."""

from holdfast.tasks.agents.digest import jobs as digest_jobs

__all__ = ["digest_jobs"]
