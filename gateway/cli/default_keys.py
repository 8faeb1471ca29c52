"""The keys of the embedded database: for the platform, an application and an account, the same at every start."""

import json
import logging
import os
from pathlib import Path

from gateway.demo.scenarios import PLATFORM, UNFINISHED_EXAMPLE
from gateway.domain.errors import AccountNotFound, ApplicationNotFound, Unauthenticated
from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.page import PrefilledKey
from gateway.usecases.api_keys import ApiKeyCache, issue_key
from gateway.usecases.services import Services

LOG = logging.getLogger("gateway")
_APPLICATION, _ACCOUNT = UNFINISHED_EXAMPLE.application, UNFINISHED_EXAMPLE.account


_WANTED = (
    (PrincipalKind.PLATFORM, "The platform", None, None),
    (PrincipalKind.APPLICATION, _APPLICATION.name, _APPLICATION.id, None),
    (PrincipalKind.ACCOUNT, _ACCOUNT.name, None, _ACCOUNT.id),
)


async def default_keys(services: Services, directory: Path) -> tuple[PrefilledKey, ...]:
    """Read the keys kept in the data directory; issue those that are missing or no longer valid.

    Without the example data there is a key for the platform alone.
    """
    path = directory / "keys.json"
    kept = _read(path)
    keys = []
    for kind, label, application_id, account_id in _WANTED:
        secret = kept.get(kind.value)
        if secret is None or not await _is_valid(services, secret):
            try:
                issued = await issue_key(
                    services,
                    PLATFORM,
                    kind=kind,
                    application_id=application_id,
                    account_id=account_id,
                    label=label,
                    expires_at=None,
                )
            except (ApplicationNotFound, AccountNotFound):
                continue
            secret = issued.secret
        keys.append(PrefilledKey(kind=kind, label=label, secret=secret))
    secrets = {key.kind.value: key.secret for key in keys}
    if secrets != kept:
        _write(path, secrets)
    path.chmod(0o600)
    return tuple(keys)


async def _is_valid(services: Services, secret: str) -> bool:
    try:
        await ApiKeyCache(services).authenticate(secret)
    except Unauthenticated:
        return False
    return True


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(secret, str) for secret in kept.values()):
        LOG.warning("%s cannot be read: new keys are made. The old ones stay in force until they are revoked.", path)
        return {}
    return kept


def _write(path: Path, secrets: dict[str, str]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600), "w", encoding="utf-8") as file:
        json.dump(secrets, file, indent=2)
        file.write("\n")
    new.replace(path)
