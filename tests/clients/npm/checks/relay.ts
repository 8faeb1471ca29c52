import {
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getRequest,
  type GraphQLTaggedNode,
  type MutationParameters,
} from "relay-runtime";
import { relayEnvironment } from "../src/relay/environment";
import * as documents from "../src/relay/installations";
import type { installationsPageQuery } from "../src/relay/__generated__/installationsPageQuery.graphql";
import type { installationsByIdQuery } from "../src/relay/__generated__/installationsByIdQuery.graphql";
import { key, listen, rowsOf, sayError, sayEvent, url } from "./commands";

const environment = relayEnvironment(url, key);
let variables: installationsPageQuery["variables"];

function page() {
  const operation = createOperationDescriptor(getRequest(documents.installationsPage), variables);
  environment.retain(operation);
  return environment.lookup(operation.fragment).data as installationsPageQuery["response"];
}

const rows = () => rowsOf(page().installations);

async function fetchPage(after?: string | null) {
  await fetchQuery(environment, documents.installationsPage, { ...variables, after }).toPromise();
  return rows();
}

const mutate = (mutation: GraphQLTaggedNode, input: unknown) =>
  new Promise((resolve, reject) =>
    commitMutation<MutationParameters>(environment, {
      mutation,
      variables: { input },
      onCompleted: (data) => resolve(Object.values(data)[0]),
      onError: reject,
    }),
  );

listen({
  first(filter) {
    variables = { filter, first: 2 };
    return fetchPage();
  },
  more: () => fetchPage(page().installations!.pageInfo.endCursor),
  rows,
  deactivate: (input) => mutate(documents.deactivateInstallation, input),
  delete: (id) => mutate(documents.deleteInstallation, { id }),
  follow: ({ filter, after }) =>
    void documents.follow(environment, { filter, after: after ?? page().eventCursor! }, sayEvent, sayError),
  node: async (id) =>
    (await fetchQuery<installationsByIdQuery>(environment, documents.installationById, { id }).toPromise())?.node,
});
