"""The errors that a caller may read.

GatewayError                  a top-level error, with its code
├── BadUserInput
├── Unauthenticated
├── Forbidden
├── CursorExpired
├── TimedOut
└── Unavailable
ExpectedFailure               a typed member of a mutation's result
├── InstallationNotFound
├── ApplicationNotFound
├── AccountNotFound
├── ApiKeyNotFound
├── ActionNotAllowed
├── VersionConflict
├── InstallationAlreadyExists
├── SlugTaken
└── InvalidInput
"""

from typing import Any
from uuid import UUID

from gateway.domain.actions import InstallationAction
from gateway.domain.input_problems import InputProblem
from gateway.domain.installations import Installation

_MAX_NAMED = 3


class GatewayError(Exception):
    """An error with a message and a code for the caller; neither reveals the cause."""

    code: str

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extensions = extensions


class BadUserInput(GatewayError):
    """The request is invalid; the message says what to change."""

    code = "BAD_USER_INPUT"


class Unauthenticated(GatewayError):
    """The credential is missing or not valid."""

    code = "UNAUTHENTICATED"


class Forbidden(GatewayError):
    """This kind of caller may never do this."""

    code = "FORBIDDEN"


class RateLimited(GatewayError):
    """The caller has used its quota. Its extension `retryAfter` is in seconds."""

    code = "RATE_LIMITED"


class CursorExpired(GatewayError):
    """The log no longer has everything after this cursor."""

    code = "CURSOR_EXPIRED"


class TimedOut(GatewayError):
    """The operation took longer than it may."""

    code = "TIMEOUT"


class Unavailable(GatewayError):
    """A part that is needed does not answer now; a later attempt may succeed."""

    code = "UNAVAILABLE"


class ExpectedFailure(Exception):
    """A failure that is part of a mutation's result."""

    message: str

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InstallationNotFound(ExpectedFailure):
    """There is no such installation, or none that this caller may see."""

    def __init__(self, installation_id: UUID) -> None:
        super().__init__(f"There is no installation {installation_id}.")
        self.installation_id = installation_id


class ApplicationNotFound(ExpectedFailure):
    """There is no such application, or none that this caller may see."""

    def __init__(self, application_id: UUID | None) -> None:
        super().__init__(f"There is no application {application_id}.")
        self.application_id = application_id


class AccountNotFound(ExpectedFailure):
    """There is no such account, or none that this caller may see."""

    def __init__(self, account_id: UUID | None) -> None:
        super().__init__(f"There is no account {account_id}.")
        self.account_id = account_id


class ApiKeyNotFound(ExpectedFailure):
    """There is no such API key."""

    def __init__(self, api_key_id: UUID) -> None:
        super().__init__(f"There is no API key {api_key_id}.")
        self.api_key_id = api_key_id


class ActionNotAllowed(ExpectedFailure):
    """The installation's status, or its application, does not allow this action now."""

    def __init__(
        self,
        message: str,
        *,
        action: InstallationAction,
        installation: Installation | None,
        allowed_actions: tuple[InstallationAction, ...],
    ) -> None:
        super().__init__(message)
        self.action = action
        self.installation = installation
        self.allowed_actions = allowed_actions


class VersionConflict(ExpectedFailure):
    """The installation was changed since the caller read it."""

    def __init__(self, *, expected_version: int, installation: Installation) -> None:
        super().__init__(
            f"The installation is at version {installation.version}, not {expected_version}."
            " Read it again, and repeat the change if it is still wanted."
        )
        self.expected_version = expected_version
        self.current_version = installation.version
        self.installation = installation


class InstallationAlreadyExists(ExpectedFailure):
    """The application is already installed for this account, with other metadata."""

    def __init__(self, installation: Installation) -> None:
        super().__init__("The application is already installed for this account. Update that installation instead.")
        self.installation = installation


class SlugTaken(ExpectedFailure):
    """Another application has this slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another application has the slug {slug!r}.")
        self.slug = slug


class InvalidInput(ExpectedFailure):
    """The input of a mutation breaks rules; all of its problems are listed."""

    def __init__(self, problems: tuple[InputProblem, ...]) -> None:
        named = [f"{'.'.join(problem.path)}: {problem.message}" for problem in problems[:_MAX_NAMED]]
        more = [f"And {len(problems) - _MAX_NAMED} more."] if len(problems) > _MAX_NAMED else []
        super().__init__(" ".join(["The input is invalid.", *named, *more]))
        self.problems = problems
