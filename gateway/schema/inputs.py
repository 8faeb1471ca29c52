"""What clients send: the inputs, and how they become the domain's values."""

import re
from datetime import datetime
from typing import Final
from uuid import UUID

import strawberry

from gateway.domain import pages
from gateway.domain.errors import BadUserInput, MetadataRejected
from gateway.domain.installations import (
    AuthorizationMethod,
    DeactivationReason,
    InstallationStatus,
    SyncOutcome,
    SyncStep,
)
from gateway.domain.metadata import encode_metadata
from gateway.domain.pages import InstallationOrderField, OrderDirection
from gateway.domain.principals import PrincipalKind
from gateway.domain.text import checked_text
from gateway.schema import enums as _enums  # noqa: F401 - the enums have to be known before the types
from gateway.schema.scalars import JsonValue
from gateway.usecases.marketplace import LONGEST_CATEGORY, LONGEST_NAME

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""One spelling, but for the case: Python's own reader takes braces, underscores and digits of other scripts as well."""


def uuid_of(value: str, *, argument: str) -> UUID:
    """Read an id.

    Raises:
        BadUserInput: It is not a UUID.
    """
    if _UUID.fullmatch(value) is None:
        raise BadUserInput(
            f"{argument} must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2.", argument=argument
        )
    return UUID(value)


def optional_uuid_of(value: str | None, *, argument: str) -> UUID | None:
    return None if value is None else uuid_of(value, argument=argument)


def account_id_of(value: str | None) -> UUID | None:
    return optional_uuid_of(value, argument="accountId")


@strawberry.input(one_of=True, description="Exactly one of these.")
class ApplicationBy:
    id: strawberry.ID | None = strawberry.UNSET
    slug: str | None = strawberry.UNSET


@strawberry.input(description="Each part that is given narrows the list.")
class ApplicationFilter:
    search: str | None = strawberry.field(default=None, description="A part of the name, the slug or the description.")
    category: str | None = None
    authorization_method: AuthorizationMethod | None = None
    listed: bool | None = None

    def value(self) -> pages.ApplicationFilter:
        return pages.ApplicationFilter(
            search=_searched(self.search, name="search", most=LONGEST_NAME),
            category=_searched(self.category, name="category", most=LONGEST_CATEGORY),
            authorization_method=self.authorization_method,
            listed=self.listed,
        )


def _searched(value: str | None, *, name: str, most: int) -> str | None:
    return None if value is None else checked_text(value, name=name, most=most, may_be_blank=True)


@strawberry.input(description="Each part that is given narrows the list.")
class InstallationFilter:
    application_id: strawberry.ID | None = None
    account_id: strawberry.ID | None = None
    status: list[InstallationStatus] | None = strawberry.field(default=None, description="Any of these.")
    updated_since: datetime | None = strawberry.field(default=None, description="This time included.")
    metadata: JsonValue | None = strawberry.field(
        default=None, description="An object that the metadata contains. Only for callers who may read metadata."
    )

    def value(self) -> pages.InstallationFilter:
        return pages.InstallationFilter(
            application_id=optional_uuid_of(self.application_id, argument="applicationId"),
            account_id=account_id_of(self.account_id),
            statuses=None if self.status is None else tuple(self.status),
            updated_since=self.updated_since,
            metadata=None if self.metadata is None else _containment(self.metadata),
        )


def _containment(metadata: object) -> str:
    try:
        return encode_metadata(metadata)
    except MetadataRejected as rejected:
        raise BadUserInput(f"No metadata can contain this: {rejected.message}", argument="metadata") from rejected


@strawberry.input
class InstallationOrder:
    field: InstallationOrderField
    direction: OrderDirection

    def value(self) -> pages.InstallationOrder:
        return pages.InstallationOrder(field=self.field, direction=self.direction)


@strawberry.input(description="Each part that is given narrows what is told.")
class InstallationEventFilter:
    installation_id: strawberry.ID | None = None
    application_id: strawberry.ID | None = None
    account_id: strawberry.ID | None = None


