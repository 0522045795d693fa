"""The real Flower beside a real worker: locked, local, truthful, and silent about payloads."""

import asyncio
import socket

import psutil
import pytest

from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tasks.application import make_app
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.flower import FlowerServer
from holdfast.tests.support.redis import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer, worker_environment

BROKER_PASSWORD = "br0ker-pa55word"
SECRET = "sk-flower-0123456789abcdef"
PASSWORD = "flower-pa55word"
LOGIN = f"holdfast:{PASSWORD}"


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """A worker, a Flower, and a client on one Redis with a password and one SQLite."""
    folder = tmp_path_factory.mktemp("flower")
    database = f"sqlite:///{folder / 'ledger.sqlite3'}"
    migrate(LedgerConfig(url=database))
    with RedisServer(password=BROKER_PASSWORD) as redis:
        environment = worker_environment(
            folder, broker_url=redis.url, database_url=database, flower_password=PASSWORD
        )
        with FlowerServer(environment) as flower, WorkerServer(environment) as worker:
            ledger = connect(LedgerConfig(url=database))
            app = make_app("test-flower", {"broker_url": redis.url})
            bell = Doorbell(app, ledger_id=ledger.ledger_id, queue_prefix="holdfast.", quorum=False)
            client = Client(ledger, bell)
            until(
                lambda: flower.json("/workers?json=1", LOGIN)["data"],
                what="Flower to see the worker",
                timeout_seconds=30,
            )
            yield flower, worker, client
            client.close()
            ledger.close()


@pytest.fixture
def flower(platform):
    """The running Flower."""
    return platform[0]


def _run(platform, task, *arguments):
    client = platform[2]

    async def run():
        handle = await client.enqueue(task, arguments)
        try:
            await handle.result(timeout_seconds=30)
        finally:
            return handle.id  # noqa: B012 -- how it ends is Flower's to show

    return asyncio.run(run())


def _shown(flower, job_id, state):
    def task():
        status, _ = flower.get(f"/api/task/info/{job_id}", LOGIN)
        found = flower.json(f"/api/task/info/{job_id}", LOGIN) if status == 200 else {}
        return found if found.get("state") == state else None

    return until(task, what=f"Flower to show {job_id} as {state}")


def test_pages_and_api_ask_for_a_password(flower):
    """Without the password every page and the API are closed, with it they are open."""
    for path in ("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks"):
        assert 401 == flower.get(path)[0], path
        assert 401 == flower.get(path, "holdfast:wrong")[0], path
        assert 200 == flower.get(path, LOGIN)[0], path


def test_metrics_and_healthcheck_are_open_by_flowers_design(flower):
    """What Flower never locks is known: the documents say so, and the address is the loopback."""
    assert 200 == flower.get("/metrics")[0]
    assert 200 == flower.get("/healthcheck")[0]


