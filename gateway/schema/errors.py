"""Expected failures as clients see them: typed members of a mutation's result."""

from collections.abc import Callable
from typing import Any

import strawberry

from gateway.domain import errors
from gateway.domain.actions import InstallationAction
from gateway.domain.installations import InstallationStatus
from gateway.schema.context import Info
from gateway.schema.nodes import Installation


@strawberry.interface(description="An expected failure: nothing was changed.")
class Error:
    message: str = strawberry.field(description="What is wrong, and what to do; for people.")


@strawberry.type(description="There is no such installation, or none that this caller sees.")
class InstallationNotFound(Error):
    installation_id: strawberry.ID = strawberry.field(description="The id that was asked for.")


@strawberry.type(description="There is no such application, or none that this caller sees.")
class ApplicationNotFound(Error):
    application_id: strawberry.ID | None = strawberry.field(
        description="The id that was asked for; null where none was given."
    )


@strawberry.type(description="There is no such account, or none that this caller sees.")
class AccountNotFound(Error):
    account_id: strawberry.ID | None = strawberry.field(
        description="The id that was asked for; null where none was given."
    )


@strawberry.type(description="There is no such API key.")
class ApiKeyNotFound(Error):
    api_key_id: strawberry.ID = strawberry.field(description="The id that was asked for.")


@strawberry.type(description="The installation's status, or its application, does not allow it now.")
class ActionNotAllowed(Error):
    action: InstallationAction = strawberry.field(description="What was asked for.")
    status: InstallationStatus | None = strawberry.field(description="Null where there is no installation.")
    allowed_actions: list[InstallationAction] = strawberry.field(description="What this caller may do instead.")


@strawberry.type(description="Somebody changed the installation since the caller read it.")
class VersionConflict(Error):
    expected_version: int = strawberry.field(description="The version that the caller had read.")
    current_version: int = strawberry.field(description="The version now.")
    installation: Installation = strawberry.field(description="The installation as it is now.")


@strawberry.type(description="The application is already installed for the account, with other metadata.")
class InstallationAlreadyExists(Error):
    installation: Installation = strawberry.field(description="The one there is.")


@strawberry.type(description="One rule that metadata broke.")
class MetadataViolation:
    path: str = strawberry.field(description="Where, as a JSON Pointer (RFC 6901); empty for the whole.")
    rule: str = strawberry.field(description="Which rule, as a constant such as TOO_MANY_KEYS.")
    limit: int | None = strawberry.field(description="The rule's figure, where it has one.")


@strawberry.type(description="The metadata breaks the rules; every violation found is listed.")
class MetadataRejected(Error):
    violations: list[MetadataViolation] = strawberry.field(description="Each place that breaks a rule.")


@strawberry.type(description="Another application has this slug.")
class SlugTaken(Error):
    slug: str = strawberry.field(description="The slug that was asked for.")


def _id(value: object) -> strawberry.ID | None:
    return None if value is None else strawberry.ID(str(value))


def _action_not_allowed(error: errors.ActionNotAllowed) -> ActionNotAllowed:
    return ActionNotAllowed(
        message=error.message, action=error.action, status=error.status, allowed_actions=list(error.allowed_actions)
    )


def _version_conflict(error: errors.VersionConflict) -> VersionConflict:
    return VersionConflict(
        message=error.message,
        expected_version=error.expected_version,
        current_version=error.current_version,
        installation=Installation.of(error.installation),
    )


def _metadata_rejected(error: errors.MetadataRejected) -> MetadataRejected:
    violations = [
        MetadataViolation(path=violation.path, rule=violation.rule.value, limit=violation.limit)
        for violation in error.violations
    ]
    return MetadataRejected(message=error.message, violations=violations)


class ErrorMapper:
    """An exception handler of Strawberry's: turns one expected failure into its type, in every result that has it."""

    def __init__(self, exception_type: type[Exception], error_type: type, convert: Callable[[Any], object]) -> None:
        self.exception_type = exception_type
        self.error_type = error_type
        self._convert = convert

    def handle(self, exception: Any, *, field: object, info: Info) -> object:  # noqa: ARG002 - Strawberry's signature
        return self._convert(exception)


FAILURES = (
    ErrorMapper(
        errors.InstallationNotFound,
        InstallationNotFound,
        lambda error: InstallationNotFound(
            message=error.message, installation_id=strawberry.ID(str(error.installation_id))
        ),
    ),
    ErrorMapper(
        errors.ApplicationNotFound,
        ApplicationNotFound,
        lambda error: ApplicationNotFound(message=error.message, application_id=_id(error.application_id)),
    ),
    ErrorMapper(
        errors.AccountNotFound,
        AccountNotFound,
        lambda error: AccountNotFound(message=error.message, account_id=_id(error.account_id)),
    ),
    ErrorMapper(
        errors.ApiKeyNotFound,
        ApiKeyNotFound,
        lambda error: ApiKeyNotFound(message=error.message, api_key_id=strawberry.ID(str(error.api_key_id))),
    ),
    ErrorMapper(errors.ActionNotAllowed, ActionNotAllowed, _action_not_allowed),
    ErrorMapper(errors.VersionConflict, VersionConflict, _version_conflict),
    ErrorMapper(
        errors.InstallationAlreadyExists,
        InstallationAlreadyExists,
        lambda error: InstallationAlreadyExists(
            message=error.message, installation=Installation.of(error.installation)
        ),
    ),
    ErrorMapper(errors.MetadataRejected, MetadataRejected, _metadata_rejected),
    ErrorMapper(errors.SlugTaken, SlugTaken, lambda error: SlugTaken(message=error.message, slug=error.slug)),
)
