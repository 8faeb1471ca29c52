"""What clients send: the inputs, and how they become the domain's values."""

from datetime import datetime

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


@strawberry.input(one_of=True, description="Exactly one of these.")
class ApplicationBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="By its id.")
    slug: str | None = strawberry.field(default=strawberry.UNSET, description="By its slug.")


@strawberry.input(description="Each part that is given narrows the list.")
class ApplicationFilter:
    search: str | None = strawberry.field(default=None, description="A part of the name, the slug or the description.")
    category: str | None = strawberry.field(default=None, description="One of its categories, exactly.")
    authorization_method: AuthorizationMethod | None = strawberry.field(
        default=None, description="How users authorize it."
    )
    listed: bool | None = strawberry.field(default=None, description="Whether everybody sees it.")

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
    application_id: strawberry.ID | None = strawberry.field(default=None, description="Of this application.")
    account_id: strawberry.ID | None = strawberry.field(default=None, description="Of this account.")
    status: list[InstallationStatus] | None = strawberry.field(default=None, description="Any of these.")
    updated_since: datetime | None = strawberry.field(default=None, description="This time included.")
    metadata: JsonValue | None = strawberry.field(
        default=None, description="An object that the metadata contains. Only for callers who may read metadata."
    )

    def value(self) -> pages.InstallationFilter:
        return pages.InstallationFilter(
            application_id=parse_optional_uuid(self.application_id, argument="applicationId"),
            account_id=parse_optional_uuid(self.account_id, argument="accountId"),
            statuses=None if self.status is None else tuple(self.status),
            updated_since=self.updated_since,
            metadata=None if self.metadata is None else _containment(self.metadata),
        )


def _containment(metadata: object) -> str:
    try:
        return encode_metadata(metadata)
    except MetadataRejected as rejected:
        raise BadUserInput(f"No metadata can contain this: {rejected.message}", argument="metadata") from rejected


@strawberry.input(description="How a list is ordered; the id decides between equals.")
class InstallationOrder:
    field: InstallationOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(description="Which end comes first.")

    def value(self) -> pages.InstallationOrder:
        return pages.InstallationOrder(field=self.field, direction=self.direction)


@strawberry.input(description="Each part that is given narrows what is told.")
class InstallationEventFilter:
    installation_id: strawberry.ID | None = strawberry.field(default=None, description="Of this installation.")
    application_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this application's installations."
    )
    account_id: strawberry.ID | None = strawberry.field(default=None, description="Of this account's installations.")


@strawberry.input(description="A new application.")
class RegisterApplicationInput:
    slug: str = strawberry.field(description="2 to 63 lower-case letters, digits and single hyphens between them.")
    name: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(default=None, description="What it does, for people.")
    categories: list[str] | None = strawberry.field(
        default=None, description="Under which headings the marketplace shows it."
    )
    logo_url: str | None = strawberry.field(default=None, description="Where its picture is: an http or https URL.")
    authorization_method: AuthorizationMethod = strawberry.field(
        description="How a user authorizes it; stays as it is."
    )
    requires_configuration: bool = strawberry.field(
        default=False, description="With OAuth: whether the application has to activate what was authorized."
    )
    listed: bool = strawberry.field(default=True, description="Whether everybody sees it.")


@strawberry.input(description="What is left out stays as it is.")
class UpdateApplicationInput:
    id: strawberry.ID = strawberry.field(description="The id of the application.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="What people call it.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="What it does, for people.")
    categories: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Under which headings the marketplace shows it."
    )
    logo_url: str | None = strawberry.field(default=strawberry.UNSET, description="Null takes it away.")
    requires_configuration: bool | None = strawberry.field(
        default=strawberry.UNSET, description="With OAuth: whether the application has to activate what was authorized."
    )
    listed: bool | None = strawberry.field(default=strawberry.UNSET, description="Whether everybody sees it.")


@strawberry.input(description="The same id again renames the account.")
class RegisterAccountInput:
    id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that it has on the platform; left out, it gets a new one."
    )
    name: str = strawberry.field(description="What the company is called.")


