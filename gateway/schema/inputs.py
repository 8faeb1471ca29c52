"""The input types, and their conversion to the domain's values."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

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
from gateway.schema.scalars import JsonValue, parse_optional_uuid
from gateway.usecases.marketplace import LONGEST_CATEGORY, LONGEST_NAME

_optional: Callable[..., Any] = partial(strawberry.field, default=None)
_unset: Callable[..., Any] = partial(strawberry.field, default=strawberry.UNSET)


@strawberry.input(one_of=True, description="Identifies an application by exactly one of these fields.")
class ApplicationBy:
    id: strawberry.ID | None = _unset(description="The id of the application.")
    slug: str | None = _unset(description="The slug of the application.")


@strawberry.input(description="A filter of applications: those that match all given fields.")
class ApplicationFilter:
    search: str | None = _optional(description="Text that the name, the slug or the description contains.")
    category: str | None = _optional(description="A category of the application, exactly as written.")
    authorization_method: AuthorizationMethod | None = _optional(
        description="The authorization method of the application."
    )
    listed: bool | None = _optional(description="Whether every caller sees the application in the marketplace.")

    def value(self) -> pages.ApplicationFilter:
        return pages.ApplicationFilter(
            search=_search_text(self.search, name="search", most=LONGEST_NAME),
            category=_search_text(self.category, name="category", most=LONGEST_CATEGORY),
            authorization_method=self.authorization_method,
            listed=self.listed,
        )


def _search_text(value: str | None, *, name: str, most: int) -> str | None:
    return None if value is None else checked_text(value, name=name, most=most, may_be_blank=True)


@strawberry.input(description="A filter of installations: those that match all given fields.")
class InstallationFilter:
    application_id: strawberry.ID | None = _optional(description="The id of the application.")
    account_id: strawberry.ID | None = _optional(description="The id of the account.")
    status: list[InstallationStatus] | None = _optional(description="The allowed statuses.")
    updated_since: datetime | None = _optional(description="Only installations that changed at this time or later.")
    metadata: JsonValue | None = _optional(
        description="A JSON object that the metadata contains. Only for callers that may read metadata."
    )

    def value(self) -> pages.InstallationFilter:
        return pages.InstallationFilter(
            application_id=parse_optional_uuid(self.application_id, argument="applicationId"),
            account_id=parse_optional_uuid(self.account_id, argument="accountId"),
            statuses=None if self.status is None else tuple(dict.fromkeys(self.status)),
            updated_since=self.updated_since,
            metadata=None if self.metadata is None else _containment(self.metadata),
        )


def _containment(metadata: object) -> str:
    try:
        return encode_metadata(metadata)
    except MetadataRejected as rejected:
        raise BadUserInput(f"No metadata can contain this: {rejected.message}", argument="metadata") from rejected


@strawberry.input(description="The order of a list of installations; equal ones are ordered by id.")
class InstallationOrder:
    field: InstallationOrderField = strawberry.field(description="The field to order by.")
    direction: OrderDirection = strawberry.field(description="The direction of the order.")


@strawberry.input(description="A filter of events: those that match all given fields.")
class InstallationEventFilter:
    installation_id: strawberry.ID | None = _optional(description="The id of the installation.")
    application_id: strawberry.ID | None = _optional(
        description="The id of the application whose installations the events are of."
    )
    account_id: strawberry.ID | None = _optional(
        description="The id of the account whose installations the events are of."
    )


@strawberry.input(description="An application to register.")
class RegisterApplicationInput:
    slug: str = strawberry.field(
        description="The readable name in addresses, which cannot be changed: 2 to 63 lower-case letters, digits, and"
        " single hyphens between them."
    )
    name: str = strawberry.field(description="The name of the application, for people.")
    description: str | None = _optional(description="What the application does, for people.")
    categories: list[str] | None = _optional(description="The categories of the marketplace that list the application.")
    logo_url: str | None = _optional(description="The URL of the application's logo, http or https.")
    authorization_method: AuthorizationMethod = strawberry.field(
        description="How a user authorizes the application. It cannot be changed."
    )
    requires_configuration: bool = strawberry.field(
        default=False,
        description="With OAUTH: whether the application has to activate an installation after its authorization.",
    )
    listed: bool = strawberry.field(
        default=True, description="Whether every caller sees the application in the marketplace."
    )


@strawberry.input(description="The changes of an application: fields that are left out are not changed.")
class UpdateApplicationInput:
    id: strawberry.ID = strawberry.field(description="The id of the application.")
    name: str | None = _unset(description="The name of the application, for people.")
    description: str | None = _unset(description="What the application does, for people.")
    categories: list[str] | None = _unset(description="The categories of the marketplace that list the application.")
    logo_url: str | None = _unset(description="The URL of the application's logo, http or https; null removes it.")
    requires_configuration: bool | None = _unset(
        description="With OAUTH: whether the application has to activate an installation after its authorization."
    )
    listed: bool | None = _unset(description="Whether every caller sees the application in the marketplace.")


@strawberry.input(description="An account to register, or to rename if one with this id exists.")
class RegisterAccountInput:
    id: strawberry.ID | None = _optional(description="The id of the account on the platform; by default, a new id.")
    name: str = strawberry.field(description="The name of the company.")


@strawberry.input(description="The caller that a new API key authenticates.")
class IssueApiKeyInput:
    kind: PrincipalKind = strawberry.field(description="The kind of the caller; not SYSTEM.")
    application_id: strawberry.ID | None = _optional(description="For APPLICATION: the application that the caller is.")
    account_id: strawberry.ID | None = _optional(
        description="For ACCOUNT: the account of the caller. For APPLICATION: the only account that the caller may act"
        " for; by default, all that have the application installed."
    )
    label: str = strawberry.field(description="The label of the API key, which events name as part of their actor.")
    expires_at: datetime | None = _optional(description="When the API key expires; by default, never.")


@strawberry.input(description="The API key to revoke.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The id of the API key.")


@strawberry.input(description="An authorization that a user has completed.")
class AuthorizeInstallationInput:
    application_id: strawberry.ID = strawberry.field(description="The application that the user authorized.")
    account_id: strawberry.ID = strawberry.field(
        description="The account that the user authorized the application for."
    )
    expires_at: datetime | None = _optional(description="When the authorization expires; by default, never.")


@strawberry.input(description="The installation to complete, and its metadata.")
class CreateInstallationInput:
    application_id: strawberry.ID | None = _optional(
        description="The id of the application; by default, of the application that the caller is."
    )
    account_id: strawberry.ID | None = _optional(
        description="The id of the account; by default, of the account that the caller is bound to."
    )
    metadata: JsonValue | None = _optional(
        description="The application's own JSON object; by default, the metadata is not changed."
    )


@strawberry.input
class _InstallationInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")


@strawberry.input
class _VersionedInput(_InstallationInput):
    expected_version: int | None = _optional(
        description="The version that the installation must have; if it has another, the result is VersionConflict."
    )


@strawberry.input(description="The installation to activate.")
class ActivateInstallationInput(_VersionedInput):
    pass


@strawberry.input(one_of=True, description="A change of metadata by exactly one of these fields.")
class MetadataChange:
    replace: JsonValue | None = _unset(description="A JSON object that replaces the metadata.")
    merge: JsonValue | None = _unset(
        description="A JSON Merge Patch (RFC 7396) to apply to the metadata; null deletes a key.",
    )


@strawberry.input(description="The installation, and the change of its metadata.")
class UpdateInstallationMetadataInput(_VersionedInput):
    change: MetadataChange = strawberry.field(description="The change of the metadata.")


@strawberry.input(description="The progress of one step of a synchronisation.")
class SyncStepInput:
    name: str = strawberry.field(description="The application's name for this step.")
    done: int = strawberry.field(description="How many items of this step are done.")
    total: int | None = _optional(description="How many items this step has, if known.")


def to_sync_steps(steps: list[SyncStepInput] | None) -> tuple[SyncStep, ...]:
    """Convert the steps of an input to the domain's."""
    return tuple(SyncStep(name=step.name, done=step.done, total=step.total) for step in steps or ())


