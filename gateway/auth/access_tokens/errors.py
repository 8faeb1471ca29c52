"""Why a token is refused. Only the log says it: the caller learns no more than that it was refused."""

import enum


class Reason(enum.Enum):
    """What is wrong with a token, as it stands in the log."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    CRITICAL_HEADER = "critical_header"
    WRONG_TYPE = "wrong_type"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SIGNATURE = "wrong_signature"
    MISSING_CLAIM = "missing_claim"
    MALFORMED_CLAIM = "malformed_claim"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    OTHER_PURPOSE = "other_purpose"
    """An ID or refresh token, by its own claims."""
    SENDER_CONSTRAINED = "sender_constrained"
    """Bound to a key of its client (`cnf`): using it as a bearer token proves nothing about that key."""
    UNKNOWN_KIND = "unknown_kind"
    AMBIGUOUS_KIND = "ambiguous_kind"
    BOUNDS_DO_NOT_FIT = "bounds_do_not_fit"
    """Its kind of caller needs an application or account that is missing, or may not have one that is there."""
    ISSUER_UNAVAILABLE = "issuer_unavailable"


class TokenRefused(Exception):
    """This token is not accepted."""

    def __init__(self, reason: Reason, *, claim: str | None = None) -> None:
        super().__init__(f"{reason.value} claim={claim}" if claim else reason.value)
        self.reason = reason
