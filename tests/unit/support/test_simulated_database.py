"""The database of the simulation tells its judge what was changed, and nothing else."""

import sqlite3
from types import SimpleNamespace

from holdfast.tests.simulation.database import AskingConnection


def test_what_was_taken_back_is_no_change_of_the_next_transaction():
    """Or the judge would see a death where somebody looked, and only after certain other seeds."""
    connection = sqlite3.connect(":memory:", factory=AskingConnection)
    connection.database = SimpleNamespace(on_commit=AskingConnection.really_commit)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.has_changed
    connection.rollback()
    connection.execute("DELETE FROM t")
    assert not connection.has_changed
    connection.close()
