"""How a message for one of our tasks is taken: a ring becomes a ticket, anything else goes to adoption.

Celery looks up `Task.Strategy` by name when the consumer starts. Ours builds
no Request: the job is a row, and the message only said that it is there.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from celery import Celery, Task

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.ids import JobId, is_job_id
from holdfast.jobs.ring_events import RingDropped
from holdfast.tasks.doorbell import ring_of
from holdfast.workers.tickets import RingTicket

_log: Final = logging.getLogger(__name__)
Handler = Callable[[Any, Any, Callable[..., object], Callable[..., object], Any], None]


def ring_strategy(task: "Task[..., object]", app: Celery, consumer: Any) -> Handler:
    """Make the handler of messages for one of our tasks; `consumer` is a HoldfastConsumer."""
    del app
    name = str(task.name)
    runtime = consumer.pool.runtime
    clock = SystemClock()
    errors = consumer.connection_errors

    def take(
        message: Any,
        body: Any,
        on_ack: Callable[..., object],
        on_reject: Callable[..., object],
        callbacks: Any,
    ) -> None:
        del body, callbacks

        def ack() -> None:
            on_ack(_log, errors)

        def requeue() -> None:
            on_reject(_log, errors, True)  # noqa: FBT003 -- kombu's signature

        ledger_id = ring_of(message.headers)
        if ledger_id is None:
            runtime.strays.adopt(message, ack)
            return
        job_id = message.headers.get("id")
        if ledger_id != runtime.ledger_id or not is_job_id(job_id):
            ack()
            runtime.events.emit(RingDropped(job_id=str(job_id)[:255], why="another ledger"))
            return
        ticket = RingTicket(JobId(job_id), clock.monotonic(), ack=ack, requeue=requeue, task=name)
        runtime.gate.offer(ticket)

    return take
