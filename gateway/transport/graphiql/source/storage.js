// The editor's storage. Tabs and history are kept in the session of this browser tab: an address such as localhost:8000 may next serve
// another program, and two windows must not share one set of tabs. Only the appearance outlives the session. Headers are never stored.
const APPEARANCE = new Set(["graphiql:theme", "graphiql:docExplorerFlex", "graphiql:editorFlex", "graphiql:secondaryEditorFlex"]);
const PREFIX = "gateway:";

const storageFor = (name) => (APPEARANCE.has(name) ? localStorage : sessionStorage);

const withoutHeaders = (text) =>
  text.includes('"headers"') ? JSON.stringify(JSON.parse(text), (name, value) => (name === "headers" ? undefined : value)) : text;

const ownNames = (storage) => Object.keys(storage).filter((name) => name.startsWith(`${PREFIX}graphiql:`));

export const storage = {
  getItem: (name) => storageFor(name).getItem(PREFIX + name),
  setItem(name, value) {
    if (name === "graphiql:headers") return;
    storageFor(name).setItem(PREFIX + name, name === "graphiql:tabState" ? value : withoutHeaders(value));
  },
  removeItem: (name) => storageFor(name).removeItem(PREFIX + name),
  forgetTabs() {
    for (const name of ownNames(sessionStorage)) sessionStorage.removeItem(name);
  },
  clear() {
    for (const kept of [localStorage, sessionStorage]) for (const name of ownNames(kept)) kept.removeItem(name);
  },
  get length() {
    return ownNames(localStorage).length + ownNames(sessionStorage).length;
  },
};
