"""What a verified token says: whether it is for this gateway and for now, and which principal that makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc.errors import ClaimError, ExpiredTokenError, MissingClaimError
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.domain.principals import Principal, PrincipalKind

LONGEST_NAME = 255
"""Of a subject, in characters, as OpenID Connect has it."""
_REQUIRED = ("iss", "aud", "exp", "sub")
_REASONS = {
    "iss": Reason.WRONG_ISSUER,
    "aud": Reason.WRONG_AUDIENCE,
    "nbf": Reason.NOT_YET_VALID,
    "iat": Reason.NOT_YET_VALID,
}
_OTHER_TOKENS = {
    "typ": {"id", "refresh", "offline", "logout"},  # Keycloak's
    "token_use": {"id", "refresh"},  # Cognito's
}
"""Issuers that tell their tokens apart by a claim, since all have the same header."""
_OF_ID_TOKENS = ("at_hash", "c_hash")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRules:
    """What a token of every caller has to say. `leeway` is how far the issuer's clock and ours may be apart."""

    issuer: str
    audiences: tuple[str, ...]
    leeway: timedelta = timedelta(seconds=30)
    required: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimNames:
    """Which claims make the principal: each the name of a claim, or a path of names with dots between.

    `kinds` has the values that the kind's claim may have; in a list of values, one must name a kind, and only one kind.
    """

    kind: str
    application: str
    account: str
    kinds: Mapping[str, PrincipalKind]


def check_claims(claims: Mapping[str, Any], rules: ClaimRules, *, now: datetime) -> datetime:
    """Return when the token ends, if it is an access token for this gateway, and for now. Raises TokenRefused."""
    options: dict[str, ClaimsOption] = {name: {"essential": True} for name in (*_REQUIRED, *rules.required)}
    options["iss"]["value"] = rules.issuer
    options["aud"]["values"] = list(rules.audiences)
    leeway = int(rules.leeway.total_seconds())
    try:
        JWTClaimsRegistry(int(now.timestamp()), leeway, **options).validate(dict(claims))
    except ExpiredTokenError:
        raise TokenRefused(Reason.EXPIRED) from None
    except MissingClaimError as error:
        raise TokenRefused(Reason.MISSING_CLAIM, claim=error.claim) from None
    except ClaimError as error:
        raise TokenRefused(_REASONS.get(error.claim, Reason.MALFORMED_CLAIM), claim=error.claim) from None
    _require_bearer_access_token(claims)
    return _moment(claims["exp"])


def _require_bearer_access_token(claims: Mapping[str, Any]) -> None:
    stated = {name: str(claims.get(name)).lower() for name in _OTHER_TOKENS}
    if any(stated[name] in others for name, others in _OTHER_TOKENS.items()) or any(
        name in claims for name in _OF_ID_TOKENS
    ):
        raise TokenRefused(Reason.OTHER_PURPOSE)
    if claims.get("cnf") is not None:
        raise TokenRefused(Reason.SENDER_CONSTRAINED)


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # milliseconds, mostly
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim="exp") from None


def principal_of(claims: Mapping[str, Any], *, names: ClaimNames, expires_at: datetime) -> Principal:
    """Return whom checked claims describe. Raises TokenRefused."""
    kind = _kind(_claim(claims, names.kind), names=names)
    application_id = _id(claims, names.application)
    account_id = _id(claims, names.account)
    if not kind.fits(application_id=application_id, account_id=account_id):
        raise TokenRefused(Reason.BOUNDS_DO_NOT_FIT)
    subject = _name(claims["sub"])
    if subject is None:
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim="sub")
    return Principal(
        kind=kind,
        application_id=application_id,
        account_id=account_id,
        id=subject,
        label=_name(claims.get("client_id")) or _name(claims.get("azp")) or subject,
        expires_at=expires_at,
    )


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:  # names that are addresses have dots of their own
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _kind(value: Any, *, names: ClaimNames) -> PrincipalKind:
    values = value if isinstance(value, list) else [value]
    if isinstance(value, str) and names.kind.rpartition(".")[2] == "scope":
        values = value.split()  # RFC 8693: words with spaces between
    kinds = {names.kinds[one] for one in values if isinstance(one, str) and one in names.kinds}
    if len(kinds) > 1:
        raise TokenRefused(Reason.AMBIGUOUS_KIND, claim=names.kind)
    if not kinds:
        raise TokenRefused(Reason.UNKNOWN_KIND, claim=names.kind)
    return kinds.pop()


def _id(claims: Mapping[str, Any], path: str) -> UUID | None:
    value = _claim(claims, path)
    if value is None:
        return None
    try:
        found = UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim=path) from None
    if str(found) != value.lower():  # the other forms that UUID reads
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim=path)
    return found


def _name(value: Any) -> str | None:
    """Return a name that can be stored and shown."""
    fits = isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()
    return value if fits else None
