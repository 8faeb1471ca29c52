"""The types with an id: applications, accounts, installations.

Their sources are the domain's objects as storage reads them: no object of these classes is ever made. A field without
a resolver is the attribute of the same name, and `self` in a resolver is the domain's object.
"""

from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from gateway.domain import installations as domain
from gateway.domain import policy
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import AuthorizationMethod, InstallationStatus
from gateway.schema.arguments import AccountId
from gateway.schema.connections import InstallationConnection, list_installations
from gateway.schema.context import Info
from gateway.schema.events import InstallationEventConnection, list_history
from gateway.schema.scalars import JsonText, JsonValue, parse_optional_uuid
from gateway.schema.status import StatusReason, Sync
from gateway.usecases.batch_loader import MappedFuture
from gateway.usecases.reads import find_installations_by_pair
from gateway.usecases.visibility import reads_metadata


@strawberry.interface(description="An object with an id of its own, which is the same in logs and in the database.")
class Node:
    source_type: ClassVar[type]
    """The domain's class whose objects are the sources of this type."""
    id: UUID = strawberry.field(
        description="The id of the object: a UUID in lower case, unique among all objects.", graphql_type=strawberry.ID
    )

    @classmethod
    def is_type_of(cls, source: object, _info: object) -> bool:
        """Return whether a source is one of this type's; Strawberry asks."""
        return isinstance(source, cls.source_type)


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
        wanted = parse_optional_uuid(account_id, argument="accountId") or info.context.principal.account_id
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


@strawberry.type(description="The connection between an application and a company's account.")
class Installation(Node):
    source_type = domain.Installation
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

    @strawberry.field(description="The application that is installed.", graphql_type=Application)
    def application(self, info: Info) -> MappedFuture[Any, domain.Application | None]:
        return info.context.loaders.applications.load(self.application_id)

    @strawberry.field(description="The account that the application is installed for.", graphql_type=Account)
    def account(self, info: Info) -> MappedFuture[Any, domain.Account | None]:
        return info.context.loaders.accounts.load(self.account_id)

    @strawberry.field(
        name="metadata",
        description="The application's own JSON object; null to callers that may not read it: users of an account.",
    )
    def readable_metadata(self, info: Info) -> JsonValue | None:
        readable = reads_metadata(info.context.principal)
        return JsonValue(JsonText(self.metadata)) if readable else None

    @strawberry.field(
        description="The actions that the caller can carry out on the installation now.",
        graphql_type=list[InstallationAction],
    )
    def allowed_actions(self, info: Info) -> MappedFuture[Any, list[InstallationAction] | None]:
        principal, installation = info.context.principal, cast("domain.Installation", self)

        def allowed(application: domain.Application) -> list[InstallationAction]:
            return list(policy.allowed_actions(principal, installation=installation, application=application))

        return info.context.loaders.applications.load(self.application_id, allowed)

    history = strawberry.field(
        resolver=list_history,
        description="The events of the installation, oldest first.",
        graphql_type=InstallationEventConnection,
    )
