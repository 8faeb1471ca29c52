"""The types whose ids are those of rows: applications, accounts, API keys, installations.

Their sources are the domain's objects as storage reads them: no object of these classes is ever made. A field without
a resolver is the attribute of the same name, and `self` in a resolver is the domain's object.
"""

from datetime import datetime
from typing import Any, ClassVar, Protocol, cast
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from gateway.domain import api_keys, policy
from gateway.domain import installations as domain
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import AuthorizationMethod, InstallationStatus
from gateway.domain.principals import PrincipalKind
from gateway.schema.arguments import AccountId
from gateway.schema.connections import InstallationConnection, list_installations
from gateway.schema.context import Info
from gateway.schema.events import InstallationEventConnection, list_events
from gateway.schema.node import Node
from gateway.schema.scalars import JsonText, JsonValue, parse_optional_uuid
from gateway.schema.status import StatusReason, Sync
from gateway.storage.installation_pages import ACCOUNT_NAMES, APPLICATION_NAMES
from gateway.usecases.batch_loader import MappedFuture
from gateway.usecases.reads import find_accounts, find_applications, find_installations_by_pair
from gateway.usecases.rows import NamesOf, references
from gateway.usecases.visibility import reads_metadata


@strawberry.type(description="A third-party client in the marketplace.")
class Application(Node):
    source_type = domain.Application
    slug: str = strawberry.field(description="The readable name of the application in addresses; it never changes.")
    name: str = strawberry.field(description="The name of the application, for people.")
    description: str = strawberry.field(description="What the application does, for people.")
    categories: list[str] = strawberry.field(description="The categories of the marketplace that list the application.")
    logo_url: str | None = strawberry.field(description="The URL of the application's logo.")
    authorization_method: AuthorizationMethod = strawberry.field(description="How a user authorizes the application.")
    requires_configuration: bool = strawberry.field(
        description="With OAUTH: whether the application has to activate an installation after its authorization."
    )
    listed: bool = strawberry.field(description="Whether every caller sees the application in the marketplace.")
    created_at: datetime = strawberry.field(description="When the application was registered.")
    updated_at: datetime = strawberry.field(description="When the application was last changed.")

    @strawberry.field(
        description="The application's installation for an account; without `accountId`, for the caller's own account.",
        graphql_type=LazyType("Installation", __name__) | None,
    )
    def installation(self, info: Info, account_id: AccountId = None) -> MappedFuture[Any, domain.Installation | None]:
        wanted = parse_optional_uuid(account_id, argument="accountId") or info.context.caller.account_id
        if wanted is None:
            raise BadUserInput("accountId is needed: this caller is not bound to an account.", argument="accountId")
        return info.context.loaders.batched(find_installations_by_pair).load((self.id, wanted))

    installations = strawberry.field(
        resolver=list_installations,
        description="The application's installations that the caller sees.",
        graphql_type=InstallationConnection,
    )


@strawberry.type(description="A company's account on the platform.")
class Account(Node):
    source_type = domain.Account
    name: str = strawberry.field(description="The name of the company.")

    installations = strawberry.field(
        resolver=list_installations,
        description="The account's installations that the caller sees.",
        graphql_type=InstallationConnection,
    )


