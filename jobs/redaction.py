"""Takes secrets out of what people and machines will read: logs, events, reports, pages (G8).

Two nets, since each has holes: by name (a value that stands under `password`
or `api_key`) and by shape (what looks like a bearer token wherever it stands).
A third one is exact: values that the caller knows to be secret.
Every pattern is linear in the length of the text.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

MASK: Final = "***"
DEEPEST: Final = 16
SHORTEST_KNOWN_SECRET: Final = 4
"""Shorter known values are not searched for: replacing every `a` in a log would help nobody."""

_SECRET_WORDS: Final = frozenset(
    {
        "apikey", "auth", "authorization", "cookie", "credential", "credentials", "passphrase", "passwd",
        "password", "passwords", "pwd", "secret", "secrets", "signature", "token",
    }
)  # fmt: skip
_SECRET_PAIRS: Final = frozenset(
    {("access", "key"), ("account", "key"), ("api", "key"), ("encryption", "key"), ("private", "key"),
     ("session", "id"), ("session", "key"), ("signing", "key")}
)  # fmt: skip
# `token_count=12` and `token_type=bearer` tell nothing, and agents log the first one a lot.
_HARMLESS_AFTER_TOKEN: Final = frozenset(
    {"budget", "count", "counts", "limit", "rate", "type", "url", "usage", "used"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_VALUE = re.compile(r"""\\?"(?:[^"\\\n]|\\(?!")[^\n])*|'(?:[^'\\\n]|\\.)*|[^\s"',;&)}\]]+""")
_NAME_AND_SIGN = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]{1,63})(?P<sign>\\?["']?\s{0,3}[:=](?!//)\s{0,3})"""
)
# "token is expired" stays readable: after "is" only what has a digit or a sign in it is a secret.
_SPOKEN = re.compile(
    r"\b(?P<said>(?:(?:api|access|secret|private)[ _-]key|password|passphrase|secret|token)"
    r"(?:\s{0,3}:\s{1,3}|\s{1,3}is\s{1,3}(?=[^\s.]{0,200}[\d!@#$%^&*_+/=])))[^\s\"',;]{1,4096}",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\b(?P<name>(?:proxy-)?authorization|(?:set-)?cookie|x-api-key)"
    r"(?P<sign>[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\r\n\"']+",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"\b(?P<scheme>bearer|basic(?=\s+[A-Za-z0-9+/]{4,4096}=))\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE
)
_URL_LOGIN = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@\"'<>]*):[^\s/\"'<>]*@")
_URL_TOKEN = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]{1,30}://)[^\s/:@\"'<>]{20,}@")
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:(?!-----END).)*"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?",
    re.DOTALL,
)
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{6,}\.[\w-]{4,}\.[\w-]*"  # JSON web tokens
    r"|(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|sk-[\w-]{8,}"  # OpenAI, Anthropic and many others
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}"  # Stripe
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"  # code hosts
    r"|xox[abeoprs]-[A-Za-z0-9-]{8,}"  # Slack
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}"  # Google
    r"|hf_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}"
    r")"
)


class Redactor:
    """Replaces secrets by asterisks, in texts and in nested plain values."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Take also these exact values out: the passwords and keys from the settings."""
        worthwhile = sorted(
            {value for value in known if len(value) >= SHORTEST_KNOWN_SECRET}, key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, worthwhile))) if worthwhile else None

    def text(self, text: str) -> str:
        """Return the text without what is, or looks like, a secret."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = _KEY_BLOCK.sub(MASK, text)
        text = _URL_LOGIN.sub(rf"\g<start>:{MASK}@", text)
        text = _URL_TOKEN.sub(rf"\g<start>{MASK}@", text)
        text = _HEADER.sub(rf"\g<name>\g<sign>{MASK}", text)
        text = _SCHEME.sub(rf"\g<scheme> {MASK}", text)
        text = _mask_named(text)
        text = _SPOKEN.sub(rf"\g<said>{MASK}", text)
        return _SHAPES.sub(MASK, text)

    def value(self, value: object, *, name: str = "", depth: int = 0) -> object:
        """Return plain data without secrets; `name` is what the value stands under.

        Mappings, lists, tuples, sets and texts are copied; bytes lose their content; other
        objects pass unchanged, so a renderer must turn them into text before it asks here.
        """
        if name and value not in (None, "", False, True) and is_secret_name(name):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value)} bytes>"
        return self._nested(value, depth + 1) if depth < DEEPEST else "..."

    def _nested(self, value: object, depth: int) -> object:
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {key: self.value(item, name=str(key), depth=depth) for key, item in items}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(item, depth=depth) for item in cast("Iterable[object]", value)]
        return value


def is_secret_name(name: str) -> bool:
    """Tell whether what stands under this name is a secret by custom.

    Reads words, not letters: `api_key`, `apiKey`, `DB-PASSWORD` and `auth_token` are,
    `max_tokens`, `token_count`, `author` and `keyboard` are not.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in _SECRET_WORDS and not (word == "token" and following in _HARMLESS_AFTER_TOKEN):
            return True
        if (word, following) in _SECRET_PAIRS:
            return True
    return False


def _mask_named(text: str) -> str:
    kept: list[str] = []
    end = 0
    for match in _NAME_AND_SIGN.finditer(text):
        if match.start() < end or not is_secret_name(match["name"]):
            continue
        value = _VALUE.match(text, match.end())
        if value is None:
            continue
        quote = value[0][: 2 if value[0].startswith("\\") else 1]
        kept += [text[end : match.end()], quote if quote[-1] in "\"'" else "", MASK]
        end = value.end()
    return "".join((*kept, text[end:])) if kept else text


_default: Final = Redactor()


def redact(text: str) -> str:
    """Return the text without what looks like a secret, knowing no exact values."""
    return _default.text(text)
