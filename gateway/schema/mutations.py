"""The mutations of installations."""

import strawberry

from gateway.domain.installations import Installation
from gateway.schema.admin_mutations import AdminMutations
from gateway.schema.context import Info
from gateway.schema.inputs import (
    ActivateInstallationInput,
    AuthorizeInstallationInput,
    CreateInstallationInput,
    DeactivateInstallationInput,
    DeleteInstallationInput,
    FinishInstallationSyncInput,
    ReportInstallationConnectionInput,
    ReportInstallationSyncProgressInput,
    StartInstallationSyncInput,
    UpdateInstallationMetadataInput,
    to_sync_steps,
)
from gateway.schema.results import (
    ActivateInstallationResult,
    AuthorizeInstallationResult,
    CreateInstallationResult,
    DeactivateInstallationResult,
    DeletedInstallation,
    DeleteInstallationResult,
    FinishInstallationSyncResult,
    ReportInstallationConnectionResult,
    ReportInstallationSyncProgressResult,
    StartInstallationSyncResult,
    UpdateInstallationMetadataResult,
)
from gateway.usecases import installations, syncs


@strawberry.type(description="The mutations. An expected failure is a member of the result: then nothing was changed.")
class Mutation(AdminMutations):
    @strawberry.mutation(
        description="Installs an application for an account after the user authorized it, restores an INACTIVE"
        " installation, or renews the authorization. Only for the platform.",
        graphql_type=AuthorizeInstallationResult,
    )
    async def authorize_installation(self, info: Info, input: AuthorizeInstallationInput) -> Installation:
        return await installations.authorize_installation(
            info.context.services,
            info.context.caller,
            application_id=input.application_id,
            account_id=input.account_id,
            expires_at=input.expires_at,
        )

    @strawberry.mutation(
        description="Completes an AUTHORIZED installation of an application with the API_KEY method; before the"
        " platform has authorized the application for the account, the result is ActionNotAllowed. For the application"
        " and the platform.",
        graphql_type=CreateInstallationResult,
    )
    async def create_installation(self, info: Info, input: CreateInstallationInput) -> Installation:
        return await installations.create_installation(
            info.context.services,
            info.context.caller,
            application_id=input.application_id,
            account_id=input.account_id,
            metadata=input.metadata,
        )

    @strawberry.mutation(
        description="Activates an AUTHORIZED installation, whose configuration is complete. For the application and"
        " the platform.",
        graphql_type=ActivateInstallationResult,
    )
    async def activate_installation(self, info: Info, input: ActivateInstallationInput) -> Installation:
        return await installations.activate_installation(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            expected_version=input.expected_version,
        )

    @strawberry.mutation(
        description="Changes the metadata of an installation atomically. For the application and the platform.",
        graphql_type=UpdateInstallationMetadataResult,
    )
    async def update_installation_metadata(self, info: Info, input: UpdateInstallationMetadataInput) -> Installation:
        services, principal = info.context.services, info.context.caller
        installation_id, version = input.id, input.expected_version
        if input.change.replace is not strawberry.UNSET:
            return await installations.replace_metadata(
                services,
                principal,
                installation_id=installation_id,
                metadata=input.change.replace,
                expected_version=version,
            )
        return await installations.merge_into_metadata(
            services,
            principal,
            installation_id=installation_id,
            patch=input.change.merge,
            expected_version=version,
        )

    @strawberry.mutation(
        description="Starts a synchronisation of an ACTIVATED installation. For the application and the platform.",
        graphql_type=StartInstallationSyncResult,
    )
    async def start_installation_sync(self, info: Info, input: StartInstallationSyncInput) -> Installation:
        return await syncs.start_installation_sync(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            lease_seconds=input.lease_seconds,
            steps=to_sync_steps(input.steps),
            expected_version=input.expected_version,
        )

    @strawberry.mutation(
        description="Reports the progress of the running synchronisation, and renews its lease, up to the longest time"
        " that a synchronisation may take in all. For the application and the platform.",
        graphql_type=ReportInstallationSyncProgressResult,
    )
    async def report_installation_sync_progress(
        self, info: Info, input: ReportInstallationSyncProgressInput
    ) -> Installation:
        return await syncs.report_installation_sync_progress(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            steps=to_sync_steps(input.steps),
            message=input.message,
        )

    @strawberry.mutation(
        description="Ends the running synchronisation. For the application and the platform.",
        graphql_type=FinishInstallationSyncResult,
    )
    async def finish_installation_sync(self, info: Info, input: FinishInstallationSyncInput) -> Installation:
        return await syncs.finish_installation_sync(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            outcome=input.outcome,
            message=input.message,
        )

    @strawberry.mutation(
        description="Reports whether the application can reach its own system. Several failures in a row make the"
        " installation INACTIVE. For the application and the platform.",
        graphql_type=ReportInstallationConnectionResult,
    )
    async def report_installation_connection(
        self, info: Info, input: ReportInstallationConnectionInput
    ) -> Installation:
        return await installations.report_installation_connection(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            succeeded=input.succeeded,
            message=input.message,
        )

    @strawberry.mutation(
        description="Makes an installation INACTIVE until the user authorizes it again. For the application and the"
        " platform.",
        graphql_type=DeactivateInstallationResult,
    )
    async def deactivate_installation(self, info: Info, input: DeactivateInstallationInput) -> Installation:
        return await installations.deactivate_installation(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            reason=input.reason,
            message=input.message,
            expected_version=input.expected_version,
        )

    @strawberry.mutation(
        description="Deletes an installation. Not allowed while a synchronisation runs, which would lose data.",
        graphql_type=DeleteInstallationResult,
    )
    async def delete_installation(self, info: Info, input: DeleteInstallationInput) -> DeletedInstallation:
        deleted, deleted_at = await installations.delete_installation(
            info.context.services,
            info.context.caller,
            installation_id=input.id,
            expected_version=input.expected_version,
        )
        return DeletedInstallation(
            deleted_installation_id=deleted.id,
            application_id=deleted.application_id,
            account_id=deleted.account_id,
            deleted_at=deleted_at,
        )
