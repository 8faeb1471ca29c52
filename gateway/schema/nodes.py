"""The objects that clients see: applications, accounts, installations."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import strawberry

from gateway.domain import installations as domain
from gateway.domain import policy
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import AuthorizationMethod, InstallationStatus, StatusReasonCode, SyncState
from gateway.schema import enums as _enums  # noqa: F401 - the enums have to be known before the types
from gateway.schema.arguments import AccountId, After, Before, First, Installations, Last, OrderBy
from gateway.schema.context import Info
from gateway.schema.inputs import account_id_of
from gateway.schema.scalars import JsonValue, json_text
from gateway.usecases.mapped_future import MappedFuture

if TYPE_CHECKING:
    from gateway.schema.connections import InstallationConnection
    from gateway.schema.events import InstallationEventConnection

Row = TypeVar("Row")
Answer = TypeVar("Answer")

LazyInstallations = Annotated["InstallationConnection", strawberry.lazy("gateway.schema.connections")]
LazyEvents = Annotated["InstallationEventConnection", strawberry.lazy("gateway.schema.events")]


@strawberry.interface(description="Something with an identifier of its own: the same in logs and in SQL.")
class Node:
    id: strawberry.ID = strawberry.field(description="A UUID in lower case, unlike any other in the gateway.")


@strawberry.type(description="A third-party client in the marketplace.")
class Application(Node):
    row: strawberry.Private[domain.Application]
    slug: str = strawberry.field(description="Its readable name in addresses; never changes.")
    name: str = strawberry.field(description="What people call it.")
    description: str = strawberry.field(description="What it does, for people.")
    categories: list[str] = strawberry.field(description="Under which headings the marketplace shows it.")
    logo_url: str | None = strawberry.field(description="Where its picture is.")
    authorization_method: AuthorizationMethod = strawberry.field(description="How a user authorizes it.")
    requires_configuration: bool = strawberry.field(
        description="With OAuth: whether the application still has to activate what was authorized."
    )
    listed: bool = strawberry.field(description="Whether everybody sees it in the marketplace.")
    created_at: datetime = strawberry.field(description="When it was registered.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @staticmethod
    def of(row: domain.Application) -> "Application":
        return Application(
            row=row,
            id=strawberry.ID(str(row.id)),
            slug=row.slug,
            name=row.name,
            description=row.description,
            categories=list(row.categories),
            logo_url=row.logo_url,
            authorization_method=row.authorization_method,
            requires_configuration=row.requires_configuration,
            listed=row.listed,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The installation for an account; of the caller's own one where none is named.")
    async def installation(self, info: Info, account_id: AccountId = None) -> "Installation | None":
        wanted = account_id_of(account_id) or info.context.principal.account_id
        if wanted is None:
            raise BadUserInput("accountId is needed: this caller is not bound to an account.", argument="accountId")
        row = await info.context.loaders.ties.load((self.row.id, wanted))
        return Installation.of(row) if row else None

    @strawberry.field(description="The application's installations that the caller sees.")
    async def installations(
        self,
        info: Info,
        filter: Installations = None,
        order_by: OrderBy = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> LazyInstallations:
        from gateway.schema.connections import installation_connection

        return await installation_connection(
            info, of="application", parent=self.row.id, filter=filter, order_by=order_by,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip


@strawberry.type(description="A company's account on the platform.")
class Account(Node):
    row: strawberry.Private[domain.Account]
    name: str = strawberry.field(description="What the company is called.")

    @staticmethod
    def of(row: domain.Account) -> "Account":
        return Account(row=row, id=strawberry.ID(str(row.id)), name=row.name)

    @strawberry.field(description="The account's installations that the caller sees.")
    async def installations(
        self,
        info: Info,
        filter: Installations = None,
        order_by: OrderBy = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> LazyInstallations:
        from gateway.schema.connections import installation_connection

        return await installation_connection(
            info, of="account", parent=self.row.id, filter=filter, order_by=order_by,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip


@strawberry.type(description="Why an installation has its status.")
class StatusReason:
    code: StatusReasonCode = strawberry.field(description="The reason.")
    message: str | None = strawberry.field(description="What whoever changed the status said of it, for people.")
    since: datetime = strawberry.field(description="When the status began.")


@strawberry.type(description="One part of a synchronisation, as the application names it: tags, tax-codes, vendors, ….")
class SyncStep:
    name: str = strawberry.field(description="What the application calls this part.")
    done: int = strawberry.field(description="How many of it are done.")
    total: int | None = strawberry.field(description="Null while the application does not know it.")


def sync_steps(steps: tuple[domain.SyncStep, ...]) -> list[SyncStep]:
    return [SyncStep(name=step.name, done=step.done, total=step.total) for step in steps]


@strawberry.type(description="The current or last synchronisation.")
class Sync:
    state: SyncState = strawberry.field(description="How it stands.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    expires_at: datetime | None = strawberry.field(
        description="While it runs: when its lease ends, unless the application reports before."
    )
    steps: list[SyncStep] = strawberry.field(description="How far each of its parts is, as last reported.")
    message: str | None = strawberry.field(description="What the application last said of it, for people.")

    @staticmethod
    def of(row: domain.Sync) -> "Sync":
        return Sync(
            state=row.state,
            started_at=row.started_at,
            finished_at=row.finished_at,
            expires_at=row.expires_at,
            steps=sync_steps(row.steps),
            message=row.message,
        )


@strawberry.type(description="The tie between an application and a company's account.")
class Installation(Node):
    row: strawberry.Private[domain.Installation]
    status: InstallationStatus = strawberry.field(description="Where it stands.")
    version: int = strawberry.field(description="One more with every change.")
    connection_failures: int = strawberry.field(description="How often the connection failed, in a row.")
    authorization_expires_at: datetime | None = strawberry.field(
        description="When the authorization ends; null where it does not."
    )
    created_at: datetime = strawberry.field(description="When it was first authorized.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    activated_at: datetime | None = strawberry.field(description="When it last became ready for use.")

    @classmethod
    def found(cls, row: domain.Installation | None) -> "Installation | None":
        return None if row is None else cls.of(row)

    @staticmethod
    def of(row: domain.Installation) -> "Installation":
        return Installation(
            row=row,
            id=strawberry.ID(str(row.id)),
            status=row.status,
            version=row.version,
            connection_failures=row.connection_failures,
            authorization_expires_at=row.authorization_expires_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
            activated_at=row.activated_at,
        )

    @strawberry.field(description="What is installed.", graphql_type=Application)
    def application(self, info: Info) -> MappedFuture[Any, Application]:
        return info.context.loaders.tied_applications.load(self.row.application_id, _tied(Application.of))

    @strawberry.field(description="Whose installation it is.", graphql_type=Account)
    def account(self, info: Info) -> MappedFuture[Any, Account]:
        return info.context.loaders.tied_accounts.load(self.row.account_id, _tied(Account.of))

    @strawberry.field(description="Why it has its status, and since when.")
    def status_reason(self) -> StatusReason:
        reason = self.row.status_reason
        return StatusReason(code=reason.code, message=reason.message, since=reason.since)

    @strawberry.field(
        description="The application's own JSON object. Null to a caller who may not read it: an account's user."
    )
    def metadata(self, info: Info) -> JsonValue | None:
        return json_text(self.row.metadata) if policy.reads_metadata(info.context.principal) else None

    @strawberry.field(description="What this caller may do now.", graphql_type=list[InstallationAction])
    def allowed_actions(self, info: Info) -> MappedFuture[Any, list[InstallationAction]]:
        def allowed(application: domain.Application) -> list[InstallationAction]:
            return list(policy.allowed_actions(info.context.principal, installation=self.row, application=application))

        return info.context.loaders.tied_applications.load(self.row.application_id, _tied(allowed))

    @strawberry.field(description="The current or last synchronisation; null before the first.")
    def sync(self) -> Sync | None:
        return Sync.of(self.row.sync) if self.row.sync else None

    @strawberry.field(description="What happened to it, oldest first.")
    async def history(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> LazyEvents:
        from gateway.schema.events import history_connection

        return await history_connection(
            info, installation_id=self.row.id, first=first, after=after, last=last, before=before
        )


def _tied(then: Callable[[Row], Answer]) -> Callable[[Row | None], Answer]:
    """Go on with the other end of an installation's tie, which is always there."""

    def go_on(row: Row | None) -> Answer:
        assert row is not None  # noqa: S101 - a foreign key holds it
        return then(row)

    return go_on
