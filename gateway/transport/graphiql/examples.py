"""The tabs that GraphiQL opens with: a first query, an installation's whole life, and a live subscription.

They name rows of the example data by their ids. The page lets them follow: when an authorization makes a new
installation, the tabs that act on the old one take over the new one's id.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.page import ExampleTab

_INSTALLATION = "id\n      status\n      statusReason { code message since }\n      version\n      allowedActions"

_NOT_ALLOWED = "... on ActionNotAllowed {\n      action\n      allowedActions\n    }"
_REJECTED = "... on MetadataRejected {\n      violations { path rule limit }\n    }"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleSubjects:
    """The rows of the example data that the tabs act on."""

    application_id: UUID
    """The application that the application's key is of: OAuth, and it requires configuration."""
    application_slug: str
    account_id: UUID
    """The account that the account's key is of."""
    installation_id: UUID
    """Where the two are tied; AUTHORIZED to begin with."""
    api_key_application_id: UUID
    """An application that connects by API key and is not installed in the account."""


def workflow_tabs(subjects: ExampleSubjects) -> tuple[ExampleTab, ...]:
    """Arrange the tabs so that each runs as it is, one after the other."""
    return (
        _first_query(subjects),
        _authorize(subjects),
        _activate(subjects),
        _start_sync(subjects),
        _report_sync_progress(subjects),
        _finish_sync(subjects),
        _update_metadata(subjects),
        _deactivate(subjects),
        _delete(subjects),
        _create(subjects),
        _watch(subjects),
    )


def _first_query(subjects: ExampleSubjects) -> ExampleTab:
    return ExampleTab(
        title="A first query",
        query=_comment('Press the triangle or Ctrl-Enter to run this. "Act as" says whose key it goes out with.')
        + """
query First($slug: String!) {
  viewer {
    kind
  }
  application(by: { slug: $slug }) {
    name
    description
    authorizationMethod
    requiresConfiguration
    installations(first: 5) {
      totalCount
      statusCounts {
        status
        count
      }
      nodes {
        id
        status
        updatedAt
        account {
          name
        }
      }
    }
  }
}
""",
        variables={"slug": subjects.application_slug},
        key=PrincipalKind.PLATFORM,
    )


def _authorize(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Authorize",
        name="Authorize",
        field="authorizeInstallation",
        input_type="AuthorizeInstallationInput",
        comment="The user finished the authorization process: the platform ties the application to the account.",
        values={"applicationId": str(subjects.application_id), "accountId": str(subjects.account_id)},
        key=PrincipalKind.PLATFORM,
        refusal="... on ApplicationNotFound {\n      applicationId\n    }",
        replaces=subjects.installation_id,
    )


def _activate(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Activate",
        name="Activate",
        field="activateInstallation",
        input_type="ActivateInstallationInput",
        comment="The application was configured and is ready: it activates its installation.",
        values={"id": str(subjects.installation_id)},
        key=PrincipalKind.APPLICATION,
    )


def _start_sync(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Start a sync",
        name="StartSync",
        field="startInstallationSync",
        input_type="StartInstallationSyncInput",
        comment="While it syncs nobody may delete the installation; progress renews the lease.",
        values={
            "id": str(subjects.installation_id),
            "leaseSeconds": 300,
            "steps": [{"name": "tags", "done": 0, "total": 40}, {"name": "vendors", "done": 0, "total": 250}],
        },
        key=PrincipalKind.APPLICATION,
        also="sync { state startedAt expiresAt steps { name done total } }",
    )


def _report_sync_progress(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Report progress",
        name="Progress",
        field="reportInstallationSyncProgress",
        input_type="ReportInstallationSyncProgressInput",
        comment="How far the sync has come.",
        values={
            "id": str(subjects.installation_id),
            "steps": [{"name": "tags", "done": 40, "total": 40}, {"name": "vendors", "done": 117, "total": 250}],
        },
        key=PrincipalKind.APPLICATION,
        also="sync { state startedAt expiresAt steps { name done total } }",
    )


