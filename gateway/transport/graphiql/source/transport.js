// Sends operations: queries and mutations over HTTP, subscriptions over graphql-transport-ws, both with the chosen key.
import { parse } from "graphql";
import { subscribe } from "./subscriptions.js";

// The header editor outweighs the chosen key, whatever the case of the header's name.
export function requestHeaders(secret, typed = {}) {
  const overridden = Object.keys(typed).some((name) => name.toLowerCase() === "authorization");
  return { ...(secret && !overridden && { Authorization: `Bearer ${secret}` }), ...typed };
}

// The editor parses the document a moment after a tab was opened. Until then it would send the previous tab's operation name.
function withOwnOperationName({ query, operationName, ...rest }) {
  let operations;
  try {
    operations = parse(query).definitions.filter(({ operation }) => operation);
  } catch {
    return { request: { query, operationName, ...rest } }; // the gateway's error says what is wrong
  }
  const operation = operations.find(({ name }) => name?.value === (operationName ?? undefined)) ?? operations[0];
  return { request: { query, operationName: operation?.name?.value, ...rest }, type: operation?.operation };
}

// Errors are thrown as lists: GraphiQL shows the stack of anything else.
async function post(endpoint, request, headers) {
  let response;
  try {
    response = await fetch(endpoint, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(request) });
  } catch {
    throw [{ message: "The gateway restarts, or cannot be reached. See whether it runs, then run this again." }];
  }
  try {
    return await response.json();
  } catch {
    throw [{ message: `The answer is not JSON: ${response.status} ${response.statusText}.` }];
  }
}

// As an Observable whose results are what the response shows: the last event, or why there is none.
const subscription = (parameters) => ({
  subscribe(sink) {
    let waiting = false;
    const unsubscribe = subscribe({
      ...parameters,
      onConnected() {
        if (waiting) sink.next({ status: "The gateway is back. The next event appears here." });
        waiting = false;
      },
      onResult: (result) => sink.next(result),
      onWaiting(status) {
        waiting = true;
        sink.next({ status });
      },
      onErrors: (errors) => sink.error(errors),
      onEnd: () => sink.complete(),
    });
    return { unsubscribe };
  },
});

export function createFetcher({ endpoint, keyStore, onResult }) {
  return async (asked, options = {}) => {
    const { request, type } = withOwnOperationName(asked);
    const headers = requestHeaders(keyStore.secret, options.headers);
    if (type === "subscription") return subscription({ endpoint, headers, request });
    const tab = keyStore.tab;
    const result = await post(endpoint, request, headers);
    onResult({ tab, result });
    return result;
  };
}
