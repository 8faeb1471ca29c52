"""The input types, and their conversion to the domain's values."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import strawberry

from gateway.domain import pages
from gateway.domain.errors import BadUserInput, InvalidInput
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.events import EventKind
from gateway.domain.input_checks import InputCheck
from gateway.domain.installations import (
    AuthorizationMethod,
    DeactivationReason,
    InstallationStatus,
    StatusReasonCode,
    SyncOutcome,
    SyncStep,
)
from gateway.domain.metadata import MOST_BYTES, MOST_KEY_CHARACTERS, MOST_KEYS, MOST_LEVELS, encode_metadata
from gateway.domain.pages import InstallationOrderField, OrderDirection
from gateway.domain.principals import PrincipalKind
from gateway.domain.text import MOST_MESSAGE_CHARACTERS, MOST_URL_CHARACTERS, checked_text
from gateway.schema.scalars import JsonValue, parse_optional_uuid, parse_uuid
from gateway.usecases.api_keys import LONGEST_LABEL
from gateway.usecases.marketplace import LONGEST_CATEGORY, LONGEST_DESCRIPTION, LONGEST_NAME, MOST_CATEGORIES
from gateway.usecases.syncs import LONGEST_LEASE_SECONDS, LONGEST_STEP_NAME, MOST_STEPS

MAX_VALUES: Final = 100
"""As many installations as a page has; each value is a range of an index, or several."""
Value = TypeVar("Value")

_optional: Callable[..., Any] = partial(strawberry.field, default=None)
_unset: Callable[..., Any] = partial(strawberry.field, default=strawberry.UNSET)
_APPLICATION_NAME = f"The name of the application, for people: at most {LONGEST_NAME} characters."
_APPLICATION_DESCRIPTION = f"What the application does, for people: at most {LONGEST_DESCRIPTION:,} characters."
_CATEGORIES = (
    f"The categories of the marketplace that list the application: at most {MOST_CATEGORIES}, of at most"
    f" {LONGEST_CATEGORY} characters each."
)
_LOGO_URL = f"The URL of the application's logo, http or https, of at most {MOST_URL_CHARACTERS:,} characters"
_MESSAGE = f"A message about it, for people: at most {MOST_MESSAGE_CHARACTERS:,} characters."
_METADATA_LIMITS = (
    f"At most {MOST_KEYS} keys, {MOST_KEY_CHARACTERS} characters in a key, {MOST_LEVELS} levels, and {MOST_BYTES:,}"
    " bytes of JSON."
)
_checked = partial(checked_text, may_be_blank=True)


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
            search=_search_text(self.search),
            category=None if self.category is None else _checked(self.category, name="category", most=LONGEST_CATEGORY),
            authorization_method=self.authorization_method,
            listed=self.listed,
        )


def _search_text(value: str | None) -> str | None:
    """Return the text that is searched; None where every text contains it. Raises BadUserInput."""
    return _checked(value, name="search", most=LONGEST_NAME) if value else None


@strawberry.input(description="A filter of accounts: those that match all given fields.")
class AccountFilter:
    search: str | None = _optional(description="Text that the name contains, in any case.")

    def value(self) -> pages.AccountFilter:
        return pages.AccountFilter(search=_search_text(self.search))


@strawberry.input(description="A filter of API keys: those that match all given fields.")
class ApiKeyFilter:
    kind: PrincipalKind | None = _optional(description="The kind of caller that the API key authenticates.")
    application_id: strawberry.ID | None = _optional(description="The id of the application that the caller is.")
    account_id: strawberry.ID | None = _optional(
        description="The id of the account that the caller is a user of, or is bound to."
    )
    in_force: bool | None = _optional(description="Whether the API key is neither revoked nor expired.")

    def value(self) -> pages.ApiKeyFilter:
        return pages.ApiKeyFilter(
            kind=self.kind,
            application_id=parse_optional_uuid(self.application_id, argument="applicationId"),
            account_id=parse_optional_uuid(self.account_id, argument="accountId"),
            in_force=self.in_force,
        )


@strawberry.input(
    description="A filter of installations: those that match all given fields. A list means any of its values."
)
class InstallationFilter:
    application_ids: list[strawberry.ID] | None = _optional(description="The ids of at most 100 applications.")
    account_ids: list[strawberry.ID] | None = _optional(description="The ids of at most 100 accounts.")
    statuses: list[InstallationStatus] | None = _optional(description="The allowed statuses.")
    reasons: list[StatusReasonCode] | None = _optional(description="The allowed reasons for the status.")
    search: str | None = _optional(
        description="Text that the name of the application or of the account contains, in any case. If more than 500"
        " applications or accounts have such a name, the error says so: search for more of it."
    )
    updated_since: datetime | None = _optional(description="Only installations that changed at this time or later.")
    updated_before: datetime | None = _optional(
        description="Only installations that have not changed at this time or later."
    )
    authorization_expires_before: datetime | None = _optional(
        description="Only installations whose authorization expires, or expired, before this time."
    )
    metadata: JsonValue | None = _optional(
        description="A JSON object that the metadata contains. Only for callers that may read metadata."
    )

    def value(self) -> pages.InstallationFilter:
        return pages.InstallationFilter(
            application_ids=_any_id(self.application_ids, argument="applicationIds"),
            account_ids=_any_id(self.account_ids, argument="accountIds"),
            statuses=_any_of(self.statuses, argument="statuses"),
            reasons=_any_of(self.reasons, argument="reasons"),
            search=_search_text(self.search),
            updated_since=self.updated_since,
            updated_before=self.updated_before,
            authorization_expires_before=self.authorization_expires_before,
            metadata=None if self.metadata is None else _containment(self.metadata),
        )


def _containment(metadata: object) -> str:
    check = InputCheck()
    text = encode_metadata(metadata, check, "metadata")
    try:
        check.finish()
    except InvalidInput as invalid:
        raise BadUserInput(f"No metadata can contain this. {invalid.message}", argument="metadata") from invalid
    return text


@strawberry.input(description="The order of a list of installations; equal ones are ordered by id.")
class InstallationOrder:
    field: InstallationOrderField = strawberry.field(description="The field to order by.")
    direction: OrderDirection = strawberry.field(description="The direction of the order.")


@strawberry.input(
    description="A filter of events: those that match all given fields; a list means any of its values. A list has at"
    " most 100 values; without `installationIds`, there are at most 100 pairs of `applicationIds` and `accountIds`."
)
class InstallationEventFilter:
    installation_ids: list[strawberry.ID] | None = _optional(description="The ids of installations.")
    application_ids: list[strawberry.ID] | None = _optional(
        description="The ids of the applications whose installations the events are of."
    )
    account_ids: list[strawberry.ID] | None = _optional(
        description="The ids of the accounts whose installations the events are of."
    )
    kinds: list[EventKind] | None = _optional(description="The kinds of events.")
    to: list[InstallationStatus] | None = _optional(
        description="Only changes of status that led to one of these statuses."
    )
    occurred_since: datetime | None = _optional(description="Only events that occurred at this time or later.")
    occurred_before: datetime | None = _optional(description="Only events that occurred before this time.")

    def value(self) -> EventFilter:
        kinds = _any_of(self.kinds, argument="kinds")
        matching = EventFilter(
            installation_ids=_any_id(self.installation_ids, argument="installationIds"),
            application_ids=_any_id(self.application_ids, argument="applicationIds"),
            account_ids=_any_id(self.account_ids, argument="accountIds"),
            kinds=ALL_KINDS if kinds is None else kinds,
            to=_any_of(self.to, argument="to"),
            occurred_since=self.occurred_since,
            occurred_before=self.occurred_before,
        )
        pairs = len(matching.application_ids or ()) * len(matching.account_ids or ())
        if matching.installation_ids is None and pairs > MAX_VALUES:
            raise BadUserInput(
                f"Filter by at most {MAX_VALUES} pairs of application and account, not {pairs}.",
                argument="accountIds",
            )
        return matching


def _any_of(values: list[Value] | None, *, argument: str) -> frozenset[Value] | None:
    """Return the values of a list that may be left out. Raises BadUserInput where it is too long."""
    if values is not None and len(values) > MAX_VALUES:
        raise BadUserInput(f"{argument} has at most {MAX_VALUES} values, not {len(values)}.", argument=argument)
    return None if values is None else frozenset(values)


def _any_id(values: list[strawberry.ID] | None, *, argument: str) -> frozenset[UUID] | None:
    ids = _any_of(values, argument=argument)
    return None if ids is None else frozenset(parse_uuid(each, argument=argument) for each in ids)


@strawberry.input(description="An application to register.")
class RegisterApplicationInput:
    slug: str = strawberry.field(
        description="The readable name in addresses, which cannot be changed: 2 to 63 lower-case letters, digits, and"
        " single hyphens between them."
    )
    name: str = strawberry.field(description=_APPLICATION_NAME)
    description: str | None = _optional(description=_APPLICATION_DESCRIPTION)
    categories: list[str] | None = _optional(description=_CATEGORIES)
    logo_url: str | None = _optional(description=f"{_LOGO_URL}.")
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
    name: str | None = _unset(description=_APPLICATION_NAME)
    description: str | None = _unset(description=_APPLICATION_DESCRIPTION)
    categories: list[str] | None = _unset(description=_CATEGORIES)
    logo_url: str | None = _unset(description=f"{_LOGO_URL}; null removes it.")
    requires_configuration: bool | None = _unset(
        description="With OAUTH: whether the application has to activate an installation after its authorization."
    )
    listed: bool | None = _unset(description="Whether every caller sees the application in the marketplace.")


@strawberry.input(description="An account to register, or to rename if one with this id exists.")
class RegisterAccountInput:
    id: strawberry.ID | None = _optional(description="The id of the account on the platform; by default, a new id.")
    name: str = strawberry.field(description=f"The name of the company: at most {LONGEST_NAME} characters.")


@strawberry.input(description="The caller that a new API key authenticates.")
class IssueApiKeyInput:
    kind: PrincipalKind = strawberry.field(description="The kind of the caller; not SYSTEM.")
    application_id: strawberry.ID | None = _optional(description="For APPLICATION: the application that the caller is.")
    account_id: strawberry.ID | None = _optional(
        description="For ACCOUNT: the account of the caller. For APPLICATION: the only account that the caller may act"
        " for; by default, all that have the application installed."
    )
    label: str = strawberry.field(
        description=f"The label of the API key, which events name as part of their actor: at most {LONGEST_LABEL}"
        " characters."
    )
    expires_at: datetime | None = _optional(
        description="When the API key expires, a time in the future; by default, never."
    )


@strawberry.input(description="The API key to revoke.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The id of the API key.")


@strawberry.input(description="An authorization that a user has completed.")
class AuthorizeInstallationInput:
    application_id: strawberry.ID = strawberry.field(description="The application that the user authorized.")
    account_id: strawberry.ID = strawberry.field(
        description="The account that the user authorized the application for."
    )
    expires_at: datetime | None = _optional(
        description="When the authorization expires, a time in the future; by default, never."
    )


@strawberry.input(description="The installation to complete, and its metadata.")
class CreateInstallationInput:
    application_id: strawberry.ID | None = _optional(
        description="The id of the application; by default, of the application that the caller is."
    )
    account_id: strawberry.ID | None = _optional(
        description="The id of the account; by default, of the account that the caller is bound to."
    )
    metadata: JsonValue | None = _optional(
        description=f"The application's own JSON object; by default, the metadata is not changed. {_METADATA_LIMITS}"
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
    replace: JsonValue | None = _unset(description=f"A JSON object that replaces the metadata. {_METADATA_LIMITS}")
    merge: JsonValue | None = _unset(
        description="A JSON Merge Patch (RFC 7396) to apply to the metadata; null deletes a key. The result has the"
        f" limits of all metadata. {_METADATA_LIMITS}",
    )


@strawberry.input(description="The installation, and the change of its metadata.")
class UpdateInstallationMetadataInput(_VersionedInput):
    change: MetadataChange = strawberry.field(description="The change of the metadata.")


@strawberry.input(description="The progress of one step of a synchronisation.")
class SyncStepInput:
    name: str = strawberry.field(
        description="The application's name for this step, which no other step has: at most"
        f" {LONGEST_STEP_NAME} characters."
    )
    done: int = strawberry.field(description="How many items of this step are done, from 0.")
    total: int | None = _optional(description="How many items this step has, from 0, if known.")


def to_sync_steps(steps: list[SyncStepInput] | None) -> tuple[SyncStep, ...]:
    """Convert the steps of an input to the domain's."""
    return tuple(SyncStep(name=step.name, done=step.done, total=step.total) for step in steps or ())


