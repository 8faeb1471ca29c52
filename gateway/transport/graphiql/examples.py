"""The tabs that GraphiQL opens with: a first query, the life of an installation, and a live subscription.

Their documents are the files in operations/. Their variables name rows of the example data by their ids. When an
authorization makes a new installation, the page puts its id into the tabs that act on the old one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.page import ExampleTab

_PLATFORM, _APPLICATION, _ACCOUNT = PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleSubjects:
    """The rows of the example data that the tabs act on."""

    application_id: UUID
    """The application of the application's key: OAuth, and it requires configuration."""
    application_slug: str
    account_id: UUID
    """The account of the account's key."""
    installation_id: UUID
    """The installation of the application in the account; AUTHORIZED at first."""
    api_key_application_id: UUID
    """An application that connects by API key and is not installed in the account."""


def workflow_tabs(subjects: ExampleSubjects) -> tuple[ExampleTab, ...]:
    """Return the tabs, in an order in which each can be run as it is."""
    pair = {"applicationId": str(subjects.application_id), "accountId": str(subjects.account_id)}
    of_installation = {"id": str(subjects.installation_id)}
    waiting = [{"name": "tags", "done": 0, "total": 40}, {"name": "vendors", "done": 0, "total": 250}]
    reported = [{"name": "tags", "done": 40, "total": 40}, {"name": "vendors", "done": 117, "total": 250}]
    merged = {"merge": {"region": "eu-west", "ledger": {"currency": "EUR"}}}
    ended = {"reason": "NOT_ENTITLED", "message": "The subscription to the add-on ended"}
    by_api_key = {**pair, "applicationId": str(subjects.api_key_application_id)}
    return (
        _tab("A first query", _PLATFORM, slug=subjects.application_slug),
        _tab("Authorize", _PLATFORM, replaces=subjects.installation_id, input=pair),
        _tab("Activate", _APPLICATION, input=of_installation),
        _tab("Start a sync", _APPLICATION, input={**of_installation, "leaseSeconds": 300, "steps": waiting}),
        _tab("Report progress", _APPLICATION, input={**of_installation, "steps": reported}),
        _tab("Finish the sync", _APPLICATION, input={**of_installation, "outcome": "SUCCEEDED"}),
        _tab("Update metadata", _APPLICATION, input={**of_installation, "change": merged}),
        _tab("Deactivate", _PLATFORM, input={**of_installation, **ended}),
        _tab("Delete", _ACCOUNT, input=of_installation),
        _tab(
            "Create by API key",
            _PLATFORM,
            authorization=by_api_key,
            input={**by_api_key, "metadata": {"region": "eu-west"}},
        ),
        _tab("Watch live", _PLATFORM, filter={"accountIds": [str(subjects.account_id)]}),
    )


def _tab(title: str, key: PrincipalKind, *, replaces: UUID | None = None, **variables: Any) -> ExampleTab:
    document = Path(__file__).parent / "operations" / f"{title.lower().replace(' ', '_')}.graphql"
    return ExampleTab(
        title=title, query=document.read_text(encoding="utf-8"), variables=variables, key=key, replaces=replaces
    )
