from datetime import datetime, timedelta
from uuid import UUID

import pytest

from gateway.domain.principals import Principal, PrincipalKind
from tests.domain.examples import ACCOUNT_ID, APPLICATION_ID, NOW

BOUND_TO_BOTH = Principal(kind=PrincipalKind.APPLICATION, application_id=APPLICATION_ID, account_id=ACCOUNT_ID)


def test_principals_of_different_credentials_may_have_equal_bounds() -> None:
    bounds = (PrincipalKind.APPLICATION, APPLICATION_ID, ACCOUNT_ID)
    other = Principal(
        kind=PrincipalKind.APPLICATION,
        application_id=APPLICATION_ID,
        account_id=ACCOUNT_ID,
        id="key 2",
        label="two",
        expires_at=NOW,
    )
    assert BOUND_TO_BOTH.bounds == other.bounds == bounds


@pytest.mark.parametrize(
    ("kind", "unbound", "to_application", "to_account", "to_both"),
    [
        (PrincipalKind.PLATFORM, True, False, False, False),
        (PrincipalKind.APPLICATION, False, True, False, True),
        (PrincipalKind.ACCOUNT, False, False, True, False),
        (PrincipalKind.SYSTEM, False, False, False, False),
    ],
)
def test_each_kind_of_credential_has_its_bounds(
    kind: PrincipalKind, *, unbound: bool, to_application: bool, to_account: bool, to_both: bool
) -> None:
    def fits(application_id: UUID | None, account_id: UUID | None) -> bool:
        return kind.fits(application_id=application_id, account_id=account_id)

    assert fits(None, None) is unbound
    assert fits(APPLICATION_ID, None) is to_application
    assert fits(None, ACCOUNT_ID) is to_account
    assert fits(APPLICATION_ID, ACCOUNT_ID) is to_both


@pytest.mark.parametrize(
    ("expires_at", "has_expired"),
    [(None, False), (NOW + timedelta(microseconds=1), False), (NOW, True), (NOW - timedelta(days=1), True)],
)
def test_a_principal_expires_with_its_credential(expires_at: datetime | None, *, has_expired: bool) -> None:
    principal = Principal(kind=PrincipalKind.PLATFORM, expires_at=expires_at)
    assert principal.has_expired(now=NOW) is has_expired
