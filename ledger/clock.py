"""The database's clock, which due times and deadlines go by."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.engine import READS_ONLY, make_engine
from holdfast.ledger.translate import translated
from holdfast.ledger.types import Now


def read_clock(config: LedgerConfig) -> datetime:
    """Ask a database what time it is, over a connection of its own; needs no tables.

    Raises LedgerUnavailable (try again) or LedgerError.
    """
    engine = make_engine(config)
    try:
        with engine.connect() as connection:
            reading = connection.execution_options(**{READS_ONLY: True})
            return reading.execute(select(Now())).scalar_one()
    except SQLAlchemyError as error:
        raise translated(error, doing="read the clock") from error
    finally:
        engine.dispose()
