"""Where the ledger is."""

from pydantic import BaseModel, Field, SecretStr

from holdfast.settings.embedded import EMBEDDED


class DatabaseFields(BaseModel):
    """Database."""

    database_url: SecretStr = Field(
        default=SecretStr(EMBEDDED),
        description="`postgresql://user:password@host/name?sslmode=verify-full&sslrootcert=/path`, "
        "`sqlite:////path`, or `embedded`: SQLite in the data folder.",
    )
    database_password: SecretStr | None = Field(
        default=None,
        description="Password of the database, if it shall not stand in the URL; wins over the URL's.",
    )
    database_pool_size: int = Field(
        default=5, ge=1, le=200, description="Connections that a process keeps open."
    )
    database_pool_overflow: int = Field(
        default=5, ge=0, le=200, description="Connections beyond those, closed after use."
    )
    database_pool_timeout_seconds: float = Field(
        default=5.0, gt=0, le=300, description="Longest wait for a free connection of the pool."
    )
    database_connect_timeout_seconds: float = Field(
        default=5.0, ge=1, le=60, description="Longest wait for a new connection."
    )
    database_statement_timeout_seconds: float = Field(
        default=30.0, ge=1, le=3600, description="Longest run of one statement (PostgreSQL)."
    )
    database_lock_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Longest wait for a lock; on SQLite for the one writer."
    )
    database_transaction_pooler: bool = Field(
        default=False,
        description="The URL leads to PgBouncer with `pool_mode = transaction`, or its like.",
    )
