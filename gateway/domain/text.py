"""The rules for texts from callers: names, labels, messages, slugs, URLs and ids."""

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.domain.errors import BadUserInput
from gateway.domain.input_problems import BrokenRule, InputProblemCode

FEWEST_SLUG_CHARACTERS = 2
MOST_SLUG_CHARACTERS = 63
"""The length of a host name's label (RFC 1035), so that a slug can be one."""
MOST_URL_CHARACTERS = 2048
MOST_MESSAGE_CHARACTERS = 1000

UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""The one accepted form, in either case: `UUID` itself also takes braces, underscores and digits of other scripts."""
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_URL_CHARACTERS = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""The characters of a URL (RFC 3986); others are percent-encoded, a host name is in its ASCII form."""


def has_lone_surrogate(text: str) -> bool:
    """Return whether the text contains half of a surrogate pair, which neither UTF-8 nor Postgres can represent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def sha256_of(text: str) -> bytes:
    """Return the digest of a text, which may be anything that a client sends."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def text_problems(value: str, *, most: int, may_be_blank: bool = False) -> Iterator[BrokenRule]:
    """Yield why the value is not a text of at most `most` characters that Postgres can store."""
    if len(value) > most:
        yield BrokenRule(InputProblemCode.TOO_LONG, f"Has {len(value)} characters; at most {most} are allowed.", most)
    if not may_be_blank and not value.strip():
        yield BrokenRule(InputProblemCode.BLANK, "Must not be blank.")
    yield from unstorable_characters(value)


def unstorable_characters(value: str) -> Iterator[BrokenRule]:
    """Yield what UTF-8 or Postgres' text cannot represent."""
    if "\0" in value:
        yield BrokenRule(InputProblemCode.NOT_STORABLE, "Has the character U+0000, which cannot be stored.")
    if not value.isascii() and has_lone_surrogate(value):
        yield BrokenRule(InputProblemCode.NOT_STORABLE, "Has half of a surrogate pair, which is no character.")


def checked_text(value: str, *, name: str, most: int, may_be_blank: bool = False) -> str:
    """Return a value of a query's argument unchanged. Raises BadUserInput where it is no such text."""
    for rule in text_problems(value, most=most, may_be_blank=may_be_blank):
        raise BadUserInput(f"{name}: {rule.message}", argument=name)
    return value


def is_slug(value: str) -> bool:
    """Return whether the value is lower-case ASCII letters and digits, with single hyphens between."""
    return FEWEST_SLUG_CHARACTERS <= len(value) <= MOST_SLUG_CHARACTERS and _SLUG.fullmatch(value) is not None


def slug_problems(value: str) -> Iterator[BrokenRule]:
    """Yield why the value is not a slug."""
    if len(value) < FEWEST_SLUG_CHARACTERS:
        message = f"Must have at least {FEWEST_SLUG_CHARACTERS} characters."
        yield BrokenRule(InputProblemCode.TOO_SHORT, message, FEWEST_SLUG_CHARACTERS)
    yield from text_problems(value, most=MOST_SLUG_CHARACTERS, may_be_blank=True)
    if value and not _SLUG.fullmatch(value):
        message = "Must be lower-case letters (a to z) and digits, with single hyphens between them."
        yield BrokenRule(InputProblemCode.MALFORMED, message)


def url_problems(value: str) -> Iterator[BrokenRule]:
    """Yield why the value is not an absolute http or https URL without credentials."""
    yield from text_problems(value, most=MOST_URL_CHARACTERS, may_be_blank=True)
    if not _URL_CHARACTERS.fullmatch(value) or not _is_web_address(value):
        message = (
            "Must be an absolute URL that starts with https:// or http://, without credentials, of the characters that"
            " URLs may have."
        )
        yield BrokenRule(InputProblemCode.MALFORMED, message)


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError where it is no port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