def test_listens_on_this_machine_only(flower):
    """Flower listens on the loopback address and nowhere else."""
    addresses = {
        connection.laddr.ip
        for connection in psutil.Process(flower.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {"127.0.0.1"} == addresses


def test_success_is_shown_under_its_name(platform, flower):
    """A job that succeeded is SUCCESS under the name of its task, on the worker that ran it."""
    shown = _shown(flower, _run(platform, sample_tasks.echo, "hello"), "SUCCESS")
    assert "sample.echo" == shown["name"]
    assert shown["worker"]


def test_success_on_the_second_attempt_shows_no_failure(platform, flower):
    """A job that succeeded at last shows success, without the exception of an earlier attempt."""
    shown = _shown(flower, _run(platform, sample_tasks.flaky, 2), "SUCCESS")
    assert not shown.get("exception")
    assert not shown.get("traceback")


def test_failure_is_shown_with_its_kind(platform, flower):
    """A job that failed for good is FAILURE with the exception's type."""
    shown = _shown(flower, _run(platform, sample_tasks.broken, "no such customer"), "FAILURE")
    assert "ValueError" in shown["exception"]


def test_no_payload_and_no_secret_on_any_page(platform, flower):
    """A key in a job's arguments, result or exception, and the broker's password, are on no page."""
    echoed = _run(platform, sample_tasks.echo, SECRET)
    broken = _run(platform, sample_tasks.broken, f"refused api_key={SECRET}")
    _shown(flower, echoed, "SUCCESS")
    _shown(flower, broken, "FAILURE")
    worker = next(iter(flower.json("/api/workers?refresh=1", LOGIN)))
    paths = [
        "/workers", "/workers?json=1", "/tasks", "/broker", f"/worker/{worker}", f"/task/{echoed}",
        f"/task/{broken}", "/api/workers?refresh=1", "/api/tasks", f"/api/task/info/{echoed}",
        f"/api/task/info/{broken}", f"/api/task/result/{echoed}", f"/api/task/result/{broken}",
        "/metrics", "/api/queues/length",
    ]  # fmt: skip
    for path in paths:
        status, body = flower.get(path, LOGIN)
        assert 200 == status, path
        for secret in (SECRET, BROKER_PASSWORD, PASSWORD):
            assert secret not in body, path
    for secret in (SECRET, BROKER_PASSWORD, PASSWORD):
        assert secret not in flower.log


def test_result_page_tells_the_state_alone(platform, flower):
    """The API says how a job ended and not what it returned."""
    job_id = _run(platform, sample_tasks.echo, "the value")
    _shown(flower, job_id, "SUCCESS")
    answer = flower.json(f"/api/task/result/{job_id}", LOGIN)
    assert "SUCCESS" == answer["state"]
    assert "the value" not in str(answer)


def test_memory_is_bounded_and_nothing_is_written(tmp_path):
    """Flower keeps so many tasks and no more, and leaves no file behind."""
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l", flower_tasks_most=100
        )
        with FlowerServer(environment) as flower:
            login = f"holdfast:{flower.printed_password}"
            app = make_app(
                "test-flower-memory", {"broker_url": redis.url, "event_exchange": "holdfast.events"}
            )

            def is_full() -> bool:
                # Flower answers before it listens, and what was sent until then is gone.
                _send_events(app, 300)
                return len(flower.json("/api/tasks", login)) >= 100

            until(is_full, what="Flower to read the events")
            assert 100 == len(flower.json("/api/tasks", login))
    assert not list(tmp_path.glob("flower*"))


def test_made_up_password_is_printed_once_and_works(tmp_path):
    """Without a password in the settings one is made up at each start, printed once, and holds."""
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l"
        )
        with FlowerServer(environment) as flower:
            first = flower.printed_password
            assert len(first) >= 20
            assert 1 == flower.log.count(first)
            assert 401 == flower.get("/")[0]
            assert 200 == flower.get("/", f"holdfast:{first}")[0]
            flower.log_path.write_text("", encoding="utf-8")
            flower.restart()
            assert flower.printed_password not in {"", first}


@pytest.mark.parametrize("how", ["option", "variable"])
def test_users_own_options_win(tmp_path, how):
    """Flower's own ways to set a password and an address win over our defaults."""
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l"
        )
        options = ("--basic-auth=me:mine-mine", "--url_prefix=watch") if how == "option" else ()
        own = {} if how == "option" else {"FLOWER_BASIC_AUTH": "me:mine-mine"}
        with FlowerServer({**environment, **own}, *options) as flower:
            prefix = "/watch" if how == "option" else ""
            assert "" == flower.printed_password
            assert 200 == flower.get(f"{prefix}/workers", "me:mine-mine")[0]
            assert 401 == flower.get(f"{prefix}/workers")[0]
            assert 401 == flower.get(f"{prefix}/api/task/result/x")[0]


def test_empty_password_does_not_open_the_door(tmp_path):
    """An emptied FLOWER_BASIC_AUTH leaves our lock in place."""
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l"
        )
        with FlowerServer({**environment, "FLOWER_BASIC_AUTH": ""}) as flower:
            assert 401 == flower.get("/")[0]


def test_oauth_replaces_our_password(tmp_path):
    """Who sets up OAuth is sent to its login, and is not asked for a password that nobody was told."""
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l"
        )
        options = ("--auth=.*@example.com", "--auth_provider=flower.views.auth.GithubLoginHandler")
        oauth = ("--oauth2_key=k", "--oauth2_secret=s", "--oauth2_redirect_uri=http://127.0.0.1/login")
        with FlowerServer(environment, *options, *oauth) as flower:
            assert "" == flower.printed_password
            assert 302 == flower.get("/workers")[0]
            assert 401 != flower.get("/login")[0]
            assert 200 != flower.get("/api/workers")[0]


def _send_events(app, count):
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname="w@h") as events,
    ):
        for number in range(count):
            events.send("task-received", uuid=f"id-{number}", name="t", args="()", kwargs="{}")


@pytest.mark.slow
def test_port_of_another_program_is_an_error(tmp_path):
    """A taken port ends Flower with an error instead of serving somewhere else."""
    with RedisServer() as redis, socket.create_server(("127.0.0.1", 0)) as taken:
        environment = worker_environment(
            tmp_path, broker_url=redis.url, database_url=f"sqlite:///{tmp_path}/l"
        )
        flower = FlowerServer(environment)
        flower.port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match="in use"):
            flower.start()
        flower.close()
