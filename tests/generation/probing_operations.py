"""Operations written by hand that probe for invisible rows of every dataset."""

from tests.generation.documents import NUMBERS


def _repeated(selection: str, *, count: int = len(NUMBERS)) -> str:
    """Make a query of one selection for each of the first numbers of its placeholder."""
    return f"{{ {' '.join(f'at{number}: {selection}'.replace('NUMBER', str(number)) for number in range(count))} }}"


ALL_IDS = " ".join(f'"@{kind}:{number}@"' for kind in ("application", "account", "installation") for number in NUMBERS)
EVERYTHING = """{
  eventCursor
  nodes(ids: [ALL_IDS]) { id }
  viewer { application { id name } account { id name } installation { id } }
  applications(first: 100) {
    totalCount nodes { id name slug description categories logoUrl installations { totalCount } }
  }
  accounts(first: 100) { totalCount nodes { id name } edges { cursor } }
  installations(first: 100) {
    totalCount statusCounts { status count } pageInfo { hasNextPage startCursor endCursor }
    edges { cursor node {
      id metadata statusReason { message } sync { message steps { name } } allowedActions
      application { id name installations(first: 100) { totalCount nodes { id metadata } } }
      account { id name installations(first: 100) { totalCount nodes { id metadata } } }
      history(first: 100) {
        pageInfo { hasNextPage endCursor } nodes { id cursor actor { principalId label } ...Change }
      }
    } }
  }
  installationEvents(first: 100) {
    nodes { id cursor installationId actor { principalId label } installation { id } ...Change }
  }
}
fragment Change on InstallationEvent {
  __typename
  ... on InstallationStatusChanged { reason { message } }
  ... on InstallationMetadataUpdated { changedKeys }
  ... on InstallationSyncProgressed { steps { name } }
  ... on InstallationConnectionReported { message }
}""".replace("ALL_IDS", ALL_IDS)
"""Everything that lists and ids show a caller of a dataset."""

QUERIES = [
    EVERYTHING,
    _repeated('applications(filter: {search: "@word:NUMBER@"}) { totalCount nodes { id } }'),
    _repeated('installations(filter: {accountIds: ["@account:NUMBER@"]}) { totalCount nodes { id } }'),
    _repeated('installations(filter: {search: "@word:NUMBER@"}) { totalCount nodes { id } }'),
    _repeated('accounts(filter: {search: "@word:NUMBER@"}) { totalCount nodes { id name } }'),
    _repeated('installationEvents(filter: {accountIds: ["@account:NUMBER@"]}, last: 5) { nodes { cursor } }'),
    _repeated(
        'installationEvents(filter: {applicationIds: ["@application:NUMBER@"], to: ACTIVATED}) { nodes { version } }'
    ),
    _repeated(
        'installationEvents(filter: {installationIds: ["@installation:NUMBER@"]}, direction: DESC) { nodes { id } }'
    ),
    _repeated('installations(filter: {metadata: {secret: "@secret:NUMBER@"}}) { totalCount }', count=30),
]
MUTATIONS = [
    f'mutation {{ createInstallation(input: {{accountId: "@account:{number}@"}}) {{ __typename }} }}'
    for number in range(3)
]
