"""Who may do what: the decisions that depend on the caller's kind."""

from collections.abc import Iterable

from gateway.domain.actions import ACTORS, InstallationAction
from gateway.domain.errors import ActionNotAllowed, Forbidden
from gateway.domain.installations import Application, AuthorizationMethod, Installation, InstallationStatus
from gateway.domain.lifecycle import is_allowed_from
from gateway.domain.principals import Principal, PrincipalKind


def allowed_actions(
    principal: Principal, *, installation: Installation | None, application: Application
) -> tuple[InstallationAction, ...]:
    """Return the actions that the caller may take on this installation now and that change something."""
    status = installation.status if installation else None
    return tuple(
        action
        for action in InstallationAction
        if principal.kind in ACTORS[action]
        and is_allowed_from(action, status=status, method=application.authorization_method)
    )


def require_actor(principal: Principal, *, action: InstallationAction) -> None:
    """Raise Forbidden where this kind of caller may never take the action."""
    if principal.kind not in ACTORS[action]:
        raise Forbidden(f"{_NAMES[principal.kind]} may not do {action.value}; {_kinds(ACTORS[action])} may.")


def require_platform(principal: Principal, *, intention: str) -> None:
    """Raise Forbidden unless the caller is the platform."""
    if principal.kind is not PrincipalKind.PLATFORM:
        raise Forbidden(f"Only the platform may {intention}.")


def require_allowed(
    principal: Principal, *, action: InstallationAction, installation: Installation | None, application: Application
) -> None:
    """Raise ActionNotAllowed where the status, or the application's authorization method, does not allow the action.

    To be asked after lifecycle.is_noop.
    """
    status = installation.status if installation else None
    method = application.authorization_method
    if is_allowed_from(action, status=status, method=method):
        return
    raise ActionNotAllowed(
        _reason(action, status=status, method=method),
        action=action,
        installation=installation,
        allowed_actions=allowed_actions(principal, installation=installation, application=application),
    )


_NAMES = {
    PrincipalKind.PLATFORM: "The platform",
    PrincipalKind.APPLICATION: "An application",
    PrincipalKind.ACCOUNT: "An account's user",
    PrincipalKind.SYSTEM: "The gateway itself",
}


def _kinds(kinds: Iterable[PrincipalKind]) -> str:
    return " and ".join(sorted(_NAMES[kind].lower() for kind in kinds))


def _reason(action: InstallationAction, *, status: InstallationStatus | None, method: AuthorizationMethod) -> str:
    if action is InstallationAction.CREATE and method is not AuthorizationMethod.API_KEY:
        return "Only applications of the API_KEY method create installations; with OAUTH, authorizing does."
    if action is InstallationAction.DELETE and status is InstallationStatus.PENDING_INTEGRATION:
        return "The installation synchronises: deleting it now would lose data. Finish the synchronisation first."
    if status is InstallationStatus.INACTIVE:
        return f"{action.value} is not possible while the installation is INACTIVE. It has to be authorized again."
    if status is None:
        return f"{action.value} is not possible before the platform has authorized the application for this account."
    return f"{action.value} is not possible while the installation is {status.value}."
