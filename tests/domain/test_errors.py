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
    InvalidInput,
    SlugTaken,
    VersionConflict,
)
from gateway.domain.input_problems import BrokenRule, InputProblem, InputProblemCode
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
    installation = an_installation()
    refused = ActionNotAllowed(
        "No.",
        action=InstallationAction.DELETE,
        installation=installation,
        allowed_actions=(InstallationAction.FINISH_SYNC,),
    )
    assert (refused.action, refused.installation, refused.allowed_actions) == (
        InstallationAction.DELETE,
        installation,
        (InstallationAction.FINISH_SYNC,),
    )


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (1, "steps.0: Wrong."),
        (3, "steps.0: Wrong. steps.1: Wrong. steps.2: Wrong."),
        (5, "steps.0: Wrong. steps.1: Wrong. steps.2: Wrong. And 2 more."),
    ],
)
def test_the_message_names_three_of_many_problems(count: int, named: str) -> None:
    rule = BrokenRule(InputProblemCode.MALFORMED, "Wrong.")
    problems = tuple(InputProblem.at(("steps", index), rule) for index in range(count))
    invalid = InvalidInput(problems)
    assert (invalid.message, invalid.problems) == (f"The input is invalid. {named}", problems)
