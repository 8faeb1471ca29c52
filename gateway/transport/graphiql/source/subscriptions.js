// Subscribes over graphql-transport-ws. After a lost connection a subscription goes on after its last event, where the operation has a
// variable $after and selects the cursor.
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

const cursorOf = ({ data }) => Object.values(data ?? {})[0]?.cursor ?? null;

// Calls, until the returned function is called: `onConnected` for each connection, `onResult` with each result, `onWaiting` with words while
// there is no connection, and once at most `onErrors` or `onEnd`.
export function subscribe({ endpoint, headers, request, onConnected, onResult, onWaiting, onErrors, onEnd }) {
  const resumes = /\$after\b/.test(request.query);
  let after = null;
  let wait = MIN_RETRY_MS;
  let timer = null;
  let stopped = false;
  const client = createClient({
    url: socketAddress(endpoint),
    connectionParams: headers,
    retryAttempts: 0,
    on: { connected: () => ((wait = MIN_RETRY_MS), onConnected()) },
  });
  function connect() {
    const variables = after === null ? request.variables : { ...request.variables, after };
    client.subscribe(
      { ...request, variables },
      {
        next(result) {
          if (resumes) after = cursorOf(result) ?? after;
          onResult(result);
        },
        error(failure) {
          if (stopped) return;
          if (isFinal(failure)) return onErrors(errorsOf(failure));
          const goesOn = after === null ? "with new events" : "after the last event";
          onWaiting(`The gateway restarts, or cannot be reached. When it is back, the subscription goes on ${goesOn}.`);
          timer = setTimeout(connect, wait);
          wait = Math.min(wait * 2, MAX_RETRY_MS);
        },
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
