"""A whole platform on real parts: broker, ledger, client, and workers that tests start and kill."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import text

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.settings.names import DEFAULT_NAMESPACE
from holdfast.tasks import ambient, results
from holdfast.tasks.application import make_app
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell
from holdfast.tests.support.migrated import migrated
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WORKER_PROGRAM, WorkerServer, worker_environment

PREFIX = f"{DEFAULT_NAMESPACE}."


class Platform:
    """One broker and one database with a client in this process; `worker()` starts a worker."""

    def __init__(
        self, folder: Path, *, broker_url: str, database_url: str, namespace: str = DEFAULT_NAMESPACE
    ) -> None:
        self.folder = folder
        self.broker_url = broker_url
        self.database_url = database_url
        self.namespace = namespace
        config = LedgerConfig(url=database_url, schema=namespace)
        migrated(config)
        self.ledger: Ledger = connect(config)
        # What a plain Celery producer has, and the adapter that reads its results.
        self.app: Celery = make_app(
            "producer",
            {
                "broker_url": broker_url,
                "result_backend": "holdfast.tasks.results:LedgerBackend",
                "task_ignore_result": False,
            },
        )
        self.doorbell = Doorbell(
            self.app,
            ledger_id=self.ledger.ledger_id,
            queue_prefix=f"{namespace}.",
            quorum=broker_url.startswith("amqp"),
        )
        self.client = Client(self.ledger, self.doorbell)
        self.workers: list[WorkerServer] = []
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(ambient.use(self.client))
        before = results.use_ledger(self.ledger)
        self._stack.callback(results.use_ledger, before)

    def worker(
        self,
        *,
        program: str = WORKER_PROGRAM,
        name: str | None = None,
        most_files: int | None = None,
        control_group: Path | None = None,
        is_awaited: bool = True,
        **settings: object,
    ) -> WorkerServer:
        """Start one more worker with these settings, and wait until it is ready if it `is_awaited`.

        `name` is what an operator gives with `-n`, `most_files` how many descriptors it may have,
        `control_group` the folder of the kernel's group that it belongs to.
        """
        environment = worker_environment(
            self.folder,
            broker_url=self.broker_url,
            database_url=self.database_url,
            namespace=self.namespace,
            **settings,
        )
        worker = WorkerServer(environment, program, name)
        worker.most_files = most_files
        worker.control_group = control_group
        self.workers.append(worker)
        return worker.start() if is_awaited else worker.launch()

    def by_hand(self, statement: str, **values: object) -> list[Any]:
        """Do what somebody with a database console would, and return the rows if there are any."""
        with self.ledger.session() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL search_path TO {self.namespace}")
            done = connection.execute(text(statement), values)
            found = list(done) if done.returns_rows else []
            session.commit()
        return found

    def leader(self) -> WorkerServer | None:
        """Return the worker that leads maintenance, if its row says so of one that is there."""
        rows = self.by_hand("SELECT worker_id FROM leaders WHERE role = 'maintenance'")
        leaders = {row[0] for row in rows}
        pids = {row.pid for row in self.ledger.workers() if row.id in leaders}
        return next((one for one in self.workers if one.is_running and one.worker_pid in pids), None)

    def jobs(self, ids: list[Any]) -> list[Job]:
        """Read jobs in the order of their ids."""
        found = self.ledger.find([JobId(str(one)) for one in ids])
        return [found[JobId(str(one))] for one in ids]

    def count(self, ids: list[Any], *states: JobState) -> int:
        """Count the jobs that are in one of these states."""
        return sum(job.state in states for job in self.jobs(ids))

    def until_all_exist(self, ids: list[Any]) -> None:
        """Wait until all jobs have a row."""
        until(lambda: len(self.ledger.find([JobId(str(one)) for one in ids])) == len(ids), what="rows")

    def until_all(self, ids: list[Any], *states: JobState, timeout_seconds: float = 20.0) -> None:
        """Wait until all jobs are in one of these states."""
        until(
            lambda: self.count(ids, *states) == len(ids),
            timeout_seconds=timeout_seconds,
            what=f"{len(ids)} jobs to be {'/'.join(states)}",
        )

    def close(self) -> None:
        """Stop the workers and let go of everything."""
        for worker in self.workers:
            worker.close()
        self.client.close()
        self._stack.close()
        self.ledger.close()


@contextlib.contextmanager
def platform(
    folder: Path, *, broker_url: str, database_url: str, namespace: str = DEFAULT_NAMESPACE
) -> Generator[Platform]:
    """Make a platform for the length of a block."""
    made = Platform(folder, broker_url=broker_url, database_url=database_url, namespace=namespace)
    try:
        yield made
    finally:
        made.close()
