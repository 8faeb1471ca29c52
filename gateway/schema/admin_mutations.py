"""What the platform keeps in the gateway: applications, accounts, and API keys."""

from typing import Any

import strawberry

from gateway.domain.errors import BadUserInput
from gateway.schema.arguments import InputArg
from gateway.schema.context import Info
from gateway.schema.inputs import (
    IssueApiKeyInput,
    RegisterAccountInput,
    RegisterApplicationInput,
    RevokeApiKeyInput,
    UpdateApplicationInput,
    account_id_of,
    optional_uuid_of,
    uuid_of,
)
from gateway.schema.nodes import Account, Application
from gateway.schema.results import (
    IssueApiKeyResult,
    IssuedApiKey,
    RegisterAccountResult,
    RegisterApplicationResult,
    RevokeApiKeyResult,
    RevokedApiKey,
    UpdateApplicationResult,
)
from gateway.usecases import api_keys, marketplace

_CHANGEABLE = ("name", "description", "categories", "logo_url", "requires_configuration", "listed")


def _changes(given: UpdateApplicationInput) -> dict[str, Any]:
    changes = {name: value for name in _CHANGEABLE if (value := getattr(given, name)) is not strawberry.UNSET}
    for name, value in changes.items():
        if value is None and name != "logo_url":
            raise BadUserInput(f"{name} cannot be null. Leave it out to keep it as it is.", argument=name)
    if "categories" in changes:
        changes["categories"] = tuple(changes["categories"])
    return changes


@strawberry.type
class AdminMutations:
    @strawberry.mutation(description="The platform: add an application to the marketplace.")
    async def register_application(
        self, info: Info, input: InputArg[RegisterApplicationInput]
    ) -> RegisterApplicationResult:
        row = await marketplace.register_application(
            info.context.services,
            info.context.principal,
            slug=input.slug,
            name=input.name,
            description=input.description or "",
            categories=tuple(input.categories or ()),
            logo_url=input.logo_url,
            authorization_method=input.authorization_method,
            requires_configuration=input.requires_configuration,
            listed=input.listed,
        )
        return Application.of(row)

    @strawberry.mutation(description="The platform: change what is told of an application.")
    async def update_application(self, info: Info, input: InputArg[UpdateApplicationInput]) -> UpdateApplicationResult:
        row = await marketplace.update_application_details(
            info.context.services,
            info.context.principal,
            application_id=uuid_of(input.id, argument="id"),
            changes=_changes(input),
        )
        return Application.of(row)

    @strawberry.mutation(description="The platform: make an account known, or rename it.")
    async def register_account(self, info: Info, input: InputArg[RegisterAccountInput]) -> RegisterAccountResult:
        row = await marketplace.register_account(
            info.context.services,
            info.context.principal,
            account_id=optional_uuid_of(input.id, argument="id"),
            name=input.name,
        )
        return Account.of(row)

    @strawberry.mutation(description="The platform: make an API key. Its secret is shown once.")
    async def issue_api_key(self, info: Info, input: InputArg[IssueApiKeyInput]) -> IssueApiKeyResult:
        issued = await api_keys.issue_key(
            info.context.services,
            info.context.principal,
            kind=input.kind,
            application_id=optional_uuid_of(input.application_id, argument="applicationId"),
            account_id=account_id_of(input.account_id),
            label=input.label,
            expires_at=input.expires_at,
        )
        return IssuedApiKey(
            id=strawberry.ID(str(issued.api_key.id)),
            secret=issued.secret,
            kind=issued.api_key.kind,
            label=issued.api_key.label,
            expires_at=issued.api_key.expires_at,
        )

    @strawberry.mutation(description="The platform: end an API key.")
    async def revoke_api_key(self, info: Info, input: InputArg[RevokeApiKeyInput]) -> RevokeApiKeyResult:
        row, revoked_at = await api_keys.revoke_key(
            info.context.services, info.context.principal, api_key_id=uuid_of(input.id, argument="id")
        )
        info.context.api_key_cache.clear()
        return RevokedApiKey(id=strawberry.ID(str(row.id)), label=row.label, revoked_at=revoked_at)
