"""Results as JSON text: quickly where all is well, and safely where it is not.

orjson refuses what GraphQL may well answer: half of a surrogate pair in a string that echoes its caller, integers
beyond 64 bits, more than 254 levels. Such an answer is rare, and takes a slower way instead of becoming an error.
"""

import json
from decimal import Decimal
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8; `orjson.Fragment`s in it are embedded as they are.

    Raises TypeError for what has no JSON at all, and RecursionError where it is nested beyond reason.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return _encoded_slowly(value)


def _encoded_slowly(value: Any) -> bytes:
    match value:
        case dict():
            members = (_encoded_string(str(key)) + b":" + _encoded_slowly(member) for key, member in value.items())
            return b"{" + b",".join(members) + b"}"
        case list() | tuple():
            return b"[" + b",".join(map(_encoded_slowly, value)) + b"]"
        case str():
            return _encoded_string(value)
        case int():
            return json.dumps(value).encode()
        case Decimal():
            return str(value).encode()
        case _:
            return orjson.dumps(value)


def _encoded_string(value: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate: JSON can spell it, in ASCII
        return json.dumps(value).encode()
