"""Secrets do not survive redaction, and what is no secret does."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.redaction import MASK, Redactor, is_secret_name, redact

SECRETS = {
    "url password": ("redis://:hunter2hunter2@host:6379/0", "hunter2hunter2"),
    "url password with user": ("postgresql+psycopg://user:pa%40ss@host/db", "pa%40ss"),
    "raw at sign in a url password": ("amqp://user:pa@ss@host//", "pa@ss"),
    "token as url login": ("https://abcdefghij0123456789@host/x", "abcdefghij0123456789"),
    "query": ("GET https://host/x?api_key=topsecret&n=1", "topsecret"),
    "assignment": ("api_key=topsecret, n=1", "topsecret"),
    "json": ('{"password": "two words", "n": 1}', "two words"),
    "json in json": (r'{"body": "{\"client_secret\": \"topsecret\"}"}', "topsecret"),
    "repr": ("{'apiKey': 'topsecret'}", "topsecret"),
    "header": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "cookie": ("Cookie: sid=topsecret; other=alsosecret", "alsosecret"),
    "bearer": ("sent bearer abcdef.ghijkl", "abcdef.ghijkl"),
    "said": ("the password is hunter2", "hunter2"),
    "said with colon": ("access key: topsecret", "topsecret"),
    "openai": ("call failed with sk-proj-abcdefgh12345678", "sk-proj-abcdefgh12345678"),
    "aws id": ("AKIAIOSFODNN7EXAMPLE was refused", "AKIAIOSFODNN7EXAMPLE"),
    "aws secret": ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
    "jwt": ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
    "key block": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    "cut key block": ("-----BEGIN PRIVATE KEY-----\nMIIEow", "MIIEow"),
    "code host": ("ghp_0123456789abcdefABCD", "ghp_0123456789abcdefABCD"),
    "chat": ("xoxb-123456789-abcdef", "xoxb-123456789-abcdef"),
}

HARMLESS = [
    "token_count=12 max_tokens=400 tokens: 7",
    "the token is expired",
    "author=me keyboard=1 monkey=2",
    "risk-averse task-queue desk-1234567",
    "KeyError: 'token'",
    "job 0192f0c4-0000-7000-8000-000000000000 of queue=default ended in state=completed",
    "http://127.0.0.1:8080/livez",
    "basic understanding of things",
]

HOSTILE = [
    "a",
    "a=",
    "://",
    "a://",
    "-----BEGIN PRIVATE KEY-----",
    "eyJaaaaaaa.",
    "a:b@",
    "token is ",
    "sk-",
    '="\\',
]


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_secret_is_taken_out(text, secret):
    """What is a secret by name or by shape is not in the redacted text."""
    redacted = redact(text)
    assert secret not in redacted
    assert MASK in redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text):
    """Text that people need to understand a failure is not touched."""
    assert text == redact(text)


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_redaction_is_stable(text, secret):
    """Redacting twice gives no secret back."""
    assert secret not in redact(redact(text))


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_linear_time(piece):
    """A long text made to upset patterns costs milliseconds, not minutes."""
    started = time.perf_counter()
    redact(piece * (200_000 // len(piece)))
    assert time.perf_counter() - started < 10


def test_known_values_go_whatever_they_look_like():
    """A password from the settings is taken out of any text, the longest first."""
    redactor = Redactor(["plainword", "plainword-and-more", "a"])
    assert f"cannot log in with {MASK} at a host" == redactor.text(
        "cannot log in with plainword-and-more at a host"
    )


def test_nested_values_are_redacted_by_name_and_by_shape():
    """Secrets are found in mappings inside lists, and other values keep their types."""
    value = {"a": [{"db_password": "x", "n": 1}], "url": "redis://:p4ss@h", "flag": True, "raw": b"abc"}
    assert {
        "a": [{"db_password": MASK, "n": 1}],
        "url": f"redis://:{MASK}@h",
        "flag": True,
        "raw": "<3 bytes>",
    } == Redactor().value(value)


def test_bottomless_value_is_cut():
    """A value that contains itself ends, instead of ending us."""
    value: list[object] = []
    value.append(value)
    assert "..." in str(Redactor().value(value))


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "DB-PASSWORD", "OPENAI_API_KEY", "authToken", "x-auth"]
)
def test_secret_names(name):
    """Names that hold secrets by custom are known in every spelling."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "token_count", "author", "key", "monkey", "compass", "tokens"]
)
def test_other_names(name):
    """Names that only look alike are no secrets."""
    assert not is_secret_name(name)


@given(st.text(max_size=300))
def test_any_text_is_survived(text):
    """Redaction never raises, whatever it is given."""
    assert isinstance(redact(text), str)
