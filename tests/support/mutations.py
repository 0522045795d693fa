"""Messages as nobody would send them, made from a seed: each run with the same one makes the same.

A draft is a valid message in parts. Mutations change parts of it, to values of
other types, sizes and depths; `redis_bytes` then writes it as a producer on
Redis would, with mutations of the envelope, and `amqp_message` for RabbitMQ.
"""

import base64
import bz2
import functools
import json
import lzma
import pickle  # noqa: TID251 -- to be refused
import random
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import amqp

from holdfast.tests.support.messages import INTAKE, PLAIN, RINGS

_QUEUES: Final = (RINGS, RINGS, INTAKE, INTAKE, PLAIN)
_DEEP: Final = 3000
_HUGE: Final = 200_000
_BOMB_BYTES: Final = 64 * 1024 * 1024
_SMALL_FRAME: Final = 100_000
"""Characters that RabbitMQ takes as headers: they have to fit into one frame."""

Parts = dict[str, Any]


@dataclass
class Draft:
    """A message in parts; `body` is JSON until something makes bytes of it."""

    kind: str
    headers: Parts
    payload: Any
    queue: str
    properties: Parts = field(default_factory=dict[str, Any])
    content_type: Any = "application/json"
    content_encoding: Any = "utf-8"
    body: bytes | None = None

    def bytes(self) -> bytes:
        """Return the body as it goes over the wire."""
        return (
            self.body if self.body is not None else json.dumps(self.payload).encode("utf-8", "surrogatepass")
        )


@dataclass(frozen=True)
class Sent:
    """What goes out: to which queue, and what it was meant to be."""

    kind: str
    queue: str
    raw: bytes


