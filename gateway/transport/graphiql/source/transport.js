// How an operation leaves the page: HTTP for queries and mutations, graphql-transport-ws for subscriptions, both with the chosen key.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { parse } from "graphql";
import { createClient } from "graphql-ws";

// The header editor has the last word, however it spells the name.
export function requestHeaders(secret, typed = {}) {
  const overridden = Object.keys(typed).some((name) => name.toLowerCase() === "authorization");
  return { ...(secret && !overridden && { Authorization: `Bearer ${secret}` }), ...typed };
}

export function socketAddress(endpoint) {
  const address = new URL(endpoint, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

// A close event says its code alone, and that a socket was never open not even that.
function readable(failure) {
  if (failure instanceof Error || Array.isArray(failure)) return failure;
  if (!failure?.code || failure.code === 1006) {
    return new Error("The connection to the gateway could not be made, or it broke. See whether the gateway runs, then run this again.");
  }
  return new Error(`The gateway closed the connection: ${failure.reason || "no reason given"} (${failure.code}).`);
}

function socketClient(options) {
  const client = createClient(options);
  const subscribe = (payload, sink) => client.subscribe(payload, { ...sink, error: (failure) => sink.error(readable(failure)) });
  return { ...client, subscribe };
}

// The editor reads the document a moment after a tab was opened. Who runs it sooner would send the last tab's operation name.
function readAgain({ query, operationName, ...rest }) {
  let documentAST;
  try {
    documentAST = parse(query);
  } catch {
    return { parameters: { query, operationName, ...rest }, documentAST }; // the gateway says better what is wrong
  }
  const names = documentAST.definitions.filter(({ operation }) => operation).map(({ name }) => name?.value);
  const known = names.includes(operationName ?? undefined);
  return { parameters: { query, operationName: known ? operationName : names[0], ...rest }, documentAST };
}

export function createFetcher({ endpoint, keyRing, onResult }) {
  return async (asked, options = {}) => {
    const { parameters, documentAST } = readAgain(asked);
    const headers = requestHeaders(keyRing.secret, options.headers);
    const fetcher = createGraphiQLFetcher({
      url: endpoint,
      headers,
      enableIncrementalDelivery: false,
      wsClient: socketClient({ url: socketAddress(endpoint), connectionParams: headers, lazy: true, retryAttempts: 0 }),
    });
    const tab = keyRing.tab;
    const result = await fetcher(parameters, { headers, documentAST });
    onResult({ tab, result });
    return result;
  };
}