@strawberry.input
class RegisterApplicationInput:
    slug: str = strawberry.field(description="2 to 63 lower-case letters, digits and single hyphens between them.")
    name: str
    description: str | None = None
    categories: list[str] | None = None
    logo_url: str | None = None
    authorization_method: AuthorizationMethod
    requires_configuration: bool = False
    listed: bool = True


@strawberry.input(description="What is left out stays as it is.")
class UpdateApplicationInput:
    id: strawberry.ID
    name: str | None = strawberry.UNSET
    description: str | None = strawberry.UNSET
    categories: list[str] | None = strawberry.UNSET
    logo_url: str | None = strawberry.field(default=strawberry.UNSET, description="Null takes it away.")
    requires_configuration: bool | None = strawberry.UNSET
    listed: bool | None = strawberry.UNSET


@strawberry.input(description="The same id again renames the account.")
class RegisterAccountInput:
    id: strawberry.ID | None = None
    name: str


@strawberry.input
class IssueApiKeyInput:
    kind: PrincipalKind
    application_id: strawberry.ID | None = None
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="For ACCOUNT, whose key it is; for APPLICATION, the one account it is bound to."
    )
    label: str = strawberry.field(description="What to call it; it stands in the log of what its bearer does.")
    expires_at: datetime | None = None


@strawberry.input
class RevokeApiKeyInput:
    id: strawberry.ID


@strawberry.input
class AuthorizeInstallationInput:
    application_id: strawberry.ID
    account_id: strawberry.ID
    expires_at: datetime | None = strawberry.field(
        default=None, description="When the authorization ends; left out, it does not."
    )


@strawberry.input(description="Ids that are left out are the caller's own.")
class CreateInstallationInput:
    application_id: strawberry.ID | None = None
    account_id: strawberry.ID | None = None
    metadata: JsonValue | None = None


@strawberry.input
class ActivateInstallationInput:
    id: strawberry.ID
    expected_version: int | None = None


@strawberry.input(one_of=True, description="Exactly one of these.")
class MetadataChange:
    replace: JsonValue | None = strawberry.field(default=strawberry.UNSET, description="The new metadata, whole.")
    merge: JsonValue | None = strawberry.field(
        default=strawberry.UNSET, description="A JSON Merge Patch (RFC 7396): null deletes a key."
    )


@strawberry.input
class UpdateInstallationMetadataInput:
    id: strawberry.ID
    change: MetadataChange
    expected_version: int | None = None


@strawberry.input
class SyncStepInput:
    name: str
    done: int
    total: int | None = None


def steps_of(steps: list[SyncStepInput] | None) -> tuple[SyncStep, ...]:
    return tuple(SyncStep(name=step.name, done=step.done, total=step.total) for step in steps or ())


@strawberry.input
class StartInstallationSyncInput:
    id: strawberry.ID
    lease_seconds: int = strawberry.field(
        default=300, description="After so many seconds without a report the synchronisation counts as failed."
    )
    steps: list[SyncStepInput] | None = None
    expected_version: int | None = None


@strawberry.input(description="Renews the lease.")
class ReportInstallationSyncProgressInput:
    id: strawberry.ID
    steps: list[SyncStepInput]
    message: str | None = None


@strawberry.input
class FinishInstallationSyncInput:
    id: strawberry.ID
    outcome: SyncOutcome
    message: str | None = None


@strawberry.input
class ReportInstallationConnectionInput:
    id: strawberry.ID
    succeeded: bool
    message: str | None = None


@strawberry.input
class DeactivateInstallationInput:
    id: strawberry.ID
    reason: DeactivationReason = DeactivationReason.DEACTIVATED
    message: str | None = None
    expected_version: int | None = None


@strawberry.input
class DeleteInstallationInput:
    id: strawberry.ID
    expected_version: int | None = None
