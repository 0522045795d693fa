"""Where is the truth? The only package that speaks SQL: PostgreSQL, or SQLite."""

from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.connecting import connect
from holdfast.ledger.ledger import Ledger

__all__ = ["Ledger", "LedgerConfig", "connect"]