@strawberry.input(description="The installation to synchronise, and the steps.")
class StartInstallationSyncInput(_VersionedInput):
    lease_seconds: int = strawberry.field(
        default=300,
        description="The lease: after this many seconds without a report of progress, the synchronisation has failed."
        " The gateway may limit how long it takes in all; `Sync.expiresAt` says when the lease ends.",
    )
    steps: list[SyncStepInput] | None = _optional(
        description="The steps of the synchronisation, as far as they are known."
    )


@strawberry.input(description="The progress of a synchronisation, whose lease is renewed.")
class ReportInstallationSyncProgressInput(_InstallationInput):
    steps: list[SyncStepInput] = strawberry.field(
        description="The progress of every step; it replaces the steps of the last report."
    )
    message: str | None = _optional(description="A message about it, for people.")


@strawberry.input(description="The outcome of a synchronisation.")
class FinishInstallationSyncInput(_InstallationInput):
    outcome: SyncOutcome = strawberry.field(description="The outcome.")
    message: str | None = _optional(description="A message about it, for people.")


@strawberry.input(description="Whether the application can reach its own system.")
class ReportInstallationConnectionInput(_InstallationInput):
    succeeded: bool = strawberry.field(description="Whether the system was reached.")
    message: str | None = _optional(description="A message about it, for people.")


@strawberry.input(description="The installation to deactivate, and the reason.")
class DeactivateInstallationInput(_VersionedInput):
    reason: DeactivationReason = strawberry.field(default=DeactivationReason.DEACTIVATED, description="The reason.")
    message: str | None = _optional(description="A message about the reason, for people.")


@strawberry.input(description="The installation to delete.")
class DeleteInstallationInput(_VersionedInput):
    pass
