"""Plans of datasets: applications, accounts and the actions on their installations, not yet executed.

Every text and id of a plan is unguessable and stands for one thing alone, so that whatever an answer shows can be
traced to whom it belongs.
"""

import enum
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from hypothesis import strategies as st

from gateway.domain.installations import AuthorizationMethod
from gateway.domain.principals import Principal, PrincipalKind

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def mark(*of: object) -> str:
    """Return a unique text that begins with a letter."""
    return f"z{blake2b(repr(of).encode(), digest_size=8).hexdigest()}"


def identifier(*of: object) -> UUID:
    return UUID(bytes=blake2b(repr(of).encode(), digest_size=16).digest(), version=4)


@dataclass(frozen=True, kw_only=True)
class PlannedApplication:
    id: UUID
    mark: str
    method: AuthorizationMethod
    requires_configuration: bool
    listed: bool

    @property
    def slug(self) -> str:
        return f"s-{self.mark}"

    @property
    def actor(self) -> Principal:
        """The application as it acts, with a key that can be traced too."""
        return Principal(
            kind=PrincipalKind.APPLICATION,
            application_id=self.id,
            id=str(identifier("key of", self.id)),
            label=mark("label of", self.id),
        )


@dataclass(frozen=True, kw_only=True)
class PlannedAccount:
    id: UUID
    mark: str


Row = TypeVar("Row", PlannedApplication, PlannedAccount)


class ActionKind(enum.Enum):
    """The kinds of actions on the installation of an application in an account."""

    AUTHORIZE = enum.auto()
    AUTHORIZE_BRIEFLY = enum.auto()
    CREATE = enum.auto()
    ACTIVATE = enum.auto()
    UPDATE_METADATA = enum.auto()
    START_SYNC = enum.auto()
    REPORT_PROGRESS = enum.auto()
    FAIL_SYNC = enum.auto()
    FINISH_SYNC = enum.auto()
    REPORT_FAILURE = enum.auto()
    REPORT_SUCCESS = enum.auto()
    DEACTIVATE = enum.auto()
    DELETE = enum.auto()
    EXPIRE_DUE = enum.auto()
    RENEW_IF_INSTALLED = enum.auto()
    """Writes an event of every installation that exists."""


@dataclass(frozen=True, kw_only=True)
class PlannedAction:
    """One action with its time. An action that is not allowed changes nothing."""

    number: int
    act: ActionKind
    application: PlannedApplication
    account: PlannedAccount
    by_platform: bool
    mark: str
    """In each text that it leaves, except in metadata."""
    secret: str
    """In the metadata that it leaves."""

    @property
    def time(self) -> datetime:
        return BEGINNING + timedelta(minutes=self.number)


@dataclass(frozen=True, kw_only=True)
class Plan:
    applications: tuple[PlannedApplication, ...]
    accounts: tuple[PlannedAccount, ...]
    actions: tuple[PlannedAction, ...]
    platform: Principal

    def callers(self) -> list[Principal]:
        """List the callers: the platform, each application, each application bound to each account, each account."""
        kind = PrincipalKind
        bound = [(one.id, other.id) for one in self.applications for other in self.accounts]
        return [
            Principal(kind=kind.PLATFORM),
            *(Principal(kind=kind.APPLICATION, application_id=one.id) for one in self.applications),
            *(Principal(kind=kind.APPLICATION, application_id=one, account_id=other) for one, other in bound),
            *(Principal(kind=kind.ACCOUNT, account_id=one.id) for one in self.accounts),
        ]


_FREQUENT = [ActionKind.AUTHORIZE] * 6 + [
    ActionKind.ACTIVATE,
    ActionKind.CREATE,
    ActionKind.START_SYNC,
    ActionKind.UPDATE_METADATA,
] * 2


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a plan with up to thirty actions; it ends with an event on each installation."""
    salt = draw(st.integers(0, 2**64))
    applications = tuple(
        PlannedApplication(
            id=identifier("application", salt, number),
            mark=mark("application", salt, number),
            method=draw(st.sampled_from(AuthorizationMethod)),
            requires_configuration=draw(st.booleans()),
            listed=draw(st.booleans()),
        )
        for number in range(draw(st.integers(2, 4)))
    )
    accounts = tuple(
        PlannedAccount(id=identifier("account", salt, number), mark=mark("account", salt, number))
        for number in range(draw(st.integers(2, 3)))
    )
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*_FREQUENT, *ActionKind]),
                st.sampled_from(applications),
                st.sampled_from(accounts),
                st.booleans(),
            ),
            min_size=8,
            max_size=30,
        )
    )
    last = [(ActionKind.RENEW_IF_INSTALLED, one, other, True) for one in applications for other in accounts]
    signs = [sign for sign in draw(st.permutations(last)) if any(sign[1:3] == action[1:3] for action in drawn)]
    actions = tuple(
        PlannedAction(
            number=number, act=act, application=application, account=account, by_platform=by_platform,
            mark=mark("action", salt, number), secret=mark("secret", salt, number),
        )
        for number, (act, application, account, by_platform) in enumerate([*drawn, *signs], start=1)
    )  # fmt: skip
    platform = Principal(kind=PrincipalKind.PLATFORM, id=str(identifier("platform", salt)), label=mark("label", salt))
    return Plan(applications=applications, accounts=accounts, actions=actions, platform=platform)


def with_other_secrets(plan: Plan, *, caller: Principal, seen: AbstractSet[UUID], reads_metadata: bool) -> Plan:
    """Plan the same dataset for this caller, and another one beyond what it sees.

    Rows that are not in `seen` have other texts, or are left out; actions beyond the caller's bounds are left
    out; metadata says something else where the caller does not read it; the platform has another id and label.
    """

    def other(row: Row) -> Row:
        return row if row.id in seen else replace(row, mark=mark("other", row.mark))

    applications = {row.id: other(row) for row in plan.applications}
    accounts = {row.id: other(row) for row in plan.accounts}
    actions = tuple(
        replace(
            action,
            application=applications[action.application.id],
            account=accounts[action.account.id],
            secret=action.secret if reads_metadata else mark("other", action.secret),
        )
        for action in plan.actions
        if action.act is ActionKind.EXPIRE_DUE
        or (caller.application_id in {None, action.application.id} and caller.account_id in {None, action.account.id})
    )
    needed = {*seen, *(action.application.id for action in actions), *(action.account.id for action in actions)}
    return replace(
        plan,
        applications=tuple(row for row in applications.values() if row.id in needed),
        accounts=tuple(row for row in accounts.values() if row.id in needed),
        actions=actions,
        platform=replace(
            plan.platform, id=str(identifier("other", plan.platform.id)), label=mark("other", plan.platform.label)
        ),
    )
