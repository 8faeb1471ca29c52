// The Live panel: every change that the most privileged key sees, newest first, whichever tab is open. After a lost connection it resumes
// at the last event's cursor.
import { useEffect, useState, useSyncExternalStore } from "react";
import { createClient } from "graphql-ws";
import { requestHeaders, socketAddress } from "./transport.js";

const MAX_EVENTS = 200;
const MIN_RETRY_MS = 1000; // doubled with every failure in a row
const MAX_RETRY_MS = 30_000;

const DOCUMENT = `subscription Live($after: String) {
  installationEvents(after: $after) {
    __typename
    id
    cursor
    occurredAt
    installationId
    actor { kind label }
    installation { application { name } account { name } }
    ... on InstallationStatusChanged { from to reason { code message } }
    ... on InstallationMetadataUpdated { changedKeys }
    ... on InstallationSyncProgressed { steps { name done total } }
    ... on InstallationConnectionReported { succeeded failures message }
  }
}`;

const progress = ({ name, done, total }) => (total === null ? `${name} ${done}` : `${name} ${done}/${total}`);

function describe(event) {
  switch (event.__typename) {
    case "InstallationStatusChanged":
      return `${event.from ?? "none"} → ${event.to ?? "deleted"}`;
    case "InstallationMetadataUpdated":
      return `metadata: ${event.changedKeys.join(", ")}`;
    case "InstallationSyncProgressed":
      return `sync: ${event.steps.map(progress).join(", ")}`;
    case "InstallationConnectionReported":
      return event.succeeded ? "connection works" : `connection failed (${event.failures} in a row)`;
    default:
      return event.__typename.replace("Installation", "").replace(/(?<!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  }
}

const reasonOf = ({ reason, message }) => reason?.message ?? reason?.code ?? message ?? null;

const failureOf = (failure) => {
  if (Array.isArray(failure)) return failure.map(({ message }) => message).join("; ");
  return failure.reason || failure.message || "the connection broke";
};

// Trying again does not help when the operation or the key was refused.
const isFinal = (failure) => Array.isArray(failure) || [4400, 4401, 4403].includes(failure.code);

// Calls `onEvent` with each event and `onStatus` with the state of the connection, until the returned function is called.
function subscribeToEvents({ endpoint, secret, onEvent, onStatus }) {
  let wait = MIN_RETRY_MS;
  const client = createClient({
    url: socketAddress(endpoint),
    connectionParams: requestHeaders(secret),
    retryAttempts: 0,
    on: {
      connected() {
        wait = MIN_RETRY_MS;
        onStatus("live");
      },
    },
  });
  let after = null;
  let timer = null;
  let stopped = false;
  const retry = () => {
    if (stopped) return;
    timer = setTimeout(subscribe, wait);
    wait = Math.min(wait * 2, MAX_RETRY_MS);
  };
  function subscribe() {
    client.subscribe(
      { query: DOCUMENT, variables: { after } },
      {
        next({ data, errors }) {
          if (errors) return onStatus(failureOf(errors));
          after = data.installationEvents.cursor;
          onEvent(data.installationEvents);
        },
        error(failure) {
          onStatus(failureOf(failure));
          if (!isFinal(failure)) retry();
        },
        complete: retry,
      },
    );
  }
  subscribe();
  return () => {
    stopped = true;
    clearTimeout(timer);
    client.dispose();
  };
}

function Change({ event }) {
  const { installation, actor } = event;
  const reason = reasonOf(event);
  return (
    <li>
      <time dateTime={event.occurredAt}>{new Date(event.occurredAt).toLocaleTimeString()}</time>
      <strong>{describe(event)}</strong>
      <span>{installation ? `${installation.application.name} for ${installation.account.name}` : event.installationId}</span>
      <small>
        {reason ? `${reason} – ` : ""}
        by {actor.label ?? actor.kind.toLowerCase()}
      </small>
    </li>
  );
}

function LivePanel({ endpoint, keyStore }) {
  const [events, setEvents] = useState([]);
  const [status, setStatus] = useState("connecting…");
  useSyncExternalStore(keyStore.subscribe, keyStore.snapshot);
  const key = keyStore.mostPrivileged;
  useEffect(() => {
    const onEvent = (event) => setEvents((known) => [event, ...known].slice(0, MAX_EVENTS));
    return subscribeToEvents({ endpoint, secret: key.secret, onEvent, onStatus: setStatus });
  }, [endpoint, key.secret]);
  return (
    <section className="live" aria-label="Live changes">
      <h2 className="graphiql-doc-explorer-title">Live changes</h2>
      <p role="status">
        {status}
        {key.label ? ` – what ${key.label} sees` : ""}
      </p>
      {events.length === 0 && status === "live" && <p>Run a mutation: its change appears here.</p>}
      <ol>
        {events.map((event) => (
          <Change key={event.id} event={event} />
        ))}
      </ol>
    </section>
  );
}

const LiveIcon = (properties) => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" {...properties}>
    <path d="M2 12h4l3-8 5 16 3-8h5" />
  </svg>
);

export const livePlugin = ({ endpoint, keyStore }) => ({
  title: "Live changes",
  icon: LiveIcon,
  content: () => <LivePanel endpoint={endpoint} keyStore={keyStore} />,
});
