"""The tasks that come with Holdfast. One import line each; workers and the command line load this package."""

from holdfast.tasks import chain_task
from holdfast.tasks.agents.digest import jobs as digest_jobs
from holdfast.tasks.agents.webhook import jobs as webhook_jobs

__all__ = ["chain_task", "digest_jobs", "webhook_jobs"]
