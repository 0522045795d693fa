"""What a worker claims for."""

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.rota import Rota
from holdfast.tasks.registry import Registry
from holdfast.workers.config import WorkerConfig
from holdfast.workers.limits import concurrency_of, hard_limits_of
from holdfast.workers.writer import ClaimTerms


def terms_of(worker_id: WorkerId, config: WorkerConfig, registry: Registry, rota: Rota) -> ClaimTerms:
    """Return what this worker tells the ledger with each claim."""
    return ClaimTerms(
        worker_id,
        config.queues,
        config.hard_timeout_seconds,
        hard_limits_of(registry),
        concurrency=concurrency_of(registry),
        rota=rota,
    )
