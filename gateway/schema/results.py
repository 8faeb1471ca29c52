"""The results of mutations: unions of the changed object and the expected failures."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import strawberry

from gateway.domain import api_keys as keys
from gateway.schema.errors import (
    AccountNotFound,
    ActionNotAllowed,
    ApiKeyNotFound,
    ApplicationNotFound,
    InstallationAlreadyExists,
    InstallationNotFound,
    InvalidInput,
    SlugTaken,
    VersionConflict,
)
from gateway.schema.nodes import Account, ApiKey, Application, Installation, load_account, load_application


@strawberry.type(description="The installation is deleted; its events stay.")
class DeletedInstallation:
    deleted_installation_id: UUID = strawberry.field(
        description="The id that the installation had.", graphql_type=strawberry.ID
    )
    application_id: strawberry.Private[UUID]
    account_id: strawberry.Private[UUID]
    deleted_at: datetime = strawberry.field(description="When the installation was deleted.")

    application = strawberry.field(
        resolver=load_application, description="The application that was installed.", graphql_type=Application
    )
    account = strawberry.field(
        resolver=load_account, description="The account that the application was installed for.", graphql_type=Account
    )


@strawberry.type(description="A new API key.")
class IssuedApiKey:
    api_key: keys.ApiKey = strawberry.field(description="The API key, without its secret.", graphql_type=ApiKey)
    secret: str = strawberry.field(description="The secret of the API key. It cannot be read again: store it now.")


def _result(mutation: str) -> Any:
    name = mutation[0].lower() + mutation[1:]
    return strawberry.union(f"{mutation}Result", description=f"The result of `{name}`.")


_Found: TypeAlias = Installation | InstallationNotFound | ActionNotAllowed

RegisterApplicationResult = Annotated[Application | SlugTaken | InvalidInput, _result("RegisterApplication")]
UpdateApplicationResult = Annotated[Application | ApplicationNotFound | InvalidInput, _result("UpdateApplication")]
RegisterAccountResult = Annotated[Account | InvalidInput, _result("RegisterAccount")]
IssueApiKeyResult = Annotated[
    IssuedApiKey | ApplicationNotFound | AccountNotFound | InvalidInput, _result("IssueApiKey")
]
RevokeApiKeyResult = Annotated[ApiKey | ApiKeyNotFound | InvalidInput, _result("RevokeApiKey")]
AuthorizeInstallationResult = Annotated[
    Installation | ApplicationNotFound | AccountNotFound | InvalidInput, _result("AuthorizeInstallation")
]
CreateInstallationResult = Annotated[
    Installation | ApplicationNotFound | AccountNotFound | ActionNotAllowed | InstallationAlreadyExists | InvalidInput,
    _result("CreateInstallation"),
]
ActivateInstallationResult = Annotated[_Found | VersionConflict | InvalidInput, _result("ActivateInstallation")]
UpdateInstallationMetadataResult = Annotated[
    _Found | VersionConflict | InvalidInput, _result("UpdateInstallationMetadata")
]
StartInstallationSyncResult = Annotated[_Found | VersionConflict | InvalidInput, _result("StartInstallationSync")]
ReportInstallationSyncProgressResult = Annotated[_Found | InvalidInput, _result("ReportInstallationSyncProgress")]
FinishInstallationSyncResult = Annotated[_Found | InvalidInput, _result("FinishInstallationSync")]
ReportInstallationConnectionResult = Annotated[_Found | InvalidInput, _result("ReportInstallationConnection")]
DeactivateInstallationResult = Annotated[_Found | VersionConflict | InvalidInput, _result("DeactivateInstallation")]
DeleteInstallationResult = Annotated[
    DeletedInstallation | InstallationNotFound | ActionNotAllowed | VersionConflict | InvalidInput,
    _result("DeleteInstallation"),
]
