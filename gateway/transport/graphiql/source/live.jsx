// The Live panel: every change that the most privileged key sees, newest first, whichever tab is open.
import { useEffect, useState, useSyncExternalStore } from "react";
import { subscribe } from "./subscriptions.js";
import { requestHeaders } from "./transport.js";

const MAX_EVENTS = 200;

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

function Change({ event }) {
  const { installation, actor } = event;
  const reason = reasonOf(event);
  return (
    <li>
      <strong>{describe(event)}</strong>
      <time dateTime={event.occurredAt}>{new Date(event.occurredAt).toLocaleTimeString()}</time>
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
    const showErrors = (errors) => setStatus(errors.map(({ message }) => message).join("; "));
    return subscribe({
      endpoint,
      headers: requestHeaders(key.secret),
      request: { query: DOCUMENT },
      onConnected: () => setStatus("live"),
      onResult({ data, errors }) {
        if (errors) return showErrors(errors);
        setEvents((known) => [data.installationEvents, ...known].slice(0, MAX_EVENTS));
      },
      onWaiting: setStatus,
      onErrors: showErrors,
      onEnd: () => setStatus("ended by the gateway"),
    });
  }, [endpoint, key.secret]);
  return (
    <section className="live" aria-label="Live changes">
      <h2>Live changes</h2>
      <p role="status">
        {status}
        {status === "live" && key.label ? ` – what ${key.label} sees` : ""}
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
