"""The results of mutations: unions of the changed object and the expected failures."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import strawberry

from gateway.domain.principals import PrincipalKind
from gateway.schema.errors import (
    AccountNotFound,
    ActionNotAllowed,
    ApiKeyNotFound,
    ApplicationNotFound,
    InstallationAlreadyExists,
    InstallationNotFound,
    MetadataRejected,
    SlugTaken,
    VersionConflict,
)
from gateway.schema.nodes import Account, Application, Installation


@strawberry.type(description="The installation is deleted; its events stay.")
class DeletedInstallation:
    id: strawberry.ID = strawberry.field(description="The id of the deleted installation.")
    deleted_at: datetime = strawberry.field(description="When the installation was deleted.")


@strawberry.type(description="A new API key.")
class IssuedApiKey:
    id: strawberry.ID = strawberry.field(
        description="The id of the API key, which is not secret: pass it to `revokeApiKey`."
    )
    secret: str = strawberry.field(description="The secret of the API key. It cannot be read again: store it now.")
    kind: PrincipalKind = strawberry.field(description="The kind of caller that the API key authenticates.")
    label: str = strawberry.field(description="The label of the API key.")
    expires_at: datetime | None = strawberry.field(description="When the API key expires; null if it does not.")


@strawberry.type(description="The API key is revoked.")
class RevokedApiKey:
    id: strawberry.ID = strawberry.field(description="The id of the API key.")
    label: str = strawberry.field(description="The label of the API key.")
    revoked_at: datetime = strawberry.field(description="When the API key was revoked.")


def _result(mutation: str) -> Any:
    name = mutation[0].lower() + mutation[1:]
    return strawberry.union(f"{mutation}Result", description=f"The result of `{name}`.")


_Changed: TypeAlias = Installation | InstallationNotFound | ActionNotAllowed

RegisterApplicationResult = Annotated[Application | SlugTaken, _result("RegisterApplication")]
UpdateApplicationResult = Annotated[Application | ApplicationNotFound, _result("UpdateApplication")]
RegisterAccountResult = Annotated[Account, _result("RegisterAccount")]
IssueApiKeyResult = Annotated[IssuedApiKey | ApplicationNotFound | AccountNotFound, _result("IssueApiKey")]
RevokeApiKeyResult = Annotated[RevokedApiKey | ApiKeyNotFound, _result("RevokeApiKey")]
AuthorizeInstallationResult = Annotated[
    Installation | ApplicationNotFound | AccountNotFound, _result("AuthorizeInstallation")
]
CreateInstallationResult = Annotated[
    Installation
    | ApplicationNotFound
    | AccountNotFound
    | ActionNotAllowed
    | InstallationAlreadyExists
    | MetadataRejected,
    _result("CreateInstallation"),
]
ActivateInstallationResult = Annotated[_Changed | VersionConflict, _result("ActivateInstallation")]
UpdateInstallationMetadataResult = Annotated[
    _Changed | VersionConflict | MetadataRejected, _result("UpdateInstallationMetadata")
]
StartInstallationSyncResult = Annotated[_Changed | VersionConflict, _result("StartInstallationSync")]
ReportInstallationSyncProgressResult = Annotated[_Changed, _result("ReportInstallationSyncProgress")]
FinishInstallationSyncResult = Annotated[_Changed, _result("FinishInstallationSync")]
ReportInstallationConnectionResult = Annotated[_Changed, _result("ReportInstallationConnection")]
DeactivateInstallationResult = Annotated[_Changed | VersionConflict, _result("DeactivateInstallation")]
DeleteInstallationResult = Annotated[
    DeletedInstallation | InstallationNotFound | ActionNotAllowed | VersionConflict, _result("DeleteInstallation")
]