@strawberry.type(description="A credential of a caller. Its secret is not stored.")
class ApiKey(Node):
    source_type = api_keys.ApiKey
    beginning: strawberry.Private[str]
    application_id: strawberry.Private[UUID | None]
    account_id: strawberry.Private[UUID | None]
    kind: PrincipalKind = strawberry.field(description="The kind of caller that the API key authenticates.")
    label: str = strawberry.field(description="The label of the API key, which events name as part of their actor.")
    created_at: datetime = strawberry.field(description="When the API key was issued.")
    expires_at: datetime | None = strawberry.field(description="When the API key expires; null if it does not.")
    revoked_at: datetime | None = strawberry.field(description="When the API key was revoked; null if it was not.")
    last_used_at: datetime | None = strawberry.field(
        description="When the API key was last used, as far as it is stored: gateways store it from time to time."
    )

    @strawberry.field(description="The beginning of the API key, which is not secret and identifies it.")
    def prefix(self) -> str:
        return self.beginning

    @strawberry.field(
        description="The application that the caller is; null if there is none that you see.",
        graphql_type=Application | None,
    )
    def bound_application(self, info: Info) -> MappedFuture[Any, domain.Application | None] | None:
        bound = self.application_id
        return None if bound is None else info.context.loaders.batched(find_applications).load(bound)

    @strawberry.field(
        description="The account that the caller is a user of, or is bound to; null if there is none that you see.",
        graphql_type=Account | None,
    )
    def bound_account(self, info: Info) -> MappedFuture[Any, domain.Account | None] | None:
        bound = self.account_id
        return None if bound is None else info.context.loaders.batched(find_accounts).load(bound)


class OfPair(Protocol):
    """The source of a type that belongs to an application and an account."""

    application_id: UUID
    account_id: UUID


@references("applications", by="application_id")
def load_application(self: OfPair, info: Info) -> MappedFuture[Any, domain.Application | None]:
    """Resolve the application of an installation, or of one that was deleted."""
    return info.context.loaders.applications.load(self.application_id)


@references("accounts", by="account_id")
def load_account(self: OfPair, info: Info) -> MappedFuture[Any, domain.Account | None]:
    """Resolve the account of an installation, or of one that was deleted."""
    return info.context.loaders.accounts.load(self.account_id)


@strawberry.type(description="The connection between an application and a company's account.")
class Installation(Node):
    source_type = domain.Installation
    names: ClassVar = {
        "application": NamesOf(
            APPLICATION_NAMES, {"id": "application_id", "name": "application_name", "slug": "application_slug"}
        ),
        "account": NamesOf(ACCOUNT_NAMES, {"id": "account_id", "name": "account_name"}),
    }
    application_id: strawberry.Private[UUID]
    account_id: strawberry.Private[UUID]
    metadata: strawberry.Private[str]
    status: InstallationStatus = strawberry.field(description="The status of the installation.")
    status_reason: StatusReason = strawberry.field(description="Why the installation has its status, and since when.")
    version: int = strawberry.field(description="The version of the installation; each change adds one.")
    sync: Sync | None = strawberry.field(description="The current or last synchronisation; null before the first.")
    connection_failures: int = strawberry.field(description="The number of connection failures in a row.")
    authorization_expires_at: datetime | None = strawberry.field(
        description="When the authorization expires; null if it does not."
    )
    created_at: datetime = strawberry.field(description="When the installation was first authorized.")
    updated_at: datetime = strawberry.field(description="When the installation was last changed.")
    activated_at: datetime | None = strawberry.field(
        description="When the installation last became ACTIVATED; null if it never was."
    )

    application = strawberry.field(
        resolver=load_application, description="The application that is installed.", graphql_type=Application
    )
    account = strawberry.field(
        resolver=load_account, description="The account that the application is installed for.", graphql_type=Account
    )

    @strawberry.field(
        name="metadata",
        description="The application's own JSON object; null to callers that may not read it: users of an account.",
    )
    def readable_metadata(self, info: Info) -> JsonValue | None:
        readable = reads_metadata(info.context.caller)
        return JsonValue(JsonText(self.metadata)) if readable else None

    @strawberry.field(
        description="The actions that the caller can carry out on the installation now.",
        graphql_type=list[InstallationAction],
    )
    def allowed_actions(self, info: Info) -> MappedFuture[Any, list[InstallationAction] | None]:
        principal, installation = info.context.caller, cast("domain.Installation", self)

        def allowed(application: domain.Application) -> list[InstallationAction]:
            return list(policy.allowed_actions(principal, installation=installation, application=application))

        return info.context.loaders.applications.load(self.application_id, allowed)

    history = strawberry.field(
        resolver=list_events,
        description="The events of the installation; by default the oldest first.",
        graphql_type=InstallationEventConnection,
    )
