"""What applications and the platform do to installations."""

import strawberry

from gateway.schema.admin_mutations import AdminMutations
from gateway.schema.arguments import InputArg
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
    account_id_of,
    optional_uuid_of,
    steps_of,
    uuid_of,
)
from gateway.schema.nodes import Installation
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


@strawberry.type(
    description="What can be done. What is to be expected to fail is a member of the result; nothing was changed then."
)
class Mutation(AdminMutations):
    @strawberry.mutation(description="The platform: the user finished the authorization process.")
    async def authorize_installation(
        self, info: Info, input: InputArg[AuthorizeInstallationInput]
    ) -> AuthorizeInstallationResult:
        row = await installations.authorize_installation(
            info.context.services,
            info.context.principal,
            application_id=uuid_of(input.application_id, argument="applicationId"),
            account_id=uuid_of(input.account_id, argument="accountId"),
            expires_at=input.expires_at,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The application, API_KEY method only: complete the installation.")
    async def create_installation(
        self, info: Info, input: InputArg[CreateInstallationInput]
    ) -> CreateInstallationResult:
        row = await installations.create_installation(
            info.context.services,
            info.context.principal,
            application_id=optional_uuid_of(input.application_id, argument="applicationId"),
            account_id=account_id_of(input.account_id),
            metadata=input.metadata,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The application: its configuration is complete.")
    async def activate_installation(
        self, info: Info, input: InputArg[ActivateInstallationInput]
    ) -> ActivateInstallationResult:
        row = await installations.activate_installation(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            expected_version=input.expected_version,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The application or the platform: change the application's own data, atomically.")
    async def update_installation_metadata(
        self, info: Info, input: InputArg[UpdateInstallationMetadataInput]
    ) -> UpdateInstallationMetadataResult:
        services, principal = info.context.services, info.context.principal
        installation_id, version = uuid_of(input.id, argument="id"), input.expected_version
        if input.change.replace is not strawberry.UNSET:
            row = await installations.replace_metadata(
                services,
                principal,
                installation_id=installation_id,
                metadata=input.change.replace,
                expected_version=version,
            )
        else:
            row = await installations.merge_into_metadata(
                services,
                principal,
                installation_id=installation_id,
                patch=input.change.merge,
                expected_version=version,
            )
        return Installation.of(row)

    @strawberry.mutation(description="The application: begin to synchronise.")
    async def start_installation_sync(
        self, info: Info, input: InputArg[StartInstallationSyncInput]
    ) -> StartInstallationSyncResult:
        row = await syncs.start_installation_sync(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            lease_seconds=input.lease_seconds,
            steps=steps_of(input.steps),
            expected_version=input.expected_version,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The application: tell how far the synchronisation is, and renew its lease.")
    async def report_installation_sync_progress(
        self, info: Info, input: InputArg[ReportInstallationSyncProgressInput]
    ) -> ReportInstallationSyncProgressResult:
        row = await syncs.report_installation_sync_progress(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            steps=steps_of(input.steps),
            message=input.message,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The application: end the synchronisation.")
    async def finish_installation_sync(
        self, info: Info, input: InputArg[FinishInstallationSyncInput]
    ) -> FinishInstallationSyncResult:
        row = await syncs.finish_installation_sync(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            outcome=input.outcome,
            message=input.message,
        )
        return Installation.of(row)

    @strawberry.mutation(
        description="The application: tell whether its own system was reached. Several failures in a row make the"
        " installation INACTIVE."
    )
    async def report_installation_connection(
        self, info: Info, input: InputArg[ReportInstallationConnectionInput]
    ) -> ReportInstallationConnectionResult:
        row = await installations.report_installation_connection(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            succeeded=input.succeeded,
            message=input.message,
        )
        return Installation.of(row)

    @strawberry.mutation(description="The platform or the application: switch off until authorized again.")
    async def deactivate_installation(
        self, info: Info, input: InputArg[DeactivateInstallationInput]
    ) -> DeactivateInstallationResult:
        row = await installations.deactivate_installation(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            reason=input.reason,
            message=input.message,
            expected_version=input.expected_version,
        )
        return Installation.of(row)

    @strawberry.mutation(description="Disconnect the application. Refused while it synchronises: data would be lost.")
    async def delete_installation(
        self, info: Info, input: InputArg[DeleteInstallationInput]
    ) -> DeleteInstallationResult:
        row, deleted_at = await installations.delete_installation(
            info.context.services,
            info.context.principal,
            installation_id=uuid_of(input.id, argument="id"),
            expected_version=input.expected_version,
        )
        return DeletedInstallation(id=strawberry.ID(str(row.id)), deleted_at=deleted_at)
