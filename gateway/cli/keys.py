"""`gateway key issue|list|revoke`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from gateway.cli.database_target import database_target, open_services
from gateway.domain.api_keys import ApiKey
from gateway.domain.errors import BadUserInput
from gateway.domain.principals import Principal, PrincipalKind
from gateway.settings import read_settings
from gateway.storage.database import read
from gateway.usecases.api_keys import issue_key, list_keys, revoke_key
from gateway.usecases.reads import find_applications_by_slug
from gateway.usecases.services import Services

OPERATOR = Principal(kind=PrincipalKind.PLATFORM, label="command line")


async def issue(
    *,
    data: Path | None,
    kind: str,
    application: str | None,
    account: str | None,
    expires_at: datetime | None,
    label: str,
    as_json: bool,
) -> int:
    """Make a key; print its secret, or one JSON object."""
    _require_matching_options(kind, application=application, account=account)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise BadUserInput(f"--expires has to be in the future; {expires_at.isoformat()} is past.")
    async with database_target(data) as target, open_services(target, read_settings()) as services:
        issued = await issue_key(
            services,
            OPERATOR,
            kind=PrincipalKind(kind.upper()),
            application_id=None if application is None else await _application_id(services, application),
            account_id=None if account is None else _uuid(account, option="--account"),
            label=label,
            expires_at=expires_at,
        )
    if as_json:
        print(json.dumps({**_as_json(issued.api_key), "secret": issued.secret}))
    else:
        print(issued.secret)
    return 0


def _require_matching_options(kind: str, *, application: str | None, account: str | None) -> None:
    """Refuse, in terms of the options, what the use case would refuse."""
    match kind:
        case "platform" if application is not None or account is not None:
            raise BadUserInput("a key of --kind platform has no bounds: leave --application and --account out.")
        case "application" if application is None:
            raise BadUserInput("a key of --kind application needs --application SLUG|ID.")
        case "account" if account is None:
            raise BadUserInput("a key of --kind account needs --account ID.")
        case "account" if application is not None:
            raise BadUserInput("a key of --kind account is for one account alone: leave --application out.")


async def _application_id(services: Services, slug_or_id: str) -> UUID:
    try:
        return UUID(slug_or_id)
    except ValueError:
        found = await read(services.database, find_applications_by_slug, OPERATOR, ids=[slug_or_id])
    if slug_or_id not in found:
        raise BadUserInput(f"there is no application {slug_or_id!r}; --application takes a slug, or an id.")
    return found[slug_or_id].id


def _uuid(text: str, *, option: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadUserInput(
            f"{option} takes an id such as 65816f7f-9947-513b-ad16-2bf0586ecbd4, not {text!r}."
        ) from None


async def show(*, data: Path | None, as_json: bool) -> int:
    """List all keys, as lines or as one JSON array."""
    async with database_target(data) as target, open_services(target, read_settings()) as services:
        keys = await list_keys(services, OPERATOR)
    if as_json:
        print(json.dumps([_as_json(key) for key in keys]))
        return 0
    print(f"{'ID':36}  {'KIND':11}  {'STATE':9}  {'LAST USED':20}  PREFIX            LABEL")
    for key in keys:
        used = _iso(key.last_used_at) or "never"
        print(f"{key.id}  {key.kind.value:11}  {_state(key):9}  {used[:19]:20}  {key.beginning}  {key.label}")
    return 0


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "in force"


def _as_json(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": str(key.id),
        "prefix": key.beginning,
        "kind": key.kind.value,
        "applicationId": None if key.application_id is None else str(key.application_id),
        "accountId": None if key.account_id is None else str(key.account_id),
        "label": key.label,
        "createdAt": _iso(key.created_at),
        "expiresAt": _iso(key.expires_at),
        "revokedAt": _iso(key.revoked_at),
        "lastUsedAt": _iso(key.last_used_at),
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def revoke(*, data: Path | None, api_key_id: str) -> int:
    """End a key; print when it ended."""
    async with database_target(data) as target, open_services(target, read_settings()) as services:
        key = await revoke_key(services, OPERATOR, api_key_id=_uuid(api_key_id, option="ID"))
    print(f"revoked {key.id} ({key.label}) at {_iso(key.revoked_at)}")
    return 0
