"""Tags: a caller's own words on a job, by which people find it again."""

from collections.abc import Iterable
from typing import Final

MOST_TAGS: Final = 16
LONGEST_TAG: Final = 64
TAG_RULE: Final = (
    f"1 to {LONGEST_TAG} printable characters without a comma, and without a space at either end"
)


def is_tag(text: object) -> bool:
    """Tell whether a text may be a tag; whatever is no text may not."""
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_TAG:
        return False
    return text.isprintable() and text == text.strip() and "," not in text


def tags_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of a job, each once, in their order. Raises ValueError that says what is wrong."""
    if isinstance(texts, str):
        raise ValueError("tags is a text, and must be a list")  # noqa: TRY004 -- one kind of error for all
    given = tuple(texts)
    for tag in given:
        if not is_tag(tag):
            raise ValueError(f"{tag!r:.100} is no tag: {TAG_RULE}")
    tags = tuple(dict.fromkeys(given))
    if len(tags) > MOST_TAGS:
        raise ValueError(f"{len(tags)} tags are more than {MOST_TAGS}")
    return tags
