// Sends two operations in one request, and prints what Apollo Client says of each: node batch.mjs URL KEY
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { BatchHttpLink } from "@apollo/client/link/batch-http";

const [uri, key] = process.argv.slice(2);
const link = new BatchHttpLink({ uri, headers: { Authorization: `Bearer ${key}` } });
const client = new ApolloClient({ link, cache: new InMemoryCache() });
const documents = [gql`query Kind { viewer { kind } }`, gql`query Cursor { eventCursor }`];
for (const { reason, value } of await Promise.allSettled(documents.map((query) => client.query({ query })))) {
  console.log(reason?.message ?? value.data);
}
