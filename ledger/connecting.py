"""Open a ledger."""

from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.ledger import Ledger


def connect(config: LedgerConfig, *, check_schema: bool = True) -> Ledger:
    """Open the ledger.

    Raises LedgerUnavailable when the database does not answer, SchemaMismatch for missing or other tables,
    LedgerError for another machine's SQLite file; `check_schema=False` compares neither, for who mends them.
    """
    ledger = Ledger(config)
    try:
        return ledger.open(check_schema=check_schema)
    except BaseException:
        ledger.close()
        raise
