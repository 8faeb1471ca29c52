"""What configuration may choose, so that whoever only reads configuration loads nothing that verifies."""

import ipaddress
from urllib.parse import urlsplit

from gateway.domain.principals import PrincipalKind

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""All that can be allowed. Unsigned (none), or signed with what the issuer and others share (HS256), never is."""
KINDS = (PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT)
"""All that a token can stand for: the gateway's own clock has none."""


def checked_address(text: str) -> str:
    """Give the address back if what comes from it can be trusted: https, or the same machine. Raises ValueError."""
    parts = urlsplit(text)
    _ = parts.port  # raises where it is no port
    trusted = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not trusted or not parts.hostname or "@" in parts.netloc or parts.fragment or not text.isprintable():
        raise ValueError(text)
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
