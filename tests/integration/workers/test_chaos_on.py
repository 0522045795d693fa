"""HOLDFAST_CHAOS with real workers: it is loud, and reaches the calls of every kind of handler."""

from holdfast.tests.support import guarded_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until


def test_every_kind_of_handler_is_struck_and_the_log_says_so(held: Platform):
    """On the loop, on a thread and in a process of its own; the ledger has it as any other failure."""
    worker = held.worker(
        task_modules=guarded_tasks.__name__, worker_isolated_processes=1, chaos="guarded:fault=1;503"
    )
    handlers = (guarded_tasks.on_loop, guarded_tasks.on_thread, guarded_tasks.apart)
    handles = [handler.enqueue_sync() for handler in handlers]

    def errors() -> list[str]:
        made = [attempt for handle in handles for attempt in held.ledger.attempts(handle.id)[:1]]
        return [attempt.failure.type for attempt in made if attempt.failure]

    until(lambda: 3 == len(errors()), what="three failed attempts", timeout_seconds=30)
    assert {"InjectedFault"} == {error.rpartition(".")[2] for error in errors()}
    assert "chaos_is_on" in worker.log
