"""The tabs that GraphiQL opens with: a first query, the life of an installation, and a live subscription.

They name rows of the example data by their ids. When an authorization makes a new installation, the page puts its id
into the tabs that act on the old one.
"""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.page import ExampleTab


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


_INSTALLATION = "id\n      status\n      statusReason { code message since }\n      version\n      allowedActions"
_RUNNING_SYNC = "sync { state startedAt expiresAt steps { name done total } }"
_FINISHED_SYNC = "sync { state startedAt finishedAt steps { name done total } }"
_NOT_ALLOWED = "... on ActionNotAllowed {\n      action\n      allowedActions\n    }"
_REJECTED = "... on MetadataRejected {\n      violations { path rule limit }\n    }"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mutation:
    """A mutation, and what its tab selects of its success and of one typed error."""

    title: str
    operation: str
    field: str
    comment: str
    key: PrincipalKind
    input: Callable[[ExampleSubjects], Mapping[str, Any]]
    success: str = "Installation"
    selection: str = _INSTALLATION
    also: str = ""
    error: str = _NOT_ALLOWED
    replaces_installation: bool = False


_MUTATIONS = (
    _Mutation(
        title="Authorize",
        operation="Authorize",
        field="authorizeInstallation",
        comment="The user finished the authorization process: the platform installs the application in the account.",
        key=PrincipalKind.PLATFORM,
        input=lambda subjects: {"applicationId": str(subjects.application_id), "accountId": str(subjects.account_id)},
        error="... on ApplicationNotFound {\n      applicationId\n    }",
        replaces_installation=True,
    ),
    _Mutation(
        title="Activate",
        operation="Activate",
        field="activateInstallation",
        comment="The application was configured and is ready: it activates its installation.",
        key=PrincipalKind.APPLICATION,
        input=lambda subjects: {"id": str(subjects.installation_id)},
    ),
    _Mutation(
        title="Start a sync",
        operation="StartSync",
        field="startInstallationSync",
        comment="While it syncs nobody may delete the installation; progress renews the lease.",
        key=PrincipalKind.APPLICATION,
        input=lambda subjects: {
            "id": str(subjects.installation_id),
            "leaseSeconds": 300,
            "steps": [{"name": "tags", "done": 0, "total": 40}, {"name": "vendors", "done": 0, "total": 250}],
        },
        also=_RUNNING_SYNC,
    ),
    _Mutation(
        title="Report progress",
        operation="Progress",
        field="reportInstallationSyncProgress",
        comment="How far the sync has come.",
        key=PrincipalKind.APPLICATION,
        input=lambda subjects: {
            "id": str(subjects.installation_id),
            "steps": [{"name": "tags", "done": 40, "total": 40}, {"name": "vendors", "done": 117, "total": 250}],
        },
        also=_RUNNING_SYNC,
    ),
    _Mutation(
        title="Finish the sync",
        operation="FinishSync",
        field="finishInstallationSync",
        comment="Try FAILED as well: after five failures in a row the installation turns INACTIVE.",
        key=PrincipalKind.APPLICATION,
        input=lambda subjects: {"id": str(subjects.installation_id), "outcome": "SUCCEEDED"},
        also=_FINISHED_SYNC,
    ),
    _Mutation(
        title="Update metadata",
        operation="Metadata",
        field="updateInstallationMetadata",
        comment="The application's own data on its installation. A merge keeps other keys; null deletes one.",
        key=PrincipalKind.APPLICATION,
        input=lambda subjects: {
            "id": str(subjects.installation_id),
            "change": {"merge": {"region": "eu-west", "ledger": {"currency": "EUR"}}},
        },
        also="metadata",
        error=_REJECTED,
    ),
    _Mutation(
        title="Deactivate",
        operation="Deactivate",
        field="deactivateInstallation",
        comment="Authorizing again brings it back.",
        key=PrincipalKind.PLATFORM,
        input=lambda subjects: {
            "id": str(subjects.installation_id),
            "reason": "NOT_ENTITLED",
            "message": "The subscription to the add-on ended",
        },
    ),
    _Mutation(
        title="Delete",
        operation="Delete",
        field="deleteInstallation",
        comment="The account disconnects the application. Its events stay in the log.",
        key=PrincipalKind.ACCOUNT,
        input=lambda subjects: {"id": str(subjects.installation_id)},
        success="DeletedInstallation",
        selection="id\n      deletedAt",
    ),
    _Mutation(
        title="Create by API key",
        operation="Create",
        field="createInstallation",
        comment="Applications that connect by API key do this themselves; here the platform does it for one.",
        key=PrincipalKind.PLATFORM,
        input=lambda subjects: {
            "applicationId": str(subjects.api_key_application_id),
            "accountId": str(subjects.account_id),
            "metadata": {"region": "eu-west"},
        },
        also="metadata",
        error=_REJECTED,
    ),
)

_FIRST_QUERY = """
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
"""

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


def workflow_tabs(subjects: ExampleSubjects) -> tuple[ExampleTab, ...]:
    """Return the tabs, in an order in which each can be run as it is."""
    first = ExampleTab(
        title="A first query",
        query=_comment('Press the triangle or Ctrl-Enter to run this. "Act as" chooses the key it is sent with.')
        + _FIRST_QUERY,
        variables={"slug": subjects.application_slug},
        key=PrincipalKind.PLATFORM,
    )
    watch = ExampleTab(
        title="Watch live",
        query=_comment(
            "Shows the latest change until it is stopped or another tab is opened; the panel on the left stays."
        )
        + _WATCH,
        variables={"filter": {"accountId": str(subjects.account_id)}},
        key=PrincipalKind.PLATFORM,
    )
    return (first, *(_mutation_tab(mutation, subjects) for mutation in _MUTATIONS), watch)


def _mutation_tab(mutation: _Mutation, subjects: ExampleSubjects) -> ExampleTab:
    selection = "\n      ".join(part for part in (mutation.selection, mutation.also) if part)
    query = f"""{_comment(mutation.comment)}
mutation {mutation.operation}($input: {mutation.field[0].upper()}{mutation.field[1:]}Input!) {{
  {mutation.field}(input: $input) {{
    __typename
    ... on {mutation.success} {{
      {selection}
    }}
    {mutation.error}
    ... on Error {{
      message
    }}
  }}
}}
"""
    return ExampleTab(
        title=mutation.title,
        query=query,
        variables={"input": dict(mutation.input(subjects))},
        key=mutation.key,
        replaces=subjects.installation_id if mutation.replaces_installation else None,
    )


def _comment(text: str) -> str:
    """Wrap a comment so that it shows in a narrow editor."""
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, 38))