@strawberry.input(description="A new key, and what it lets its bearer be.")
class IssueApiKeyInput:
    kind: PrincipalKind = strawberry.field(description="What sort of caller it makes of its bearer; not SYSTEM.")
    application_id: strawberry.ID | None = strawberry.field(
        default=None, description="For APPLICATION: whose key it is."
    )
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="For ACCOUNT, whose key it is; for APPLICATION, the one account it is bound to."
    )
    label: str = strawberry.field(description="What to call it; it stands in the log of what its bearer does.")
    expires_at: datetime | None = strawberry.field(default=None, description="When it ends; left out, it does not.")


@strawberry.input(description="Which key.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The id of the key.")


@strawberry.input(description="What was authorized, for whom, and for how long.")
class AuthorizeInstallationInput:
    application_id: strawberry.ID = strawberry.field(description="What the user authorized.")
    account_id: strawberry.ID = strawberry.field(description="The account that it is to be installed for.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When the authorization ends; left out, it does not."
    )


@strawberry.input(description="Ids that are left out are the caller's own.")
class CreateInstallationInput:
    application_id: strawberry.ID | None = strawberry.field(
        default=None, description="The application; left out, the caller."
    )
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="The account; left out, the one that the caller is bound to."
    )
    metadata: JsonValue | None = strawberry.field(
        default=None, description="The application's own JSON object; left out, it stays as it is or is empty."
    )


@strawberry.input(description="Which installation.")
class ActivateInstallationInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse with VersionConflict unless the installation is at this version."
    )


@strawberry.input(one_of=True, description="Exactly one of these.")
class MetadataChange:
    replace: JsonValue | None = strawberry.field(default=strawberry.UNSET, description="The new metadata, whole.")
    merge: JsonValue | None = strawberry.field(
        default=strawberry.UNSET, description="A JSON Merge Patch (RFC 7396): null deletes a key."
    )


@strawberry.input(description="Which installation, and the change.")
class UpdateInstallationMetadataInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    change: MetadataChange = strawberry.field(description="What becomes of the metadata.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse with VersionConflict unless the installation is at this version."
    )


@strawberry.input(description="How far one part of a synchronisation is.")
class SyncStepInput:
    name: str = strawberry.field(description="What to call this part.")
    done: int = strawberry.field(description="How many of it are done.")
    total: int | None = strawberry.field(default=None, description="How many there are, as soon as that is known.")


def to_sync_steps(steps: list[SyncStepInput] | None) -> tuple[SyncStep, ...]:
    """Convert the steps of an input to the domain's."""
    return tuple(SyncStep(name=step.name, done=step.done, total=step.total) for step in steps or ())


@strawberry.input(description="Which installation, and what will be synchronised.")
class StartInstallationSyncInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    lease_seconds: int = strawberry.field(
        default=300, description="After so many seconds without a report the synchronisation counts as failed."
    )
    steps: list[SyncStepInput] | None = strawberry.field(
        default=None, description="The parts that it will have, as far as they are known."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse with VersionConflict unless the installation is at this version."
    )


@strawberry.input(description="Renews the lease.")
class ReportInstallationSyncProgressInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    steps: list[SyncStepInput] = strawberry.field(description="How far each part is: all of them, each time.")
    message: str | None = strawberry.field(default=None, description="What to say of it, for people.")


@strawberry.input(description="Which installation, and how its synchronisation ended.")
class FinishInstallationSyncInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    outcome: SyncOutcome = strawberry.field(description="How it ended.")
    message: str | None = strawberry.field(default=None, description="What to say of it, for people.")


@strawberry.input(description="Which installation, and whether the application's own system was reached for it.")
class ReportInstallationConnectionInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    succeeded: bool = strawberry.field(description="Whether it was reached.")
    message: str | None = strawberry.field(default=None, description="What to say of it, for people.")


@strawberry.input(description="Which installation, and why.")
class DeactivateInstallationInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    reason: DeactivationReason = strawberry.field(default=DeactivationReason.DEACTIVATED, description="Why.")
    message: str | None = strawberry.field(default=None, description="Why, for people.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse with VersionConflict unless the installation is at this version."
    )


@strawberry.input(description="Which installation.")
class DeleteInstallationInput:
    id: strawberry.ID = strawberry.field(description="The id of the installation.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse with VersionConflict unless the installation is at this version."
    )
