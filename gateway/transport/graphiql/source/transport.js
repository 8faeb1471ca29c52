// Sends operations: queries and mutations over HTTP, subscriptions over graphql-transport-ws, both with the chosen key.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { parse } from "graphql";
import { createClient } from "graphql-ws";

// The header editor outweighs the chosen key, whatever the case of the header's name.
export function requestHeaders(secret, typed = {}) {
  const overridden = Object.keys(typed).some((name) => name.toLowerCase() === "authorization");
  return { ...(secret && !overridden && { Authorization: `Bearer ${secret}` }), ...typed };
}

export function socketAddress(endpoint) {
  const address = new URL(endpoint, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

// A close event has only a code, and none that helps when the socket was never open.
function describeFailure(failure) {
  if (failure instanceof Error || Array.isArray(failure)) return failure;
  if (!failure?.code || failure.code === 1006) {
    return new Error("The connection to the gateway could not be made, or it broke. See whether the gateway runs, then run this again.");
  }
  return new Error(`The gateway closed the connection: ${failure.reason || "no reason given"} (${failure.code}).`);
}

function socketClient(options) {
  const client = createClient(options);
  const subscribe = (payload, sink) => client.subscribe(payload, { ...sink, error: (failure) => sink.error(describeFailure(failure)) });
  return { ...client, subscribe };
}

// The editor parses the document a moment after a tab was opened. Until then it would send the previous tab's operation name.
function withOwnOperationName({ query, operationName, ...rest }) {
  let documentAST;
  try {
    documentAST = parse(query);
  } catch {
    return { parameters: { query, operationName, ...rest }, documentAST }; // the gateway's error says what is wrong
  }
  const names = documentAST.definitions.filter(({ operation }) => operation).map(({ name }) => name?.value);
  const known = names.includes(operationName ?? undefined);
  return { parameters: { query, operationName: known ? operationName : names[0], ...rest }, documentAST };
}

export function createFetcher({ endpoint, keyStore, onResult }) {
  return async (asked, options = {}) => {
    const { parameters, documentAST } = withOwnOperationName(asked);
    const headers = requestHeaders(keyStore.secret, options.headers);
    const fetcher = createGraphiQLFetcher({
      url: endpoint,
      headers,
      enableIncrementalDelivery: false,
      wsClient: socketClient({ url: socketAddress(endpoint), connectionParams: headers, lazy: true, retryAttempts: 0 }),
    });
    const tab = keyStore.tab;
    const result = await fetcher(parameters, { headers, documentAST });
    onResult({ tab, result });
    return result;
  };
}