@strawberry.input(description="The installation to synchronise, and the steps.")
class StartInstallationSyncInput(_VersionedInput):
    lease_seconds: int = strawberry.field(
        default=300,
        description=f"The lease, from 1 to {LONGEST_LEASE_SECONDS:,}: after this many seconds without a report of"
        " progress, the synchronisation has failed."
        " The gateway may limit how long it takes in all; `Sync.expiresAt` says when the lease ends.",
    )
    steps: list[SyncStepInput] | None = _optional(
        description=f"The steps of the synchronisation, as far as they are known: at most {MOST_STEPS}."
    )


@strawberry.input(description="The progress of a synchronisation, whose lease is renewed.")
class ReportInstallationSyncProgressInput(_InstallationInput):
    steps: list[SyncStepInput] = strawberry.field(
        description=f"The progress of every step, of at most {MOST_STEPS}; it replaces the steps of the last report."
    )
    message: str | None = _optional(description=_MESSAGE)


@strawberry.input(description="The outcome of a synchronisation.")
class FinishInstallationSyncInput(_InstallationInput):
    outcome: SyncOutcome = strawberry.field(description="Whether the synchronisation succeeded.")
    message: str | None = _optional(description=_MESSAGE)


@strawberry.input(description="Whether the application can reach its own system.")
class ReportInstallationConnectionInput(_InstallationInput):
    succeeded: bool = strawberry.field(description="Whether the system was reached.")
    message: str | None = _optional(description=_MESSAGE)


@strawberry.input(description="The installation to deactivate, and the reason.")
class DeactivateInstallationInput(_VersionedInput):
    reason: DeactivationReason = strawberry.field(
        default=DeactivationReason.DEACTIVATED, description="Why the installation becomes INACTIVE."
    )
    message: str | None = _optional(description=_MESSAGE)


@strawberry.input(description="The installation to delete.")
class DeleteInstallationInput(_VersionedInput):
    pass
