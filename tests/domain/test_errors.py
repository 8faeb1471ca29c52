"""The messages of errors."""

import pytest

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import (
    AccountNotFound,
    ActionNotAllowed,
    ApiKeyNotFound,
    ApplicationNotFound,
    ExpectedFailure,
    InstallationAlreadyExists,
    InstallationNotFound,
    MetadataRejected,
    SlugTaken,
    VersionConflict,
)
from gateway.domain.installations import InstallationStatus
from gateway.domain.metadata_rules import MetadataRule, MetadataViolation
from tests.domain.examples import OTHER_ID, an_installation


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (InstallationNotFound(OTHER_ID), f"There is no installation {OTHER_ID}."),
        (ApplicationNotFound(OTHER_ID), f"There is no application {OTHER_ID}."),
        (AccountNotFound(OTHER_ID), f"There is no account {OTHER_ID}."),
        (ApiKeyNotFound(OTHER_ID), f"There is no API key {OTHER_ID}."),
        (SlugTaken("ledger"), "Another application has the slug 'ledger'."),
        (
            InstallationAlreadyExists(an_installation()),
            "The application is already installed for this account. Update that installation instead.",
        ),
    ],
)
def test_each_failure_has_its_message(failure: ExpectedFailure, message: str) -> None:
    assert (failure.message, str(failure)) == (message, message)


def test_a_version_conflict_has_both_versions() -> None:
    conflict = VersionConflict(expected_version=3, installation=an_installation())
    assert (conflict.expected_version, conflict.current_version) == (3, 7)
    assert conflict.message == (
        "The installation is at version 7, not 3. Read it again, and repeat the change if it is still wanted."
    )


def test_an_action_that_is_not_allowed_lists_the_allowed_ones() -> None:
    refused = ActionNotAllowed(
        "No.",
        action=InstallationAction.DELETE,
        status=InstallationStatus.PENDING_INTEGRATION,
        allowed_actions=(InstallationAction.FINISH_SYNC,),
    )
    assert (refused.action, refused.status, refused.allowed_actions) == (
        InstallationAction.DELETE,
        InstallationStatus.PENDING_INTEGRATION,
        (InstallationAction.FINISH_SYNC,),
    )


@pytest.mark.parametrize(
    ("count", "places"),
    [
        (1, "(/0: TOO_DEEP)"),
        (3, "(/0: TOO_DEEP, /1: TOO_DEEP, /2: TOO_DEEP)"),
        (5, "(/0: TOO_DEEP, /1: TOO_DEEP, /2: TOO_DEEP, and 2 more)"),
    ],
)
def test_the_message_names_three_of_many_violations(count: int, places: str) -> None:
    violations = tuple(MetadataViolation.at((index,), rule=MetadataRule.TOO_DEEP) for index in range(count))
    rejected = MetadataRejected(violations)
    assert (rejected.message, rejected.violations) == (f"The metadata was not stored {places}.", violations)


def test_a_violation_at_the_root_is_named_in_words() -> None:
    whole = MetadataViolation.at((), rule=MetadataRule.TOO_LARGE)
    assert MetadataRejected((whole,)).message == "The metadata was not stored (the whole: TOO_LARGE)."
