"""What each kind of caller sees: rows, applications, metadata, events, and lists."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.errors import Forbidden
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.events import EventKind
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import AccountFilter, ApplicationFilter, InstallationFilter
from gateway.domain.principals import Principal, PrincipalKind
from gateway.usecases.visibility import (
    reads_metadata,
    sees,
    sees_application,
    visible_accounts,
    visible_applications,
    visible_events,
    visible_installation,
    visible_installations,
)
from tests.domain.examples import (
    ACCOUNT_ID,
    APPLICATION_ID,
    CALLERS,
    INSTALLATION_ID,
    OTHER_ID,
    an_application,
    an_installation,
)

PLATFORM, APPLICATION, ACCOUNT, SYSTEM = (
    PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT, PrincipalKind.SYSTEM,
)  # fmt: skip
BOUND_TO_BOTH = Principal(kind=APPLICATION, application_id=APPLICATION_ID, account_id=ACCOUNT_ID)


@pytest.mark.parametrize(
    ("principal", "own", "other_application", "other_account"),
    [
        (CALLERS[PLATFORM], True, True, True),
        (CALLERS[APPLICATION], True, False, True),
        (CALLERS[ACCOUNT], True, True, False),
        (BOUND_TO_BOTH, True, False, False),
    ],
)
def test_a_row_is_visible_when_it_matches_every_bound(
    principal: Principal, *, own: bool, other_application: bool, other_account: bool
) -> None:
    assert sees(principal, application_id=APPLICATION_ID, account_id=ACCOUNT_ID) is own
    assert sees(principal, application_id=OTHER_ID, account_id=ACCOUNT_ID) is other_application
    assert sees(principal, application_id=APPLICATION_ID, account_id=OTHER_ID) is other_account


def test_metadata_is_read_by_everybody_but_accounts() -> None:
    assert {kind: reads_metadata(CALLERS[kind]) for kind in PrincipalKind} == {
        PLATFORM: True,
        APPLICATION: True,
        ACCOUNT: False,
        SYSTEM: True,
    }


OF_OTHERS = EventFilter(account_ids=frozenset({OTHER_ID}))
STRANGER = Principal(kind=APPLICATION, application_id=OTHER_ID)


@pytest.mark.parametrize(
    ("principal", "listed", "installed", "seen"),
    [
        (CALLERS[PLATFORM], False, False, True),
        (CALLERS[SYSTEM], False, False, True),
        (CALLERS[APPLICATION], False, False, True),
        (STRANGER, True, False, True),
        (STRANGER, False, True, False),
        (CALLERS[ACCOUNT], True, False, True),
        (CALLERS[ACCOUNT], False, True, True),
        (CALLERS[ACCOUNT], False, False, False),
    ],
)
def test_unlisted_applications_are_seen_by_few(
    principal: Principal, *, listed: bool, installed: bool, seen: bool
) -> None:
    application = an_application(listed=listed)
    assert sees_application(principal, application=application, installed=installed) is seen


def test_filters_of_the_platform_are_not_narrowed() -> None:
    assert visible_events(CALLERS[PLATFORM]) == EventFilter()
    assert visible_events(CALLERS[PLATFORM], OF_OTHERS) == OF_OTHERS
    assert visible_installations(CALLERS[PLATFORM], InstallationFilter(metadata="{}")) == InstallationFilter(
        metadata="{}"
    )
    assert visible_applications(CALLERS[PLATFORM], ApplicationFilter()) == ApplicationFilter()
    assert visible_applications(CALLERS[SYSTEM], ApplicationFilter()) == ApplicationFilter()


def test_bounds_are_part_of_the_filter() -> None:
    own = EventFilter(application_ids=frozenset({APPLICATION_ID}), account_ids=frozenset({ACCOUNT_ID}))
    assert visible_events(BOUND_TO_BOTH) == own
    assert visible_events(BOUND_TO_BOTH, EventFilter(account_ids=frozenset({ACCOUNT_ID, OTHER_ID}))) == own
    asked = InstallationFilter(account_ids=frozenset({ACCOUNT_ID, OTHER_ID}))
    assert visible_installations(BOUND_TO_BOTH, asked) == InstallationFilter(
        application_ids=frozenset({APPLICATION_ID}), account_ids=frozenset({ACCOUNT_ID})
    )
    assert visible_accounts(BOUND_TO_BOTH, AccountFilter(search="a")) == AccountFilter(
        search="a", id=ACCOUNT_ID, installed_for=APPLICATION_ID
    )


@pytest.mark.parametrize("outside", ["application_id", "account_id"])
def test_nothing_matches_outside_the_bounds(outside: str) -> None:
    of_others: dict[str, Any] = {f"{outside}s": frozenset({OTHER_ID})}
    assert visible_events(BOUND_TO_BOTH, EventFilter(**of_others)).matches_nothing
    assert visible_installations(BOUND_TO_BOTH, InstallationFilter(**of_others)).matches_nothing


def test_accounts_get_no_events_of_metadata() -> None:
    asked = EventFilter(installation_ids=frozenset({INSTALLATION_ID}))
    assert visible_events(CALLERS[ACCOUNT], asked) == replace(
        asked, account_ids=frozenset({ACCOUNT_ID}), kinds=ALL_KINDS - {EventKind.METADATA_UPDATED}
    )
    only_metadata = EventFilter(kinds=frozenset({EventKind.METADATA_UPDATED}))
    assert visible_events(CALLERS[ACCOUNT], only_metadata).matches_nothing


def test_accounts_cannot_filter_by_metadata() -> None:
    with pytest.raises(Forbidden, match=r"^Metadata belongs to the application"):
        visible_installations(CALLERS[ACCOUNT], InstallationFilter(metadata="{}"))


def test_lists_of_applications_leave_out_unlisted_ones_of_others() -> None:
    assert visible_applications(CALLERS[APPLICATION], ApplicationFilter(listed=False)) == ApplicationFilter(
        listed=False, listed_or_id=APPLICATION_ID
    )
    assert visible_applications(CALLERS[ACCOUNT], ApplicationFilter()) == ApplicationFilter(
        listed_or_installed_for=ACCOUNT_ID
    )


def test_an_installation_outside_the_bounds_is_as_good_as_none() -> None:
    installation = an_installation(InstallationStatus.ACTIVATED)
    assert visible_installation(BOUND_TO_BOTH, installation) is installation
    assert visible_installation(STRANGER, installation) is None
    assert visible_installation(BOUND_TO_BOTH, None) is None
