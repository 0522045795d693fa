"""The page on SQL is run: its rights, its calls and its trigger, as a role of its own, by a real worker."""

import json
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support import documents, reader
from holdfast.tests.support.platform import platform
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "sql.md"
SHOWN = {one.name: one.code for one in documents.snippets(PAGE) if one.language == "sql"}
ROLE = "shop_web"


@pytest.mark.timeout(300)
def test_the_page_does_what_it_says(tmp_path: Path, redis_url: str, postgres_url: str, monkeypatch):
    """Three jobs, of which Python made none; each ends once, with what the task returned."""
    modules = reader.write_modules(PAGE, tmp_path)
    address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with platform(tmp_path, broker_url=redis_url, database_url=postgres_url) as ours:
        ours.worker(task_modules=",".join(modules))
        with psycopg.connect(address, autocommit=True) as owner:
            try:
                owner.execute(SHOWN["sql-rights"])
                owner.execute(f"GRANT CREATE ON SCHEMA public TO {ROLE}")
                owner.execute(f"GRANT {ROLE} TO CURRENT_USER")
                owner.execute(f"SET ROLE {ROLE}")
                owner.execute(SHOWN["sql-call"])
                owner.execute(SHOWN["sql-trigger"])
                owner.execute("RESET ROLE")
                found = owner.execute("SELECT id, arguments FROM holdfast.jobs").fetchall()
            finally:
                owner.execute(f"RESET ROLE; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
        ours.until_all([job_id for job_id, _ in found], JobState.COMPLETED, timeout_seconds=60)
        told = {json.loads(arguments)["email"]: ours.ledger.job(job_id).result for job_id, arguments in found}
    assert {"ada@example.org", "bob@example.org", "eve@example.org"} == told.keys()
    assert '"order 8 is confirmed to bob@example.org"' == told["bob@example.org"]


def test_the_options_are_all_told(postgres_url: str):
    """The table has each parameter of the function, and no other."""
    migrate(LedgerConfig(url=postgres_url, schema="holdfast"))
    address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as owner:
        asked = "SELECT proargnames FROM pg_proc WHERE oid = 'holdfast.enqueue'::regproc"
        (names,) = owner.execute(asked).fetchone()
    table = PAGE.read_text(encoding="utf-8").partition("| option | type |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(names) == {name.strip(" `") for cell in cells for name in cell.split(",")}
