"""The settings, all groups together: one frozen model that only composition roots read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.errors import SettingsError
from holdfast.ledger.config import LedgerConfig
from holdfast.settings import broker as brokers
from holdfast.settings import embedded, urls
from holdfast.settings.embedded import EMBEDDED
from holdfast.settings.groups.broker import BrokerFields
from holdfast.settings.groups.database import DatabaseFields
from holdfast.settings.groups.flower import FlowerFields
from holdfast.settings.groups.health import HealthFields
from holdfast.settings.groups.jobs import JobFields
from holdfast.settings.groups.leases import LeaseFields
from holdfast.settings.groups.logs import LogFields
from holdfast.settings.groups.platform import PlatformFields
from holdfast.settings.groups.upstreams import UpstreamFields
from holdfast.settings.groups.workers import WorkerFields
from holdfast.settings.names import Names
from holdfast.settings.provenance import DEFAULT, OVERRIDE, Source, Stranger

PREFIX: Final = "HOLDFAST_"
BOOTSTRAP: Final = ("env_file", "secrets_dir")
"""Settings that say where the others are: read from the environment only."""
GROUPS: Final[tuple[type[BaseModel], ...]] = (
    PlatformFields,
    DatabaseFields,
    BrokerFields,
    WorkerFields,
    LeaseFields,
    JobFields,
    UpstreamFields,
    HealthFields,
    LogFields,
    FlowerFields,
)
"""The groups in the order in which people read them."""


class Settings(  # pyright: ignore[reportIncompatibleVariableOverride]  # BaseSettings narrows model_config
    FlowerFields,
    LogFields,
    HealthFields,
    UpstreamFields,
    JobFields,
    LeaseFields,
    WorkerFields,
    BrokerFields,
    DatabaseFields,
    PlatformFields,
    BaseSettings,
):
    """What was configured. Made by `load`; made directly it takes only what it is given, for tests.

    Composition roots read it and hand plain values on.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # `VARIABLE=` in a compose file means: not set
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a secret
        validate_default=False,
    )

    _sources: Mapping[str, Source] = PrivateAttr(default_factory=dict[str, Source])
    _strangers: tuple[Stranger, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what the caller gives: `load` asks the other sources, to know which one spoke."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def loaded(
        cls, values: Mapping[str, object], sources: Mapping[str, Source], strangers: tuple[Stranger, ...]
    ) -> Self:
        """Make settings that know where their values came from; pydantic's ValidationError passes through."""
        settings = cls.model_validate(values)
        settings._sources = {  # noqa: SLF001  our own, in a constructor
            field: source for field, source in sources.items() if field in values
        }
        settings._strangers = strangers  # noqa: SLF001  our own, in a constructor
        return settings

    def source_of(self, field: str) -> Source:
        """Tell where the value of a setting came from."""
        given = OVERRIDE if field in self.model_fields_set else DEFAULT
        return self._sources.get(field, given)

    @property
    def strangers(self) -> tuple[Stranger, ...]:
        """Variables that no setting answers to, found when the settings were loaded."""
        return self._strangers

    @property
    def is_production(self) -> bool:
        """Whether warnings refuse the start."""
        return self.env == "production"

    @property
    def names(self) -> Names:
        """Every name on the servers."""
        return Names(self.namespace, self.intake_queue)

    @property
    def data_path(self) -> Path:
        """The data folder, absolute; `embedded.prepare` makes it."""
        return self.data_dir.expanduser().absolute()

    @property
    def adopts(self) -> bool:
        """Whether tasks that do not say so themselves accept jobs of plain Celery producers."""
        return self.adoption if self.adoption is not None else not self.is_production

    @property
    def heartbeat_path(self) -> Path:
        """The file that the worker touches while its loop turns."""
        return self.probe_heartbeat_file or self.data_path / "worker.heartbeat"

    @property
    def spool_path(self) -> Path:
        """The folder of outcomes that wait for the database."""
        return self.spool_dir.expanduser().absolute() if self.spool_dir else self.data_path / "spool"

    @property
    def has_embedded_broker(self) -> bool:
        """Whether the broker is the one that `holdfast up` runs."""
        return self.broker_url.get_secret_value() == EMBEDDED

    @property
    def has_embedded_database(self) -> bool:
        """Whether the database is SQLite in the data folder."""
        return self.database_url.get_secret_value() == EMBEDDED

    def resolved_database_url(self) -> str:
        """Return the database's address with its password, for SQLAlchemy."""
        if self.has_embedded_database:
            return embedded.database_url(self.data_path)
        url = self.database_url.get_secret_value()
        password = self.database_password
        return urls.with_password(url, password.get_secret_value()) if password else url

    def broker(self) -> brokers.Broker:
        """Return the broker, with its password.

        An embedded one is looked up in the data folder at each call; SettingsError when nobody runs it.
        """
        tls = brokers.tls_of(self.broker_tls_ca_file, self.broker_tls_cert_file, self.broker_tls_key_file)
        if not self.has_embedded_broker:
            password = self.broker_password.get_secret_value() if self.broker_password else None
            return brokers.parse(self.broker_url.get_secret_value(), password=password, tls=tls)
        found = embedded.discover(self.data_path)
        if found is None:
            raise SettingsError(
                detail=f"no HOLDFAST_BROKER_URL is set, and no embedded broker runs on {self.data_path}",
                hint="Run `holdfast up` in the same folder, or set HOLDFAST_BROKER_URL.",
            )
        return brokers.parse(found)

    def shared_state(self) -> str | None:
        """Return the address, for `redis.Redis.from_url`, of the Redis that upstreams are shared in.

        None: there is none, or the embedded one does not run.
        """
        if self.shared_state_url is not None:
            return self.parsed_shared_state().redis_url()
        try:
            broker = self.broker()
        except SettingsError:
            return None
        return broker.redis_url() if broker.kind == "redis" else None

    def parsed_shared_state(self) -> brokers.Broker:
        """Return the server that `shared_state_url` names; ValueError says what is wrong with it."""
        tls = brokers.tls_of(self.broker_tls_ca_file, self.broker_tls_cert_file, self.broker_tls_key_file)
        url = "" if self.shared_state_url is None else self.shared_state_url.get_secret_value()
        found = brokers.parse(url, tls=tls)
        if found.kind != "redis":
            raise ValueError("must be a Redis")
        return found

    def ledger_config(self, application_name: str = "holdfast") -> LedgerConfig:
        """Return what the ledger needs; `application_name` is how the database lists our connections."""
        return LedgerConfig(
            url=self.resolved_database_url(),
            schema=self.names.schema,
            pool_size=self.database_pool_size,
            pool_overflow=self.database_pool_overflow,
            pool_timeout_seconds=self.database_pool_timeout_seconds,
            connect_timeout_seconds=self.database_connect_timeout_seconds,
            statement_timeout_seconds=self.database_statement_timeout_seconds,
            lock_timeout_seconds=self.database_lock_timeout_seconds,
            total_age_seconds=self.job_total_age_seconds,
            attempt_grace_seconds=self.attempt_grace_seconds,
            backlog_limits=limits_of(self.backlog_limits),
            payload_inline_bytes=self.payload_inline_bytes,
            transaction_pooler=self.database_transaction_pooler,
            application_name=application_name,
        )


def variable_of(field: str) -> str:
    """Return the environment's name of a setting."""
    return f"{PREFIX}{field.upper()}"
