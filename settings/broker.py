"""The broker's address, taken apart once, as kombu and redis-py each want it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from holdfast.settings.urls import is_loopback, with_password

SCHEMES: Final = ("redis", "rediss", "redis+socket", "amqp", "amqps")
_TLS_SCHEMES: Final = ("rediss", "amqps")
_TLS_PARAMETERS: Final = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
_UNVERIFIED: Final = ("none", "cert_none", "optional", "cert_optional")
_HINTS: Final = {
    "postgresql": "that is the database's; set HOLDFAST_DATABASE_URL",
    "sentinel": "Sentinel is not supported; name the primary, or a proxy that follows it",
    "unix": "write redis+socket:///path",
    "valkey": "write redis:// (Valkey speaks the same protocol)",
    "valkeys": "write rediss:// (Valkey speaks the same protocol)",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """How to trust the broker: by the system's authorities unless `ca_file` names another."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verifies: bool = True
    """Whether the certificate must be signed by an authority that we trust."""
    checks_host: bool = True
    """Whether the certificate must carry the broker's name."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker: `url` is kombu's, with credentials and without TLS parameters."""

    kind: Literal["redis", "rabbitmq"]
    url: str
    host: str | None
    """None for a socket file."""
    has_password: bool
    tls: Tls | None

    @property
    def is_local(self) -> bool:
        """Whether what is sent never leaves this machine."""
        return is_loopback(self.host)

    def redis_url(self) -> str:
        """Return the address for `redis.Redis.from_url`, TLS included; ValueError for RabbitMQ."""
        if self.kind != "redis":
            raise ValueError("RabbitMQ is no Redis")
        parts = urlsplit(self.url)
        if parts.scheme == "redis+socket":
            pairs = dict(parse_qsl(parts.query))
            login = f"{parts.netloc}" if parts.netloc else ""
            return f"unix://{login}{parts.path}?{urlencode({'db': pairs.get('virtual_host', '0')})}"
        return f"{self.url}?{urlencode(_redis_tls(self.tls))}" if self.tls else self.url


def parse(url: str, *, password: str | None = None, tls: Tls | None = None) -> Broker:
    """Take a broker's address apart; ValueError says what is wrong without repeating the address.

    `password` wins over the one in the address. `tls` is used when the scheme
    asks for TLS; parameters of the address (`ssl_ca_certs` and so on) win over it.
    """
    scheme = _scheme(url)
    parts = urlsplit(url)
    if parts.port is not None and not parts.hostname:
        raise ValueError("has a port and no host")
    if scheme != "redis+socket" and not parts.hostname:
        raise ValueError("names no host")
    if scheme == "redis+socket" and len(parts.path) < len("/x"):
        raise ValueError("names no socket file; write redis+socket:///path")
    chosen, rest = _split_parameters(scheme, parts.query, tls or Tls())
    bare = f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{urlencode(rest)}" if rest else "")
    if password is not None:
        bare = with_password(bare, password)
    return Broker(
        kind="redis" if scheme.startswith("redis") else "rabbitmq",
        url=bare,
        host=parts.hostname,
        has_password=bool(urlsplit(bare).password),
        tls=chosen if scheme in _TLS_SCHEMES else None,
    )


def tls_of(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Tls:
    """Make the TLS part from three optional files."""
    ca, certificate, key = (
        str(path.expanduser()) if path else None for path in (ca_file, cert_file, key_file)
    )
    return Tls(ca_file=ca, cert_file=certificate, key_file=key)


def _scheme(url: str) -> str:
    if ";" in url or url.count("://") > 1:
        raise ValueError("holds more than one address; name one broker, or a proxy before several")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ValueError(f"is no address; begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        hint = _HINTS.get(scheme.partition("+")[0], f"use one of {', '.join(SCHEMES)}")
        raise ValueError(f"begins with {scheme}://; {hint}")
    return scheme


def _split_parameters(scheme: str, query: str, tls: Tls) -> tuple[Tls, dict[str, str]]:
    # kombu would take any parameter for an argument of its Connection.
    allowed = (
        ("virtual_host",) if scheme == "redis+socket" else _TLS_PARAMETERS if scheme in _TLS_SCHEMES else ()
    )
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(pairs) - set(allowed))
    if unknown:
        known = f"; known are {', '.join(allowed)}" if allowed else f"; {scheme}:// takes none"
        raise ValueError(f"has the parameter {unknown[0]}{known}")
    rest = {name: value for name, value in pairs.items() if name not in _TLS_PARAMETERS}
    return _tls_from(pairs, tls), rest


def _tls_from(pairs: Mapping[str, str], tls: Tls) -> Tls:
    requirement = pairs.get("ssl_cert_reqs", "").lower()
    if requirement and requirement not in ("required", "cert_required", *_UNVERIFIED):
        raise ValueError("has ssl_cert_reqs other than required, optional and none")
    verifies = requirement not in _UNVERIFIED if requirement else tls.verifies
    checks = pairs.get("ssl_check_hostname", str(tls.checks_host)).lower() != "false"
    return replace(
        tls,
        ca_file=pairs.get("ssl_ca_certs", tls.ca_file),
        cert_file=pairs.get("ssl_certfile", tls.cert_file),
        key_file=pairs.get("ssl_keyfile", tls.key_file),
        verifies=verifies,
        checks_host=checks and verifies,
    )


def _redis_tls(tls: Tls) -> dict[str, str]:
    pairs = {
        "ssl_cert_reqs": "required" if tls.verifies else "none",
        "ssl_check_hostname": str(tls.checks_host).lower(),
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.cert_file,
        "ssl_keyfile": tls.key_file,
    }
    return {name: value for name, value in pairs.items() if value is not None}