class Fuzzer:
    """Makes drafts from a seed, for one ledger."""

    def __init__(self, seed: int, ledger_id: str) -> None:
        self._chance = random.Random(seed)  # noqa: S311 -- the same seed has to give the same messages
        self._ledger_id = ledger_id
        self._serial = 0

    def redis(self) -> Sent:
        """Make the bytes of one message for Redis."""
        if self._chance.random() < 0.2:
            return Sent("garbage", self._chance.choice((RINGS, INTAKE)), self._garbage())
        draft = self._draft()
        text = json.dumps(self._envelope(draft)).encode("utf-8", "surrogatepass")
        if self._chance.random() < 0.1:
            draft.kind, text = f"{draft.kind}, damaged", self._damaged(text)
        return Sent(draft.kind, draft.queue, text)

    def amqp(self) -> tuple[str, str, amqp.Message]:
        """Make one message for RabbitMQ: what it was meant to be, its queue, and itself."""
        draft = self._draft()
        properties: Parts = {
            "content_type": _short(draft.content_type),
            "content_encoding": _short(draft.content_encoding),
            "correlation_id": _short(draft.properties.get("correlation_id")),
            "application_headers": _table(draft.headers),
        }
        if self._chance.random() < 0.1:
            name = self._chance.choice(
                ["content_type", "content_encoding", "correlation_id", "reply_to", "type"]
            )
            properties[name] = self._chance.randbytes(9) + b"\xff"
        return draft.kind, draft.queue, amqp.Message(draft.bytes(), **properties)

    def _draft(self) -> Draft:
        make = self._chance.choice([self._foreign, self._foreign, self._plain, self._ring, self._ring])
        draft = make()
        for _ in range(self._chance.choice([0, 1, 1, 1, 2, 3])):
            self._chance.choice(
                [self._change_header, self._change_header, self._change_body, self._change_type]
            )(draft)
        return draft

    # Valid beginnings

    def _foreign(self) -> Draft:
        headers = self._headers("sample.echo")
        args, kwargs = ([], {"text": f"number {self._chance.randrange(500)}"})
        if self._chance.random() < 0.3:
            headers["task"], args, kwargs = "sample.add", [self._serial, 1], {}
        options = {
            "eta": ["2020-01-01T00:00:00", "2020-01-01T00:00:00+02:00", None],
            "expires": ["2100-01-01T00:00:00", None],
            "timelimit": [[30, 20], [None, 5.5], [None, None]],
            "group": [str(uuid.UUID(int=self._serial)), None],
        }
        embeds: Parts = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        if self._chance.random() < 0.1:
            embeds[self._chance.choice(list(embeds))] = [{"task": "sample.echo"}]
        if self._chance.random() < 0.1:
            headers["id"] = f"again-{self._chance.randrange(5)}"
        for name, values in options.items():
            if self._chance.random() < 0.3:
                headers[name] = self._chance.choice(values)
        queue = self._chance.choice((RINGS, INTAKE, INTAKE, INTAKE))
        return Draft("foreign", headers, [args, kwargs, embeds], queue, self._properties(headers))

    def _plain(self) -> Draft:
        headers = self._headers("plain.multiply")
        queue = self._chance.choice(_QUEUES)
        return Draft("plain", headers, [[self._serial, 2], {}, {}], queue, self._properties(headers))

    def _ring(self) -> Draft:
        ledger = self._chance.choice([self._ledger_id, self._ledger_id, "another-ledger"])
        headers = {**self._headers("sample.echo"), "holdfast": {"ring": 1, "ledger": ledger}}
        return Draft("ring", headers, [[], {}, {}], self._chance.choice(_QUEUES), self._properties(headers))

    def _headers(self, task: str) -> Parts:
        self._serial += 1
        job_id = self._uuid()
        return {
            "lang": "py", "task": task, "id": job_id, "root_id": job_id, "parent_id": None, "group": None,
            "retries": 0, "eta": None, "expires": None, "timelimit": [None, None], "argsrepr": "()",
            "kwargsrepr": "{}", "origin": "fuzz", "ignore_result": False, "shadow": None,
        }  # fmt: skip

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128)))

    def _properties(self, headers: Mapping[str, Any]) -> Parts:
        return {"correlation_id": headers["id"], "delivery_mode": 2, "priority": self._chance.randrange(10)}

    # Mutations

    def _change_header(self, draft: Draft) -> None:
        name = self._chance.choice([*draft.headers, "task", "id", "compression", "stamps", "stamped_headers"])
        if self._chance.random() < 0.2:
            draft.headers.pop(name, None)
        else:
            draft.headers[name] = self._wrong()
        strange = draft.headers.get("id")
        if name == "id" and isinstance(strange, str):
            # No two messages with the same: only then does the log say which one was dropped.
            draft.headers["id"] = f"{strange}{self._serial}"

    def _change_type(self, draft: Draft) -> None:
        types = [
            None, "", "text/plain", "application/x-python-serialize", "application/x-yaml",
            "application/data", "application/x-msgpack", "text/weird", "APPLICATION/JSON",
            "application/json; charset=utf-8", "ü",
        ]  # fmt: skip
        encodings = [None, "", "binary", "latin-1", "utf-16", "rot13", "no-such-encoding", "base64", "idna"]
        if self._chance.random() < 0.5:
            draft.content_type = self._chance.choice(types)
        else:
            draft.content_encoding = self._chance.choice(encodings)

    def _change_body(self, draft: Draft) -> None:
        change: Callable[[Draft], None] = self._chance.choice(
            [
                self._wrong_payload,
                self._wrong_payload,
                self._wrong_argument,
                self._cut_body,
                self._strange_body,
                self._compressed,
            ]
        )
        change(draft)

    def _wrong_payload(self, draft: Draft) -> None:
        place = self._chance.randrange(5)
        if place < 3 and isinstance(draft.payload, list) and len(draft.payload) == 3:
            draft.payload[place] = self._wrong()
        else:
            draft.payload = self._wrong()

    def _wrong_argument(self, draft: Draft) -> None:
        draft.payload = [[self._wrong()], {"text": self._wrong(), self._text(): self._wrong()}, {}]

    def _cut_body(self, draft: Draft) -> None:
        whole = draft.bytes()
        draft.body = whole[: self._chance.randrange(len(whole) + 1)]

    def _strange_body(self, draft: Draft) -> None:
        draft.body = self._chance.choice(
            [
                b"",
                b"\xff\xfe\x00\x01",
                b"nonsense",
                b"null",
                b"[" * _DEEP,
                b"[" * 900 + b"]" * 900,
                b'[[], {"text": "a", "text": "b"}, {}]',
                b"[[], {}, NaN]",
                b"[[1e999], {}, {}]",
                b"[[" + b"9" * 5000 + b"], {}, {}]",
                pickle.dumps(["x"]),
                b"!!python/object:os.system ['true']",
                b'[[], {"text": "\\ud800"}, {}]',
                b'[[], {"text": "\\u0000"}, {}]',
                '[[], {"text": "ü"}, {}]'.encode("latin-1"),
                self._chance.randbytes(50),
                b'[[{"__type__": "decimal", "__value__": "1e999999"}], {}, {}]',
                b'[[{"__type__": "uuid", "__value__": {"hex": 7}}], {}, {}]',
                b'[[{"__type__": ["x"], "__value__": 1}], {}, {}]',
                b'[[{"__type__": "datetime", "__value__": "2020-01-01"}], {}, {}]',
            ]
        )

    def _compressed(self, draft: Draft) -> None:
        packers: list[tuple[Any, Callable[[bytes], bytes]]] = [
            ("application/x-gzip", zlib.compress), ("gzip", zlib.compress),
            ("application/x-bz2", bz2.compress),
            ("application/x-lzma", lzma.compress), ("application/x-gzip", lambda data: data),
            ("application/x-gzip", lambda data: zlib.compress(data)[:-5]), ("no-such-thing", zlib.compress),
            (["gzip"], zlib.compress), ("application/x-gzip", lambda _: _bomb()),
        ]  # fmt: skip
        draft.headers["compression"], pack = self._chance.choice(packers)
        draft.body = pack(draft.bytes())

    def _wrong(self, depth: int = 0) -> Any:
        scalars: list[Any] = [
            None, True, False, 0, -1, 2**31, 2**63 - 1, 1.5, -0.0, 1e300, "", "x", "\0", "\ud800", " ",
            "é" * 40,
            "x" * 300, "../../etc", "2020-13-45", "0001-01-01T00:00:00+23:59", "%s%n", "\x1b[2J", "null",
            "sample.echo", "plain.multiply", "nobody.knows", "1970-01-01",
        ]  # fmt: skip
        kind = self._chance.random()
        if kind < 0.7 or depth > 2:
            return self._chance.choice(scalars)
        if kind < 0.8:
            return [self._wrong(depth + 1) for _ in range(self._chance.randrange(4))]
        if kind < 0.9:
            return {self._text(): self._wrong(depth + 1) for _ in range(self._chance.randrange(4))}
        if kind < 0.95:
            return _nested(self._chance.choice([70, 400]))
        return "y" * self._chance.choice([5000, _HUGE])

    def _text(self) -> str:
        return self._chance.choice(
            ["text", "left", "right", "", "\0", "__type__", "args", "ring", "ü", "x" * 300]
        )

    # Redis only: the envelope, and bytes that are none

    def _envelope(self, draft: Draft) -> Any:
        envelope: Parts = {
            "body": base64.b64encode(draft.bytes()).decode("ascii"),
            "content-encoding": draft.content_encoding,
            "content-type": draft.content_type,
            "headers": draft.headers,
            "properties": {
                **draft.properties,
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": draft.queue},
                "delivery_tag": self._uuid(),
            },
        }
        if self._chance.random() < 0.25:
            draft.kind += ", bad envelope"
            self._change_envelope(envelope)
        return envelope

    def _change_envelope(self, envelope: Parts) -> None:
        place = self._chance.choice(
            [envelope, envelope["properties"], envelope["properties"]["delivery_info"]]
        )
        name = self._chance.choice(list(place))
        if self._chance.random() < 0.3:
            del place[name]
        else:
            place[name] = self._wrong()

    def _damaged(self, text: bytes) -> bytes:
        place = self._chance.randrange(len(text))
        return self._chance.choice(
            [
                text[:place],
                text[:place] + self._chance.randbytes(3) + text[place:],
                text[:place] + text[place + 1 :],
                text[:-1] + b', "headers": {"task": "nobody.knows", "id": "doubled"}}',
                text * 2,
            ]
        )

    def _garbage(self) -> bytes:
        return self._chance.choice(
            [
                self._chance.randbytes(self._chance.randrange(200)),
                b"",
                b"{",
                b"[]",
                b"{}",
                b"42",
                b'"x"',
                b"null",
                b"[" * _DEEP,
                b'{"a":' * _DEEP,
                b"\xff" * 9,
                b"x" * _HUGE,
                b"x" * (2 * 1024 * 1024 + 1),
                b'{"properties": {"delivery_tag": "t", "delivery_info": {}}}',
                b"NaN",
                b"9" * 5000,
                pickle.dumps({}),
                json.dumps(self._wrong()).encode("utf-8", "surrogatepass"),
                b"\0" * 50,
            ]
        )


def _nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


@functools.cache
def _bomb() -> bytes:
    return zlib.compress(b"0" * _BOMB_BYTES, 9)


def _short(value: Any) -> Any:
    return value if value is None else str(value).encode("utf-8", "replace")[:255]


def _table(value: Any) -> Any:
    """Return what fits into one of AMQP's tables and one frame."""
    return {
        str(name).encode("utf-8", "replace")[:100]: _cell(part)
        for name, part in value.items()
        if len(json.dumps(part)) < _SMALL_FRAME
    }


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict):
        return _table(value)
    if isinstance(value, list):
        return [_cell(part) for part in value]
    return value
