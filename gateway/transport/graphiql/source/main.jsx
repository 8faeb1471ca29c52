// The page: GraphiQL, a choice of the key for each tab, and the example tabs that the gateway offers.
import { createRoot } from "react-dom/client";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { GraphiQL } from "graphiql";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import "monaco-graphql/esm/monaco-editor.js"; // imported here so that its style is part of main.css
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./page.css";
import { KeyStore, offeredKeys } from "./keys.js";
import { createFetcher } from "./transport.js";
import { livePlugin } from "./live.jsx";
import { storage } from "./storage.js";
import { ReplacedIds, exampleId, offerExamples, replaceInTabs, restoreExamples } from "./examples.js";

globalThis.MonacoEnvironment = {
  getWorker(_, label) {
    const name = WORKERS[`${label}Worker.js`] ?? WORKERS["editorWorker.js"];
    return new Worker(new URL(name, import.meta.url), { type: "module" });
  },
};

function KeyField({ keyStore }) {
  const { introspect } = useGraphiQLActions();
  return (
    <input
      type="password"
      aria-label="Your key"
      placeholder="paste a key: igw_…"
      autoComplete="off"
      spellCheck={false}
      defaultValue={keyStore.typed}
      onBlur={(event) => (keyStore.setTyped(event.target.value), introspect())}
      onKeyDown={(event) => event.key === "Enter" && event.target.blur()}
    />
  );
}

// Long lines are wrapped: at 1,000 px an operation has 200 px beside its toolbar.
const EDITOR_OPTIONS = { wordWrap: "on", wrappingIndent: "indent", fontSize: 13 };

// The style sheets follow the system's colours by themselves, the editors only when they are told.
function useSystemColours() {
  const theme = useGraphiQL(({ theme }) => theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(theme);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
}

function KeyChooser({ keyStore }) {
  useSystemColours();
  useSyncExternalStore(keyStore.subscribe, keyStore.snapshot);
  const tab = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex].id);
  useEffect(() => keyStore.openTab(tab), [keyStore, tab]);
  const editors = useGraphiQL(({ queryEditor, variableEditor, responseEditor }) => ({ queryEditor, variableEditor, responseEditor }));
  useEffect(() => {
    for (const editor of Object.values(editors)) editor?.updateOptions(EDITOR_OPTIONS);
    document.body.toggleAttribute("data-ready", Object.values(editors).every(Boolean));
  }, [editors]);
  return (
    <div className="key-chooser">
      <label>
        <span>Act as</span>
        <select value={keyStore.chosen} onChange={(event) => keyStore.choose(event.target.value)}>
          {keyStore.keys.map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
          <option value="typed">another key</option>
        </select>
      </label>
      {keyStore.chosen === "typed" && <KeyField keyStore={keyStore} />}
      {keyStore.notice && <small role="note">{keyStore.notice}</small>}
    </div>
  );
}

function Examples({ tabs: offered, replacedIds }) {
  const { storeTabs } = useGraphiQLActions();
  const { tabs, activeTabIndex } = useGraphiQL(({ tabs, activeTabIndex }) => ({ tabs, activeTabIndex }));
  useEffect(() => {
    replacedIds.listen((change) => {
      replaceInTabs(tabs, change); // in place: the store has no action that changes a tab which is not open
      storeTabs({ tabs, activeTabIndex });
    });
  }, [replacedIds, storeTabs, tabs, activeTabIndex]);
  return (
    <button type="button" className="restore" onClick={() => (restoreExamples(offered), location.reload())}>
      Restore examples
    </button>
  );
}

// The editor's schema of variables allows no object for a scalar that it does not know.
const SCALAR_SCHEMAS = { JSON: { type: ["object", "array", "string", "number", "boolean"] } };

function Page({ config, keyStore, fetcher, replacedIds }) {
  const plugins = useMemo(() => [livePlugin({ endpoint: config.endpoint, keyStore }), HISTORY_PLUGIN], [config, keyStore]);
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      customScalarSchemas={SCALAR_SCHEMAS}
      plugins={plugins}
      visiblePlugin={config.tabs.length > 0 ? plugins[0] : undefined}
      shouldPersistHeaders={false}
      showPersistHeadersSettings={false}
      defaultEditorToolsVisibility="variables"
      defaultQuery={"query Viewer {\n  viewer {\n    kind\n  }\n}\n"}
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <KeyChooser keyStore={keyStore} />
        {config.tabs.length > 0 && <Examples tabs={config.tabs} replacedIds={replacedIds} />}
      </GraphiQL.Logo>
    </GraphiQL>
  );
}

const NO_TOKEN = "For keys that are filled in, open the address with the token that `gateway serve` printed, or paste a key from there.";

// Without the token the page works, with keys that are typed.
async function keysOrNotice({ offersKeys }) {
  try {
    const keys = await offeredKeys();
    return { keys, notice: offersKeys && keys.length === 0 ? NO_TOKEN : null };
  } catch (error) {
    return { keys: [], notice: `${error.message.trim()} Paste a key that \`gateway serve\` printed, or start it again.` };
  }
}

async function start() {
  const response = await fetch(new URL("config.json", import.meta.url));
  if (!response.ok) throw new Error(`the gateway answered ${response.status} to the page's configuration`);
  const config = await response.json();
  offerExamples(config.tabs);
  const { keys, notice } = await keysOrNotice(config);
  const keyStore = new KeyStore({ keys, notice, defaults: config.tabs.map(({ key }, index) => [exampleId(index), key]) });
  keyStore.openTab(exampleId(0));
  const replacedIds = new ReplacedIds(config.tabs);
  const fetcher = createFetcher({ endpoint: config.endpoint, keyStore, onResult: (result) => replacedIds.onResult(result) });
  createRoot(document.getElementById("graphiql")).render(
    <Page config={config} keyStore={keyStore} fetcher={fetcher} replacedIds={replacedIds} />,
  );
}

addEventListener("hashchange", () => location.hash.startsWith("#token=") && location.reload()); // the address was opened in a tab that has the page already

start().catch((error) => {
  document.querySelector("#graphiql .notice").textContent = `GraphiQL could not start: ${error.message}`;
});
