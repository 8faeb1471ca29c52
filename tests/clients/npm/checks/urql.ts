import { DeactivateInstallation, DeleteInstallation, InstallationsPage } from "../src/documents";
import type { InstallationsPageQueryVariables } from "../src/graphql/graphql";
import { follow, urqlClient } from "../src/urql";
import { key, listen, rowsOf, sayError, sayEvent, url } from "./commands";

const client = urqlClient(url, key);
let variables: InstallationsPageQueryVariables;

/** Returns the pages as the cache has them, or as the gateway has them where an object in them was forgotten. */
const page = async (after?: string) => (await client.query(InstallationsPage, { ...variables, after }).toPromise()).data!;
const rows = async (after?: string) => rowsOf((await page(after)).installations);

listen({
  first(filter) {
    variables = { filter, first: 2 };
    return rows();
  },
  more: async () => rows((await page()).installations!.pageInfo.endCursor!),
  rows: () => rows(),
  deactivate: async (input) => (await client.mutation(DeactivateInstallation, { input })).data?.deactivateInstallation,
  delete: async (id) => (await client.mutation(DeleteInstallation, { input: { id } })).data?.deleteInstallation,
  follow: async ({ filter, after }) =>
    void follow(client, { filter, after: after ?? (await page()).eventCursor! }, sayEvent, sayError),
});
