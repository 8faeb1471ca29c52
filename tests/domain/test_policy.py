import pytest

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import ActionNotAllowed, Forbidden
from gateway.domain.installations import AuthorizationMethod, InstallationStatus
from gateway.domain.policy import require_actor, require_allowed, require_platform
from gateway.domain.principals import PrincipalKind
from tests.domain.examples import CALLERS, an_application, an_installation

PLATFORM, APPLICATION, ACCOUNT, SYSTEM = (
    PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT, PrincipalKind.SYSTEM,
)  # fmt: skip
INACTIVE, PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION


def test_require_platform_rejects_every_other_kind() -> None:
    require_platform(CALLERS[PLATFORM], intention="register accounts")
    for kind in (APPLICATION, ACCOUNT, SYSTEM):
        with pytest.raises(Forbidden, match=r"^Only the platform may register accounts\.$"):
            require_platform(CALLERS[kind], intention="register accounts")


@pytest.mark.parametrize(
    ("kind", "action", "message"),
    [
        (APPLICATION, InstallationAction.AUTHORIZE, "An application may not do AUTHORIZE; the platform may."),
        (
            ACCOUNT,
            InstallationAction.ACTIVATE,
            "An account's user may not do ACTIVATE; an application and the platform may.",
        ),
        (
            SYSTEM,
            InstallationAction.DELETE,
            "The gateway itself may not do DELETE; an account's user and an application and the platform may.",
        ),
    ],
)
def test_forbidden_names_the_kinds_that_may(kind: PrincipalKind, action: InstallationAction, message: str) -> None:
    with pytest.raises(Forbidden) as forbidden:
        require_actor(CALLERS[kind], action=action)
    assert forbidden.value.message == message


@pytest.mark.parametrize(
    ("action", "status", "message"),
    [
        (
            InstallationAction.CREATE,
            None,
            "Only applications of the API_KEY method create installations; with OAUTH, authorizing does.",
        ),
        (
            InstallationAction.DELETE,
            PENDING,
            "The installation synchronises: deleting it now would lose data. Finish the synchronisation first.",
        ),
        (
            InstallationAction.ACTIVATE,
            INACTIVE,
            "ACTIVATE is not possible while the installation is INACTIVE. It has to be authorized again.",
        ),
        (
            InstallationAction.ACTIVATE,
            None,
            "ACTIVATE is not possible before the platform has authorized the application for this account.",
        ),
        (
            InstallationAction.ACTIVATE,
            PENDING,
            "ACTIVATE is not possible while the installation is PENDING_INTEGRATION.",
        ),
    ],
)
def test_action_not_allowed_says_why(
    action: InstallationAction, status: InstallationStatus | None, message: str
) -> None:
    with pytest.raises(ActionNotAllowed) as refused:
        require_allowed(
            CALLERS[PLATFORM],
            action=action,
            installation=None if status is None else an_installation(status),
            application=an_application(AuthorizationMethod.OAUTH),
        )
    assert refused.value.message == message
