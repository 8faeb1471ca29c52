"""The mutations of applications, accounts and API keys, which are for the platform alone."""

from typing import Any

import strawberry

from gateway.domain.errors import BadUserInput
from gateway.domain.installations import Account, Application
from gateway.schema.context import Info
from gateway.schema.inputs import (
    IssueApiKeyInput,
    RegisterAccountInput,
    RegisterApplicationInput,
    RevokeApiKeyInput,
    UpdateApplicationInput,
)
from gateway.schema.results import (
    IssueApiKeyResult,
    IssuedApiKey,
    RegisterAccountResult,
    RegisterApplicationResult,
    RevokeApiKeyResult,
    RevokedApiKey,
    UpdateApplicationResult,
)
from gateway.schema.scalars import parse_optional_uuid, parse_uuid
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
    @strawberry.mutation(
        description="Registers an application in the marketplace. Only for the platform.",
        graphql_type=RegisterApplicationResult,
    )
    async def register_application(self, info: Info, input: RegisterApplicationInput) -> Application:
        return await marketplace.register_application(
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

    @strawberry.mutation(
        description="Changes the details of an application. Only for the platform.",
        graphql_type=UpdateApplicationResult,
    )
    async def update_application(self, info: Info, input: UpdateApplicationInput) -> Application:
        return await marketplace.update_application_details(
            info.context.services,
            info.context.principal,
            application_id=parse_uuid(input.id, argument="id"),
            changes=_changes(input),
        )

    @strawberry.mutation(
        description="Registers an account, or renames the one with this id. Only for the platform.",
        graphql_type=RegisterAccountResult,
    )
    async def register_account(self, info: Info, input: RegisterAccountInput) -> Account:
        return await marketplace.register_account(
            info.context.services,
            info.context.principal,
            account_id=parse_optional_uuid(input.id, argument="id"),
            name=input.name,
        )

    @strawberry.mutation(
        description="Issues an API key. Its secret is returned once, and cannot be read again. Only for the platform.",
        graphql_type=IssueApiKeyResult,
    )
    async def issue_api_key(self, info: Info, input: IssueApiKeyInput) -> IssuedApiKey:
        issued = await api_keys.issue_key(
            info.context.services,
            info.context.principal,
            kind=input.kind,
            application_id=parse_optional_uuid(input.application_id, argument="applicationId"),
            account_id=parse_optional_uuid(input.account_id, argument="accountId"),
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

    @strawberry.mutation(
        description="Revokes an API key. Only for the platform.",
        graphql_type=RevokeApiKeyResult,
    )
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> RevokedApiKey:
        row, revoked_at = await api_keys.revoke_key(
            info.context.services, info.context.principal, api_key_id=parse_uuid(input.id, argument="id")
        )
        info.context.api_key_cache.clear()
        return RevokedApiKey(id=strawberry.ID(str(row.id)), label=row.label, revoked_at=revoked_at)
