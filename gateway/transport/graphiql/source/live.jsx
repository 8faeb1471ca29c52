// The Live panel: every change that a key may see, newest first, while tabs come and go. A line that breaks is taken up where it was, by
// the last event's cursor.
import { useEffect, useState, useSyncExternalStore } from "react";
import { createClient } from "graphql-ws";
import { requestHeaders, socketAddress } from "./transport.js";

const KEPT = 200;
const SHORTEST_WAIT = 1000; // milliseconds, doubled with every failure in a row
const LONGEST_WAIT = 30_000;

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

// A refused operation or key stays refused.
const isFinal = (failure) => Array.isArray(failure) || [4400, 4401, 4403].includes(failure.code);

// Calls `show` with each event and `tell` with the state of the line, until the function it gives back is called.
function follow({ endpoint, secret, show, tell }) {
  let wait = SHORTEST_WAIT;
  const client = createClient({
    url: socketAddress(endpoint),
    connectionParams: requestHeaders(secret),
    retryAttempts: 0,
    on: {
      connected() {
        wait = SHORTEST_WAIT;
        tell("live");
      },
    },
  });
  let after = null;
  let timer = null;
  let stopped = false;
  const again = () => {
    if (stopped) return;
    timer = setTimeout(subscribe, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  };
  function subscribe() {
    client.subscribe(
      { query: DOCUMENT, variables: { after } },
      {
        next({ data, errors }) {
          if (errors) return tell(failureOf(errors));
          after = data.installationEvents.cursor;
          show(data.installationEvents);
        },
        error(failure) {
          tell(failureOf(failure));
          if (!isFinal(failure)) again();
        },
        complete: again,
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

function LivePanel({ endpoint, keyRing }) {
  const [events, setEvents] = useState([]);
  const [line, setLine] = useState("connecting…");
  useSyncExternalStore(keyRing.subscribe, keyRing.snapshot);
  const key = keyRing.widest;
  useEffect(() => {
    const show = (event) => setEvents((known) => [event, ...known].slice(0, KEPT));
    return follow({ endpoint, secret: key.secret, show, tell: setLine });
  }, [endpoint, key.secret]);
  return (
    <section className="live" aria-label="Live changes">
      <h2 className="graphiql-doc-explorer-title">Live changes</h2>
      <p role="status">
        {line}
        {key.label ? ` – what ${key.label} sees` : ""}
      </p>
      {events.length === 0 && line === "live" && <p>Run a mutation: its change appears here.</p>}
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

export const livePlugin = ({ endpoint, keyRing }) => ({
  title: "Live changes",
  icon: LiveIcon,
  content: () => <LivePanel endpoint={endpoint} keyRing={keyRing} />,
});
