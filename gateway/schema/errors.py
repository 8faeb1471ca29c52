"""Expected failures as clients see them: typed members of a mutation's result."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from gateway.domain import errors, input_problems
from gateway.domain.actions import InstallationAction
from gateway.domain.input_problems import InputProblemCode
from gateway.domain.installations import Installation

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
    allowed_actions: list[InstallationAction] = strawberry.field(
        description="The actions that the caller can carry out now."
    )
    installation: Installation | None = strawberry.field(
        description="The installation as it is now; null if there is none.", graphql_type=_InstallationType | None
    )


@strawberry.type(description="The installation was changed after the caller read it.")
class VersionConflict(Error):
    expected_version: int = strawberry.field(description="The version that the caller expected.")
    current_version: int = strawberry.field(description="The current version.")
    installation: Installation = strawberry.field(
        description="The installation as it is now.", graphql_type=_InstallationType | None
    )


@strawberry.type(description="The application is already installed for the account, with other metadata.")
class InstallationAlreadyExists(Error):
    installation: Installation = strawberry.field(
        description="The existing installation.", graphql_type=_InstallationType | None
    )


@strawberry.type(description="Another application has this slug.")
class SlugTaken(Error):
    slug: str = strawberry.field(description="The requested slug.")


@strawberry.type(description="One thing that is wrong with an input.")
class InputProblem:
    path: Sequence[str] = strawberry.field(
        description="The fields that lead from `input` to the value; places in lists are digits, from 0. In keys of"
        " metadata, characters that do not print are escaped, and what follows 40 characters is cut.",
        graphql_type=list[str],
    )
    code: InputProblemCode = strawberry.field(description="What is wrong.")
    message: str = strawberry.field(description="What is wrong with the value, for people.")
    limit: int | None = strawberry.field(description="The limit that the value exceeds; null if there is none.")


@strawberry.type(description="Values of the input are wrong. All problems are listed, but no more than 100.")
class InvalidInput(Error):
    problems: Sequence[input_problems.InputProblem] = strawberry.field(
        description="Everything that is wrong with the input.", graphql_type=list[InputProblem]
    )


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
