import pytest

from gateway.domain.principals import Principal, PrincipalKind
from tests.domain.examples import ACCOUNT_ID, APPLICATION_ID, CALLERS, OTHER_ID

BOUND_TO_BOTH = Principal(kind=PrincipalKind.APPLICATION, application_id=APPLICATION_ID, account_id=ACCOUNT_ID)


@pytest.mark.parametrize(
    ("principal", "own", "other_application", "other_account"),
    [
        (CALLERS[PrincipalKind.PLATFORM], True, True, True),
        (CALLERS[PrincipalKind.APPLICATION], True, False, True),
        (CALLERS[PrincipalKind.ACCOUNT], True, True, False),
        (BOUND_TO_BOTH, True, False, False),
    ],
)
def test_a_row_is_visible_when_it_matches_every_bound(
    principal: Principal, *, own: bool, other_application: bool, other_account: bool
) -> None:
    assert principal.sees(application_id=APPLICATION_ID, account_id=ACCOUNT_ID) is own
    assert principal.sees(application_id=OTHER_ID, account_id=ACCOUNT_ID) is other_application
    assert principal.sees(application_id=APPLICATION_ID, account_id=OTHER_ID) is other_account


def test_callers_with_equal_bounds_are_alike_whatever_their_credential() -> None:
    bounds = (PrincipalKind.APPLICATION, APPLICATION_ID, ACCOUNT_ID)
    other = Principal(
        kind=PrincipalKind.APPLICATION, application_id=APPLICATION_ID, account_id=ACCOUNT_ID, id="key 2", label="two"
    )
    assert BOUND_TO_BOTH.bounds == other.bounds == bounds
