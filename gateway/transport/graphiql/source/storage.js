// What the editor keeps. Tabs and history stay in this browser tab's session: an address such as localhost:8000 is shared by whatever runs
// there next, and two windows must not fight over one set of tabs. Only the looks outlive the session. Headers are never kept.
const LOOKS = new Set(["graphiql:theme", "graphiql:docExplorerFlex", "graphiql:editorFlex", "graphiql:secondaryEditorFlex"]);
const PREFIX = "gateway:";

const place = (name) => (LOOKS.has(name) ? localStorage : sessionStorage);

const withoutHeaders = (text) =>
  text.includes('"headers"') ? JSON.stringify(JSON.parse(text), (name, value) => (name === "headers" ? undefined : value)) : text;

const ownNames = (storage) => Object.keys(storage).filter((name) => name.startsWith(`${PREFIX}graphiql:`));

export const storage = {
  getItem: (name) => place(name).getItem(PREFIX + name),
  setItem(name, value) {
    if (name === "graphiql:headers") return;
    place(name).setItem(PREFIX + name, name === "graphiql:tabState" ? value : withoutHeaders(value));
  },
  removeItem: (name) => place(name).removeItem(PREFIX + name),
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
