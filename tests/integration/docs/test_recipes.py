"""The recipes are run: their applications serve requests, beside a real worker."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from holdfast.ledger import LedgerConfig
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support import reader
from holdfast.tests.support.processes import LOOPBACK, Server
from holdfast.tests.support.repository import ROOT
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.worker import WorkerServer, worker_environment

RECIPES = ROOT / "docs" / "recipes"
FASTAPI, DJANGO = RECIPES / "fastapi.md", RECIPES / "django.md"


class WebServer(Server):
    """The recipe's application, served as its reader does."""

    name = "web"
    start_timeout_seconds = 60.0

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        super().__init__()
        self._application = folder
        self._variables = variables

    @property
    def url(self) -> str:
        """Where callers find it."""
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        """One process of uvicorn."""
        served = ["web:app", "--host", LOOPBACK, "--port", str(self.port)]
        return [sys.executable, "-m", "uvicorn", *served, "--app-dir", str(self._application)]

    def environment(self) -> Mapping[str, str]:
        """The settings of the platform."""
        return self._variables

    def is_ready(self) -> bool:
        """Ready when it says so itself."""
        return httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK


@contextmanager
def beside_a_worker(recipe: Path, folder: Path, task_modules: str, **more: str) -> Iterator[dict[str, str]]:
    """Write the recipe's files and start a worker; gives the variables of its programs."""
    reader.write_modules(recipe, folder)
    database = f"sqlite:///{folder / 'ledger.sqlite3'}"
    migrate(LedgerConfig(url=database, schema="holdfast"))
    with RedisServer() as broker:
        settings = worker_environment(
            folder, broker_url=broker.url, database_url=database, task_modules=task_modules
        )
        variables = {**settings, **more, "PYTHONPATH": str(folder)}
        with WorkerServer(variables):
            yield variables


@pytest.mark.timeout(300)
def test_the_recipe_for_fastapi_serves_what_it_says(tmp_path):
    """202 and where to look, one job for a repeated request, nobody else's job, cancel, health."""
    shown = reader.programs(FASTAPI)
    with (
        beside_a_worker(FASTAPI, tmp_path, "summaries") as variables,
        WebServer(tmp_path, variables) as web,
    ):
        ran = reader.run(shown, tmp_path, {**variables, "WEB_URL": web.url})
        missing = httpx.get(f"{web.url}/jobs/nobody", headers={"X-Tenant": "acme"})
    assert [("", one.prints) for one in shown] == ran
    assert httpx.codes.NOT_FOUND == missing.status_code


@pytest.mark.timeout(300)
def test_the_recipe_for_django_serves_what_it_says(tmp_path):
    """A job after the commit and none after a rollback, and a sweep that doubles nothing."""
    shown = reader.programs(DJANGO)
    django = {
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "DJANGO_SECRET_KEY": "a-key-of-the-test",
        "DJANGO_DATABASE": str(tmp_path / "shop.sqlite3"),
    }
    with beside_a_worker(DJANGO, tmp_path, "orders.worker", **django) as variables:
        ran = [reader.run([one], tmp_path, variables)[0] for one in shown]
    assert [("", one.prints) for one in shown] == ran
