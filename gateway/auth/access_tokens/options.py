"""What settings may choose. It stands apart so that reading the settings imports nothing that verifies tokens."""

import ipaddress
from urllib.parse import urlsplit

from gateway.domain.principals import PrincipalKind

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""All that can be allowed. Unsigned tokens (none) and those with a shared secret (HS256) never are."""
KINDS = (PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT)
"""The kinds of callers that a token can be for."""


def trusted_url(text: str) -> str:
    """Return the address if answers from it can be trusted: https, or http on this machine. Raises ValueError."""
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
