"""What mutations answer: the object itself, or one of the failures that are to be expected of it."""

from datetime import datetime
from typing import Annotated, Any

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


@strawberry.type(description="The installation is gone; its events stay.")
class DeletedInstallation:
    id: strawberry.ID = strawberry.field(description="The id that it had.")
    deleted_at: datetime = strawberry.field(description="When it was deleted.")


@strawberry.type(description="A new API key.")
class IssuedApiKey:
    id: strawberry.ID = strawberry.field(description="Not secret: name the key by it, to revoke it.")
    secret: str = strawberry.field(description="Shown this once: store it now.")
    kind: PrincipalKind = strawberry.field(description="What sort of caller it makes of its bearer.")
    label: str = strawberry.field(description="What it is called.")
    expires_at: datetime | None = strawberry.field(description="When it ends; null where it does not.")


@strawberry.type(description="The key is refused from now on.")
class RevokedApiKey:
    id: strawberry.ID = strawberry.field(description="The id of the key.")
    label: str = strawberry.field(description="What it is called.")
    revoked_at: datetime = strawberry.field(description="Since when it is refused.")


def _answer(mutation: str) -> Any:
    name = mutation[0].lower() + mutation[1:]
    return strawberry.union(f"{mutation}Result", description=f"What `{name}` answers.")


RegisterApplicationResult = Annotated[Application | SlugTaken, _answer("RegisterApplication")]
UpdateApplicationResult = Annotated[Application | ApplicationNotFound, _answer("UpdateApplication")]
RegisterAccountResult = Annotated[Account, _answer("RegisterAccount")]
IssueApiKeyResult = Annotated[IssuedApiKey | ApplicationNotFound | AccountNotFound, _answer("IssueApiKey")]
RevokeApiKeyResult = Annotated[RevokedApiKey | ApiKeyNotFound, _answer("RevokeApiKey")]
AuthorizeInstallationResult = Annotated[
    Installation | ApplicationNotFound | AccountNotFound, _answer("AuthorizeInstallation")
]
CreateInstallationResult = Annotated[
    Installation
    | ApplicationNotFound
    | AccountNotFound
    | ActionNotAllowed
    | InstallationAlreadyExists
    | MetadataRejected,
    _answer("CreateInstallation"),
]
ActivateInstallationResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    _answer("ActivateInstallation"),
]
UpdateInstallationMetadataResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict | MetadataRejected,
    _answer("UpdateInstallationMetadata"),
]
StartInstallationSyncResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    _answer("StartInstallationSync"),
]
ReportInstallationSyncProgressResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed,
    _answer("ReportInstallationSyncProgress"),
]
FinishInstallationSyncResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed, _answer("FinishInstallationSync")
]
ReportInstallationConnectionResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed, _answer("ReportInstallationConnection")
]
DeactivateInstallationResult = Annotated[
    Installation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    _answer("DeactivateInstallation"),
]
DeleteInstallationResult = Annotated[
    DeletedInstallation | InstallationNotFound | ActionNotAllowed | VersionConflict,
    _answer("DeleteInstallation"),
]
