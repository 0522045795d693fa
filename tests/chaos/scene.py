"""One cell being played: a platform of its own, real workers, the witness, and a stop-watch."""

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from holdfast.tests.chaos import judge, tasks
from holdfast.tests.chaos.fleet import Fleet, Member
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.voice import PORT_VARIABLE, WitnessServer
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.servers import PostgresServer, RabbitMQServer, RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import worker_environment

LEASE_SECONDS = 3.0
BOUND_SECONDS = LEASE_SECONDS + 5.0
JOBS = 200
SETTINGS: dict[str, object] = {
    "task_modules": tasks.MODULE,
    "beat_seconds": 0.5,
    "lease_seconds": LEASE_SECONDS,
    "sweep_seconds": 0.2,
    "leader_seconds": LEASE_SECONDS,
    "shutdown_grace_seconds": 2.0,
    "worker_slots": 60,
}
WATCH_SECONDS = 1.0
"""How long a cell is watched after its last job: who comes late comes in this time."""

Broker = RedisServer | RabbitMQServer


@dataclass(frozen=True)
class Stack:
    """A database and a broker."""

    database: str
    broker: str

    @property
    def name(self) -> str:
        """As the table writes it."""
        return f"{self.database}+{self.broker}"


class SharedServers:
    """Servers that cells without a fault in them use one after another, each in a namespace of its own."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._postgres: PostgresServer | None = None
        self._rabbitmq: RabbitMQServer | None = None

    def postgres(self) -> PostgresServer:
        """Start it at the first use."""
        if self._postgres is None:
            self._postgres = self._held.enter_context(PostgresServer())
        return self._postgres

    def rabbitmq(self) -> RabbitMQServer:
        """Start it at the first use."""
        if self._rabbitmq is None:
            self._rabbitmq = self._held.enter_context(RabbitMQServer())
        return self._rabbitmq

    def close(self) -> None:
        """Stop them."""
        self._held.close()


@dataclass
class Scene:
    """What a fault's story plays with. Its verbs wait for conditions, never for luck."""

    stack: Stack
    platform: Platform
    broker: Broker
    postgres: PostgresServer | None
    database: str
    folder: Path
    witness: WitnessServer
    fleet: Fleet = field(default_factory=Fleet)
    expected: list[str] = field(default_factory=list)
    inside: bool = True
    extra: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    checks: list[Callable[[Books], str]] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    fault_ended_at: float | None = None
    done_at: float | None = None

    # Workers

    def worker(self, *, variables: dict[str, str] | None = None, **settings: object) -> Member:
        """Put one more worker into the fleet, with settings of its own and variables beside them."""
        urls = {"broker_url": self.platform.broker_url, "database_url": self.platform.database_url}
        chosen = {**SETTINGS, "namespace": self.platform.namespace, **urls, **self.settings, **settings}
        self.settings |= {name: value for name, value in settings.items() if name not in urls}
        environment = worker_environment(self.folder, **chosen)
        environment |= {PORT_VARIABLE: str(self.witness.port), **(variables or {})}
        return self.fleet.add(environment)

    def workers(self, count: int = 2, **settings: object) -> None:
        """Put some workers into the fleet and wait until all of them are ready."""
        for _ in range(count):
            self.worker(**settings)
        self.fleet.until_ready()

    # Jobs

    def enqueue(self, task: Any, calls: Sequence[tuple], **options: Any) -> list[str]:
        """Enqueue jobs that have to be completed at the end."""
        bound = task.options(**options) if options else task
        ids = [handle.id for handle in bound.enqueue_many_sync(calls)]
        self.expected += ids
        return ids

    def begin(self, *, jobs: int = JOBS, seconds: float = 1.0, linger: float = 0.0, workers: int = 2) -> None:
        """Start what most stories start with: some workers, and more jobs than they have slots."""
        self.workers(workers)
        self.enqueue(tasks.work, [(seconds, linger)] * jobs)

    def until_heard(self, kind: str, count: int, timeout_seconds: float = 60.0) -> None:
        """Wait until the witness has heard so many words of a kind."""
        until(
            lambda: self.witness.counts().get(kind, 0) >= count,
            timeout_seconds=timeout_seconds,
            what=f"{count} times {kind}",
        )

    # The stop-watch

    def fault_ends(self) -> None:
        """Start to count the seconds of recovery."""
        self.fault_ended_at = time.monotonic()

    def until_done(self, timeout_seconds: float, *, is_recovery: bool = True) -> None:
        """Wait until every expected job is completed; who is not after this time is lost.

        The stop-watch stops here, unless this is about jobs that came when all was well again.
        """
        engine = create_engine(self.direct_url)
        try:
            until(lambda: self._completed(engine) >= len(self.expected), timeout_seconds=timeout_seconds)
            if is_recovery:
                self.done_at = time.monotonic()
        except AssertionError:
            self.wrong.append(f"not done within {timeout_seconds:g} s")
        finally:
            engine.dispose()

    def watch(self) -> None:
        """Give what comes late the time to come."""
        ends_at = time.monotonic() + WATCH_SECONDS
        until(lambda: time.monotonic() > ends_at, timeout_seconds=2 * WATCH_SECONDS + 1)

    @property
    def recovered_seconds(self) -> float | None:
        """From the end of the fault to the last missing effect."""
        if self.fault_ended_at is None or self.done_at is None:
            return None
        return max(0.0, self.done_at - self.fault_ended_at)

    # Judgement

    def require(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 -- reads as a sentence
        """Note what is wrong unless a condition holds."""
        if not holds:
            self.wrong.append(otherwise)

    def afterwards(self, check: Callable[[Books], str]) -> None:
        """Let the books be checked at the end; a check returns what is wrong, or nothing."""
        self.checks.append(check)

    @property
    def direct_url(self) -> str:
        """The database's own address, past every proxy."""
        if self.postgres is not None:
            return self.postgres.url_of(self.database)
        return self.platform.database_url

    def _completed(self, engine: Any) -> int:
        """Count the expected jobs that are completed; asks for their names only when there may be enough."""
        place = f'"{self.platform.namespace}".' if self.postgres is not None else ""
        completed = f"FROM {place}jobs WHERE state = 'completed'"
        with contextlib.suppress(SQLAlchemyError), engine.connect() as connection:
            count = connection.execute(text(f"SELECT count(*) {completed}")).scalar_one()
            if count < len(self.expected):
                return int(count)
            names = connection.execute(text(f"SELECT id {completed}")).scalars()
            return len(set(self.expected).intersection(names))
        return 0

    def books(self) -> Books:
        """Read both books."""
        schema = self.platform.namespace if self.postgres is not None else None
        return judge.read(self.direct_url, schema, self.witness.book())


@contextlib.contextmanager
def scene(
    stack: Stack, shared: SharedServers, *, own_database: bool, own_broker: bool, durable_broker: bool
) -> Iterator[Scene]:
    """Set up a platform for one cell, and tear it down."""
    with contextlib.ExitStack() as held:
        root = Path("/dev/shm")  # noqa: S108 -- a private folder is made below it
        folder = Path(tempfile.mkdtemp(prefix="holdfast-chaos-", dir=root if root.is_dir() else None))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        namespace = f"c{secrets.token_hex(5)}"
        broker: Broker
        if stack.broker == "redis":
            broker = held.enter_context(RedisServer(appendonly=durable_broker))
        elif own_broker:
            broker = held.enter_context(RabbitMQServer())
        else:
            broker = shared.rabbitmq()
        postgres, database, url = None, "", f"sqlite:///{folder / 'ledger.sqlite3'}"
        if stack.database == "postgresql":
            postgres = held.enter_context(PostgresServer()) if own_database else shared.postgres()
            database = postgres.create_database()
            url = postgres.url_of(database)
            if not own_database:
                held.callback(postgres.drop_database, database)
        witness = held.enter_context(WitnessServer())
        _make_table(url)
        platform = Platform(folder, broker_url=broker.url, database_url=url, namespace=namespace)
        held.callback(platform.close)
        made = Scene(stack, platform, broker, postgres, database, folder, witness)
        held.callback(made.fleet.close)
        yield made


def _make_table(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(tasks.EFFECTS))
    engine.dispose()
