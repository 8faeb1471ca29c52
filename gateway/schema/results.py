"""What mutations answer: the object itself, or one of the failures that are to be expected of it."""

from datetime import datetime
from typing import Annotated

import strawberry

from gateway.domain.principals import PrincipalKind
from gateway.schema.failures import (
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


@strawberry.type(description="The installation is gone; its events stay.")
class DeletedInstallation:
    id: strawberry.ID
    deleted_at: datetime


@strawberry.type(description="A new API key.")
class IssuedApiKey:
    id: strawberry.ID
    secret: str = strawberry.field(description="Shown this once: store it now.")
    kind: PrincipalKind
    label: str
    expires_at: datetime | None


@strawberry.type(description="The key is refused from now on.")
class RevokedApiKey:
    id: strawberry.ID
    label: str
    revoked_at: datetime


RegisterApplicationResult = Annotated[Application | SlugTaken, strawberry.union("RegisterApplicationResult")]
UpdateApplicationResult = Annotated[Application | ApplicationNotFound, strawberry.union("UpdateApplicationResult")]
RegisterAccountResult = Annotated[Account, strawberry.union("RegisterAccountResult")]
IssueApiKeyResult = Annotated[
    IssuedApiKey | ApplicationNotFound | AccountNotFound, strawberry.union("IssueApiKeyResult")
]
RevokeApiKeyResult = Annotated[RevokedApiKey | ApiKeyNotFound, strawberry.union("RevokeApiKeyResult")]
AuthorizeInstallationResult = Annotated[
    Installation | ApplicationNotFound | AccountNotFound, strawberry.union("AuthorizeInstallationResult")
]
CreateInstallationResult = Annotated[
    Installation
    | ApplicationNotFound
    | AccountNotFound
    | ActionNotAllowed
    | InstallationAlreadyExists
    | MetadataRejected,
    strawberry.union("CreateInstallationResult"),
]
ActivateInstallationResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    strawberry.union("ActivateInstallationResult"),
]
UpdateInstallationMetadataResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict | MetadataRejected,
    strawberry.union("UpdateInstallationMetadataResult"),
]
StartInstallationSyncResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    strawberry.union("StartInstallationSyncResult"),
]
ReportInstallationSyncProgressResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed,
    strawberry.union("ReportInstallationSyncProgressResult"),
]
FinishInstallationSyncResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed, strawberry.union("FinishInstallationSyncResult")
]
ReportInstallationConnectionResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed, strawberry.union("ReportInstallationConnectionResult")
]
DeactivateInstallationResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    strawberry.union("DeactivateInstallationResult"),
]
DeleteInstallationResult = Annotated[
    DeletedInstallation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    strawberry.union("DeleteInstallationResult"),
]
