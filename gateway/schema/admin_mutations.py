"""The mutations of applications, accounts and API keys, which are for the platform alone."""

import strawberry

from gateway.domain.api_keys import ApiKey
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
    UpdateApplicationResult,
)
from gateway.usecases import api_keys, marketplace

_CHANGEABLE = ("name", "description", "categories", "logo_url", "requires_configuration", "listed")


@strawberry.type
class AdminMutations:
    @strawberry.mutation(
        description="Registers an application in the marketplace. Only for the platform.",
        graphql_type=RegisterApplicationResult,
    )
    async def register_application(self, info: Info, input: RegisterApplicationInput) -> Application:
        return await marketplace.register_application(
            info.context.services,
            info.context.caller,
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
            info.context.caller,
            application_id=input.id,
            changes={name: value for name in _CHANGEABLE if (value := getattr(input, name)) is not strawberry.UNSET},
        )

    @strawberry.mutation(
        description="Registers an account, or renames the one with this id. Only for the platform.",
        graphql_type=RegisterAccountResult,
    )
    async def register_account(self, info: Info, input: RegisterAccountInput) -> Account:
        return await marketplace.register_account(
            info.context.services,
            info.context.caller,
            account_id=input.id,
            name=input.name,
        )

    @strawberry.mutation(
        description="Issues an API key. Its secret is returned once, and cannot be read again. Only for the platform.",
        graphql_type=IssueApiKeyResult,
    )
    async def issue_api_key(self, info: Info, input: IssueApiKeyInput) -> IssuedApiKey:
        issued = await api_keys.issue_key(
            info.context.services,
            info.context.caller,
            kind=input.kind,
            application_id=input.application_id,
            account_id=input.account_id,
            label=input.label,
            expires_at=input.expires_at,
        )
        return IssuedApiKey(api_key=issued.api_key, secret=issued.secret)

    @strawberry.mutation(
        description="Revokes an API key. Only for the platform.",
        graphql_type=RevokeApiKeyResult,
    )
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> ApiKey:
        revoked = await api_keys.revoke_key(info.context.services, info.context.caller, api_key_id=input.id)
        info.context.api_key_cache.clear()
        return revoked
