// Subscribes over graphql-transport-ws. After a lost connection a subscription goes on after its last event, or from where it began, where the
// operation has a variable $after and selects the cursor.
import { createClient } from "graphql-ws";

const MIN_RETRY_MS = 1000; // doubled with every failure in a row
const MAX_RETRY_MS = 10_000;

function socketAddress(endpoint) {
  const address = new URL(endpoint, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

// Trying again does not help where the operation or the key was refused. 4408: the gateway was too slow to know the key.
const isFinal = (failure) => Array.isArray(failure) || (failure.code >= 4400 && failure.code !== 4408);

const errorsOf = (failure) =>
  Array.isArray(failure) ? failure : [{ message: `The gateway closed the connection: ${failure.reason || "no reason given"} (${failure.code}).` }];

const cursorOf = (data) => Object.values(data)[0]?.cursor ?? null;

const BEGINNING = "query Beginning { eventCursor }";

// Calls, until the returned function is called: `onConnected` for each connection, `onResult` with each result, `onWaiting` with words while
// there is no connection, and once at most `onErrors` or `onEnd`.
export function subscribe({ endpoint, headers, request, onConnected, onResult, onWaiting, onErrors, onEnd }) {
  const resumes = /\$after\b/.test(request.query);
  let after = request.variables?.after ?? null;
  let wait = MIN_RETRY_MS;
  let timer = null;
  let stopped = false;
  const client = createClient({
    url: socketAddress(endpoint),
    connectionParams: headers,
    retryAttempts: 0,
    lazyCloseTimeout: 1000, // both operations use one connection
    on: { connected: () => ((wait = MIN_RETRY_MS), onConnected()) },
  });
  function failed(failure) {
    if (stopped) return;
    if (isFinal(failure)) return onErrors(errorsOf(failure));
    const goesOn = after === null ? "with new events" : "after the last event";
    onWaiting(`The gateway restarts, or cannot be reached. When it is back, the subscription goes on ${goesOn}.`);
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, MAX_RETRY_MS);
  }
  function connect() {
    if (!resumes || after !== null) return follow();
    const begin = ({ data }) => (after = data?.eventCursor ?? null);
    // Where the gateway runs no such query, the subscription begins without it.
    const refused = (failure) => (Array.isArray(failure) ? follow() : failed(failure));
    client.subscribe({ query: BEGINNING }, { next: begin, error: refused, complete: () => stopped || follow() });
  }
  function follow() {
    if (stopped) return;
    const variables = after === null ? request.variables : { ...request.variables, after };
    client.subscribe(
      { ...request, variables },
      {
        next(result) {
          if (resumes && result.data) after = cursorOf(result.data);
          onResult(result);
        },
        error: failed,
        complete: () => stopped || onEnd(),
      },
    );
  }
  connect();
  return () => {
    stopped = true;
    clearTimeout(timer);
    client.dispose();
  };
}
