"""Checks the claims of a verified token, and makes the principal that they describe."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc.errors import ClaimError, ExpiredTokenError, MissingClaimError
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.domain.principals import Principal, PrincipalKind

MAX_NAME_CHARACTERS = 255
"""Of a subject (OpenID Connect Core, section 2)."""
LEEWAY = timedelta(seconds=30)
"""How far the issuer's clock and ours may be apart."""
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
"""Claims by which issuers mark tokens that are no access tokens, where the header does not."""
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRules:
    """What a token of every caller has to say."""

    issuer: str
    audiences: tuple[str, ...]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimNames:
    """The claims with the principal's kind and bounds: each a name, or a path of names with dots between.

    `kinds` maps values of the kind's claim to kinds. Where the claim is a list, its values have to mean exactly one.
    """

    kind: str
    application: str
    account: str
    kinds: Mapping[str, PrincipalKind]


def check_claims(claims: Mapping[str, Any], rules: ClaimRules, *, now: datetime) -> datetime:
    """Check that an access token is for this gateway, and for now; return when it ends. Raises TokenRefused."""
    options: dict[str, ClaimsOption] = {name: {"essential": True} for name in (*_REQUIRED, *rules.required)}
    options["iss"]["value"] = rules.issuer
    options["aud"]["values"] = list(rules.audiences)
    try:
        JWTClaimsRegistry(int(now.timestamp()), int(LEEWAY.total_seconds()), **options).validate(dict(claims))
    except ExpiredTokenError:
        raise TokenRefused(Reason.EXPIRED) from None
    except MissingClaimError as error:
        raise TokenRefused(Reason.MISSING_CLAIM, claim=error.claim) from None
    except ClaimError as error:
        raise TokenRefused(_REASONS.get(error.claim, Reason.MALFORMED_CLAIM), claim=error.claim) from None
    _require_bearer_access_token(claims)
    try:
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, OverflowError, OSError):  # mostly milliseconds
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim="exp") from None


def _require_bearer_access_token(claims: Mapping[str, Any]) -> None:
    stated = {name: str(claims.get(name)).lower() for name in _OTHER_TOKENS}
    if any(stated[name] in others for name, others in _OTHER_TOKENS.items()) or any(
        name in claims for name in _ID_TOKEN_CLAIMS
    ):
        raise TokenRefused(Reason.OTHER_PURPOSE)
    if claims.get("cnf") is not None:
        raise TokenRefused(Reason.SENDER_CONSTRAINED)


def principal_of(claims: Mapping[str, Any], *, names: ClaimNames, expires_at: datetime) -> Principal:
    """Return the principal that checked claims describe. Raises TokenRefused."""
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
    if path in claims:  # a name that is a URL has dots of its own
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _kind(value: Any, *, names: ClaimNames) -> PrincipalKind:
    values = value if isinstance(value, list) else [value]
    if isinstance(value, str) and names.kind.rpartition(".")[2] == "scope":
        values = value.split()  # RFC 8693: values with spaces between
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
    if str(found) != value.lower():  # other spellings that UUID accepts
        raise TokenRefused(Reason.MALFORMED_CLAIM, claim=path)
    return found


def _name(value: Any) -> str | None:
    """Return the value if it can be stored and shown as a name."""
    fits = isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()
    return value if fits else None
