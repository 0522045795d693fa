"""The page for those who come from plain Celery is run: old worker, new worker, one Redis."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from holdfast.ledger import LedgerConfig
from holdfast.ledger.upgrade import migrate
from holdfast.settings import Settings
from holdfast.tests.support import documents, reader
from holdfast.tests.support.processes import Server
from holdfast.tests.support.repository import ROOT
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.worker import WorkerServer, worker_environment

PAGE = ROOT / "docs" / "from-celery.md"
PROGRAMS = reader.programs(PAGE)
MOVED = ("new_shop", "new_counting")


class PlainWorker(Server):
    """A worker of plain Celery, as the page's reader has one."""

    name = "plain-worker"
    start_timeout_seconds = 60.0

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        super().__init__()
        self._variables = {**variables, "PYTHONPATH": str(folder)}

    @property
    def url(self) -> str:
        """A worker has no address."""
        return ""

    def command(self) -> Sequence[str]:
        """Its module, one thread, and nothing of ours."""
        return [sys.executable, "-m", "celery", "-A", "old_shop", "worker", "-P", "solo", "-l", "INFO"]

    def environment(self) -> Mapping[str, str]:
        """Where the broker is, and where the module stands."""
        return self._variables

    def is_ready(self) -> bool:
        """Ready when Celery says so."""
        return " ready." in self.log


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, list[str]]]]:
    """What each program of the page raised and printed, while both workers served."""
    folder = tmp_path_factory.mktemp("mover")
    reader.write_modules(PAGE, folder)
    database = f"sqlite:///{folder / 'ledger.sqlite3'}"
    migrate(LedgerConfig(url=database, schema="shop"))
    with RedisServer() as broker:
        settings = worker_environment(
            folder,
            broker_url=broker.url,
            database_url=database,
            namespace="shop",
            task_modules=",".join(MOVED),
        )
        variables = {**settings, "PYTHONPATH": str(folder), "SHOP_BROKER_URL": broker.url}
        with PlainWorker(folder, {"SHOP_BROKER_URL": broker.url}), WorkerServer(variables):
            # Each in a process of its own: Celery has one current application in a process.
            yield [reader.run([one], folder, variables)[0] for one in PROGRAMS]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", range(len(PROGRAMS)), ids=lambda number: PROGRAMS[number].place)
def test_each_program_of_the_page_prints_what_it_says(number: int, ran: list[tuple[str, list[str]]]):
    """The plain task as it was, the same task moved, and its callers."""
    assert ("", PROGRAMS[number].prints) == ran[number]
    assert PROGRAMS[number].prints, "a program that prints nothing shows nothing"


def test_the_settings_that_the_page_names_exist():
    """A reader who sets one of them is heard."""
    known = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"HOLDFAST_[A-Z_]+", PAGE.read_text(encoding="utf-8"))) - {"HOLDFAST_ENV"}
    assert set() == named - known


def test_the_parts_are_all_listed():
    """The list at the top of the page leads to each of its parts."""
    targets = {anchor for path, anchor in documents.links(PAGE) if not path}
    assert targets == documents.anchors(PAGE) - {"from-plain-celery-one-task-at-a-time"}