def _finish_sync(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Finish the sync",
        name="FinishSync",
        field="finishInstallationSync",
        input_type="FinishInstallationSyncInput",
        comment="Try FAILED as well: after five failures in a row the installation turns INACTIVE.",
        values={"id": str(subjects.installation_id), "outcome": "SUCCEEDED"},
        key=PrincipalKind.APPLICATION,
        also="sync { state startedAt finishedAt steps { name done total } }",
    )


def _update_metadata(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Update metadata",
        name="Metadata",
        field="updateInstallationMetadata",
        input_type="UpdateInstallationMetadataInput",
        comment="What the application keeps on its installation. A merge leaves other keys alone; null deletes one.",
        values={
            "id": str(subjects.installation_id),
            "change": {"merge": {"region": "eu-west", "ledger": {"currency": "EUR"}}},
        },
        key=PrincipalKind.APPLICATION,
        also="metadata",
        refusal=_REJECTED,
    )


def _deactivate(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Deactivate",
        name="Deactivate",
        field="deactivateInstallation",
        input_type="DeactivateInstallationInput",
        comment="Authorizing again brings it back.",
        values={
            "id": str(subjects.installation_id),
            "reason": "NOT_ENTITLED",
            "message": "The subscription to the add-on ended",
        },
        key=PrincipalKind.PLATFORM,
    )


def _delete(subjects: ExampleSubjects) -> ExampleTab:
    return ExampleTab(
        title="Delete",
        query=_comment("The account disconnects the application. Its events stay in the log.")
        + """
mutation Delete($input: DeleteInstallationInput!) {
  deleteInstallation(input: $input) {
    __typename
    ... on DeletedInstallation {
      id
      deletedAt
    }
    ... on ActionNotAllowed {
      status
      allowedActions
    }
    ... on Error {
      message
    }
  }
}
""",
        variables={"input": {"id": str(subjects.installation_id)}},
        key=PrincipalKind.ACCOUNT,
    )


def _create(subjects: ExampleSubjects) -> ExampleTab:
    return _mutation(
        title="Create by API key",
        name="Create",
        field="createInstallation",
        input_type="CreateInstallationInput",
        comment="Applications that connect by API key do this themselves; here the platform stands in for one.",
        values={
            "applicationId": str(subjects.api_key_application_id),
            "accountId": str(subjects.account_id),
            "metadata": {"region": "eu-west"},
        },
        key=PrincipalKind.PLATFORM,
        also="metadata",
        refusal=_REJECTED,
    )


_WATCH = """
subscription Watch($filter: InstallationEventFilter) {
  installationEvents(filter: $filter) {
    __typename
    cursor
    occurredAt
    version
    installationId
    actor {
      kind
      label
    }
    ... on InstallationStatusChanged {
      from
      to
      reason {
        code
        message
      }
    }
    ... on InstallationSyncProgressed {
      steps {
        name
        done
        total
      }
    }
    ... on InstallationMetadataUpdated {
      changedKeys
    }
  }
}
"""


def _watch(subjects: ExampleSubjects) -> ExampleTab:
    return ExampleTab(
        title="Watch live",
        query=_comment(
            "Shows the latest change until it is stopped or another tab is opened; the panel on the left stays."
        )
        + _WATCH,
        variables={"filter": {"accountId": str(subjects.account_id)}},
        key=PrincipalKind.PLATFORM,
    )


def _comment(text: str) -> str:
    """Break the lines so that they show in a narrow editor."""
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, 38))


def _mutation(
    *,
    title: str,
    name: str,
    field: str,
    input_type: str,
    comment: str,
    values: Mapping[str, Any],
    key: PrincipalKind,
    also: str = "",
    refusal: str = _NOT_ALLOWED,
    replaces: UUID | None = None,
) -> ExampleTab:
    """Write a mutation whose success is the installation; failures are typed members of its result."""
    selection = "\n      ".join(part for part in (_INSTALLATION, also) if part)
    query = f"""{_comment(comment)}
mutation {name}($input: {input_type}!) {{
  {field}(input: $input) {{
    __typename
    ... on Installation {{
      {selection}
    }}
    {refusal}
    ... on Error {{
      message
    }}
  }}
}}
"""
    return ExampleTab(title=title, query=query, variables={"input": dict(values)}, key=key, replaces=replaces)
