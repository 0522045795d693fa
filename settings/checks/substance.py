"""Whether it is made to last: the embedded parts are for one machine."""

from collections.abc import Iterator

from holdfast.settings.model import Settings
from holdfast.settings.report import Finding


def substance_warnings(settings: Settings) -> Iterator[Finding]:
    """Find parts that serve one machine only, and doors that stand open for comfort."""
    if settings.resolved_database_url().startswith("sqlite"):
        yield Finding(
            "HOLDFAST_DATABASE_URL",
            "the ledger is SQLite, which serves one machine only",
            "Set it to a PostgreSQL, postgresql://user:password@host/name.",
            matters_in="production",
        )
    if settings.has_embedded_broker:
        yield Finding(
            "HOLDFAST_BROKER_URL",
            "the broker is the embedded one, which serves one machine only",
            "Set it to a Redis or RabbitMQ, rediss://user:password@host/0.",
            matters_in="production",
        )
    if settings.adopts:
        yield Finding(
            "HOLDFAST_ADOPTION",
            "whoever reaches the broker can run any task",
            "Set it to false, and mark the tasks that plain Celery producers may run with adopt=True.",
            matters_in="production",
        )
