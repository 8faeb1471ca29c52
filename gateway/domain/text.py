"""Checks of texts from callers: names, labels, messages, slugs and URLs."""

import hashlib
import re
from urllib.parse import urlsplit

from gateway.domain.errors import BadUserInput

FEWEST_SLUG_CHARACTERS = 2
MOST_SLUG_CHARACTERS = 63
"""The length of a host name's label (RFC 1035), so that a slug can be one."""
MOST_URL_CHARACTERS = 2048
MOST_MESSAGE_CHARACTERS = 1000

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


def checked_text(value: str, *, name: str, most: int, may_be_blank: bool = False) -> str:
    """Return the value unchanged, if it has at most `most` characters and Postgres can store it.

    `name` is the input's, for the message. Raises BadUserInput.
    """
    if len(value) > most:
        raise BadUserInput(f"{name} has {len(value)} characters; at most {most} are allowed.")
    if not may_be_blank and not value.strip():
        raise BadUserInput(f"{name} is blank.")
    if "\0" in value:
        raise BadUserInput(f"{name} has the character U+0000, which cannot be stored.")
    if has_lone_surrogate(value):
        raise BadUserInput(f"{name} has half of a surrogate pair, which is no character.")
    return value


def checked_message(value: str | None) -> str | None:
    """Return an optional message of at most MOST_MESSAGE_CHARACTERS. Raises BadUserInput."""
    if value is None:
        return None
    return checked_text(value, name="message", most=MOST_MESSAGE_CHARACTERS, may_be_blank=True)


def is_slug(value: str) -> bool:
    """Return whether the value is lower-case ASCII letters and digits, with single hyphens between."""
    return FEWEST_SLUG_CHARACTERS <= len(value) <= MOST_SLUG_CHARACTERS and _SLUG.fullmatch(value) is not None


def checked_slug(value: str, *, name: str) -> str:
    """Return the value if it is a slug. Raises BadUserInput."""
    if not is_slug(value):
        raise BadUserInput(
            f"{name} must be {FEWEST_SLUG_CHARACTERS} to {MOST_SLUG_CHARACTERS} lower-case letters (a to z) and digits,"
            " with single hyphens between them."
        )
    return value


def checked_url(value: str, *, name: str) -> str:
    """Return the value if it is an absolute http or https URL without credentials. Raises BadUserInput."""
    if len(value) > MOST_URL_CHARACTERS or not _URL_CHARACTERS.fullmatch(value) or not _is_web_address(value):
        raise BadUserInput(
            f"{name} must be an absolute URL that starts with https:// or http://, without credentials,"
            f" of at most {MOST_URL_CHARACTERS} of the characters that URLs may have."
        )
    return value


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError where it is no port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
