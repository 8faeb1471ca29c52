import { gql } from "@apollo/client";
import { apolloClient, deleteInstallation, follow } from "../src/apollo";
import { DeactivateInstallation, InstallationsPage } from "../src/documents";
import type { InstallationFilter } from "../src/graphql/graphql";
import { key, listen, rowsOf, sayError, sayEvent, url } from "./commands";

const sent: string[][] = [];
const send = globalThis.fetch;
globalThis.fetch = (address, request) => {
  const { query, extensions } = JSON.parse(String(request?.body));
  sent.push([...(extensions?.persistedQuery ? ["hash"] : []), ...(query ? ["text"] : [])]);
  return send(address, request);
};

const client = apolloClient(url, key);
let list: ReturnType<typeof watch>;
const watch = (filter: InstallationFilter) =>
  client.watchQuery({ query: InstallationsPage, variables: { filter, first: 2 } });
const cached = () => client.readQuery({ query: InstallationsPage, variables: list.variables })!;
const rows = () => rowsOf(cached().installations as never);

listen({
  async first(filter) {
    list = watch(filter);
    await new Promise<void>((resolve) => list.subscribe(({ loading }) => loading || resolve()));
    return rows();
  },
  async more() {
    await list.fetchMore({ variables: { after: cached().installations!.pageInfo!.endCursor } });
    return rows();
  },
  rows,
  deactivate: async (input) =>
    (await client.mutate({ mutation: DeactivateInstallation, variables: { input } })).data?.deactivateInstallation,
  delete: (id) => deleteInstallation(client, id),
  follow: ({ filter, after }) =>
    void follow(client, { filter, after: after ?? cached().eventCursor! }, sayEvent, sayError),
  /** Selects other fields of the viewer and of a reason than before. */
  async others(id) {
    await client.query({ query: gql`{ viewer { kind } }` });
    const query = gql`query ($id: ID!) { viewer { apiKey { id } } installation(id: $id) { id statusReason { message } } }`;
    await client.query({ query, variables: { id } });
    return client.readQuery({ query: gql`{ viewer { kind apiKey { id } } }` });
  },
  sent: () => sent.splice(0),
});
