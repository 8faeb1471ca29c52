"""The rows of a dataset that a caller may see, computed from the rows alone, without the gateway's policy.

A row is visible when it matches every bound that its caller has. Listed applications are seen by everybody, unlisted
ones by the platform, themselves and accounts that have them installed. An application sees an account only where it has
a living installation with it. Metadata, and the events of its changes, are not for an account's user. Of an event's
actor, the platform sees id and label, others only their own.
"""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from asyncpg import Record

from gateway.domain.principals import Principal, PrincipalKind
from tests.generation.datasets import Dataset


@dataclass(frozen=True)
class VisibleRows:
    """One caller's view of one dataset."""

    dataset: Dataset
    caller: Principal

    @property
    def reads_metadata(self) -> bool:
        return self.caller.kind is not PrincipalKind.ACCOUNT

    @cached_property
    def installations(self) -> list[Record]:
        return [row for row in self.dataset.installations if self._within_bounds(row)]

    @cached_property
    def events(self) -> list[Record]:
        return [
            row
            for row in self.dataset.events
            if self._within_bounds(row) and (self.reads_metadata or row["kind"] != "METADATA_UPDATED")
        ]

    @cached_property
    def applications(self) -> list[Record]:
        caller = self.caller
        installed = {row["application_id"] for row in self.installations}
        return [
            row
            for row in self.dataset.applications
            if row["listed"]
            or caller.kind is PrincipalKind.PLATFORM
            or (caller.kind is PrincipalKind.APPLICATION and row["id"] == caller.application_id)
            or (caller.kind is PrincipalKind.ACCOUNT and row["id"] in installed)
        ]

    @cached_property
    def accounts(self) -> list[Record]:
        caller = self.caller
        installed = {row["account_id"] for row in self.installations}
        return [
            row
            for row in self.dataset.accounts
            if caller.kind is PrincipalKind.PLATFORM
            or (caller.kind is PrincipalKind.APPLICATION and row["id"] in installed)
            or (caller.kind is PrincipalKind.ACCOUNT and row["id"] == caller.account_id)
        ]

    @cached_property
    def ids(self) -> set[UUID]:
        """The rows that the caller sees, installations that are gone included: their events stay."""
        rows = (*self.applications, *self.accounts, *self.installations)
        return {row["id"] for row in rows} | {event["installation_id"] for event in self.events}

    @cached_property
    def texts(self) -> set[str]:
        """Every traceable text that the caller may come to see."""
        plan = self.dataset.plan
        marks = {row.id: row.mark for row in plan.applications} | {row.id: row.mark for row in plan.accounts}
        actions = [action for action in plan.actions if self._in_reach(action.application.id, action.account.id)]
        actors = {
            text
            for event in self.events
            for text in (event["actor_id"], event["actor_label"])
            if text and self.caller.kind.value in {"PLATFORM", event["actor_kind"]}
        }
        return (
            {str(one) for one in self.ids}
            | {text for row, text in marks.items() if row in self.ids}
            | {action.mark for action in actions}
            | ({action.secret for action in actions} if self.reads_metadata else set())
            | actors
        )

    def _in_reach(self, application_id: UUID, account_id: UUID) -> bool:
        caller = self.caller
        return caller.application_id in {None, application_id} and caller.account_id in {None, account_id}

    def _within_bounds(self, row: Record) -> bool:
        return self._in_reach(row["application_id"], row["account_id"])


def all_texts(dataset: Dataset) -> set[str]:
    """Return every traceable text of a dataset."""
    return VisibleRows(dataset, Principal(kind=PrincipalKind.PLATFORM)).texts
