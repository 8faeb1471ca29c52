"""Expected failures as clients see them: typed members of a mutation's result."""

from dataclasses import dataclass, fields
from typing import Any, cast
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from gateway.domain import errors, metadata_rules
from gateway.domain.actions import InstallationAction
from gateway.domain.installations import Installation, InstallationStatus

_InstallationType: Any = LazyType("Installation", "gateway.schema.nodes")


@strawberry.interface(description="An expected failure: nothing was changed.")
class Error:
    message: str = strawberry.field(description="What is wrong and what to do about it, for people.")


@strawberry.type(description="The installation does not exist, or the caller does not see it.")
class InstallationNotFound(Error):
    installation_id: UUID = strawberry.field(
        description="The id of the requested installation.", graphql_type=strawberry.ID
    )


@strawberry.type(description="The application does not exist, or the caller does not see it.")
class ApplicationNotFound(Error):
    application_id: UUID | None = strawberry.field(
        description="The id of the requested application; null if none was given.",
        graphql_type=strawberry.ID | None,
    )


@strawberry.type(description="The account does not exist, or the caller does not see it.")
class AccountNotFound(Error):
    account_id: UUID | None = strawberry.field(
        description="The id of the requested account; null if none was given.", graphql_type=strawberry.ID | None
    )


@strawberry.type(description="The API key does not exist.")
class ApiKeyNotFound(Error):
    api_key_id: UUID = strawberry.field(description="The id of the requested API key.", graphql_type=strawberry.ID)


@strawberry.type(description="The status of the installation, or its application, does not allow the action now.")
class ActionNotAllowed(Error):
    action: InstallationAction = strawberry.field(description="The requested action.")
    status: InstallationStatus | None = strawberry.field(
        description="The status of the installation; null if there is no installation."
    )
    allowed_actions: list[InstallationAction] = strawberry.field(
        description="The actions that the caller can carry out now."
    )


@strawberry.type(description="The installation was changed after the caller read it.")
class VersionConflict(Error):
    expected_version: int = strawberry.field(description="The version that the caller expected.")
    current_version: int = strawberry.field(description="The current version.")
    installation: Installation = strawberry.field(
        description="The installation as it is now.", graphql_type=_InstallationType
    )


@strawberry.type(description="The application is already installed for the account, with other metadata.")
class InstallationAlreadyExists(Error):
    installation: Installation = strawberry.field(
        description="The existing installation.", graphql_type=_InstallationType
    )


@strawberry.type(description="A rule that the metadata breaks.")
class MetadataViolation:
    path: str = strawberry.field(
        description="The place in the metadata as a JSON Pointer (RFC 6901); empty for the whole."
    )
    limit: int | None = strawberry.field(description="The limit that the rule sets; null if it sets none.")

    @strawberry.field(name="rule", description="The name of the rule, such as TOO_MANY_KEYS.")
    def rule_name(self) -> str:
        return cast("metadata_rules.MetadataViolation", self).rule.value


@strawberry.type(description="The metadata breaks rules. All violations that were found are listed.")
class MetadataRejected(Error):
    violations: list[MetadataViolation] = strawberry.field(description="Each violation of a rule.")


@strawberry.type(description="Another application has this slug.")
class SlugTaken(Error):
    slug: str = strawberry.field(description="The requested slug.")


@dataclass(frozen=True)
class ErrorMapper:
    """Turns an exception into a member of each mutation's result that has its type. Strawberry calls it."""

    exception_type: type[errors.ExpectedFailure]
    error_type: type[Error]

    def handle(self, exception: errors.ExpectedFailure, **_: object) -> Error:
        """Copy the attributes of the exception: they have the names of the type's fields."""
        return self.error_type(**{each.name: getattr(exception, each.name) for each in fields(self.error_type)})


ERROR_MAPPERS = tuple(ErrorMapper(getattr(errors, each.__name__), each) for each in Error.__subclasses__())
"""An exception and its type have the same name."""
