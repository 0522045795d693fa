"""Addresses without their secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.settings.urls import MASK, masked, with_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:1/0", f"redis://user:{MASK}@host:1/0"),
        ("redis://:secret@host/0", f"redis://:{MASK}@host/0"),
        ("postgresql://u:a%40b@h/d?sslmode=x", f"postgresql://u:{MASK}@h/d?sslmode=x"),
        ("postgresql://u@/d?password=secret&host=/run", f"postgresql://u@/d?password={MASK}&host=/run"),
        ("sqlite:////srv/jobs.db", "sqlite:////srv/jobs.db"),
        ("redis+socket://:secret@/run/x.sock", f"redis+socket://:{MASK}@/run/x.sock"),
        ("redis+socket:///run/x.sock", "redis+socket:///run/x.sock"),
        ("amqp://host//", "amqp://host//"),
        ("redis://[broken", MASK),
    ],
)
def test_the_password_is_covered(url, shown):
    """All but the password can be read."""
    assert shown == masked(url)


@given(st.text(min_size=12, alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_no_password_gets_through(password):
    """Whatever a password is made of, a masked address does not hold it."""
    url = with_password("redis://user:old@host:6379/0", password)
    assert "redis://user:" + MASK + "@host:6379/0" == masked(url)
