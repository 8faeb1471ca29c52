// Follows installationEvents with one of the two npm clients, and prints each event as a line of JSON.
// The payload object is the client's own for as long as it subscribes: what is written into its variables goes out with
// the next connection, and so the client resumes where it was.
import { createClient as createStreamClient } from "graphql-sse";
import { createClient as createSocketClient } from "graphql-ws";

const [transport, url, secret, after] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${secret}` };
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
// A refused connection is an error event, not a close event: by default graphql-ws does not retry after one.
const retry = { retryAttempts: Infinity, shouldRetry: () => true };
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

const clients = {
  "graphql-ws": () =>
    createSocketClient({
      ...retry,
      url: url.replace("http", "ws"),
      connectionParams: headers,
      retryWait: pause,
      on: { connected: (_socket, _payload, again) => say({ connected: again }), closed: ({ code }) => say({ closed: code }) },
    }),
  "graphql-sse": () =>
    createStreamClient({ ...retry, url, headers, retry: pause, on: { connected: (again) => say({ connected: again }) } }),
};

const payload = {
  query: `subscription ($after: String) {
    installationEvents(after: $after) { cursor installationId version }
  }`,
  variables: { after },
};

clients[transport]().subscribe(payload, {
  next({ data, errors }) {
    if (errors) {
      say({ errors });
      return;
    }
    payload.variables.after = data.installationEvents.cursor;
    say({ event: data.installationEvents });
  },
  error(failure) {
    say({ failure: String(failure?.message ?? failure?.reason ?? JSON.stringify(failure)), code: failure?.code });
  },
  complete: () => say({ complete: true }),
});
