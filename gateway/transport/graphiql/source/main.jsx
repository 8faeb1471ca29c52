// The page: GraphiQL, a chooser of the key that each tab goes out with, and the example tabs that the gateway offers.
import { createRoot } from "react-dom/client";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { GraphiQL } from "graphiql";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import "monaco-graphql/esm/monaco-editor.js"; // here, so that its style becomes part of main.css
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./page.css";
import { KeyRing } from "./keys.js";
import { createFetcher } from "./transport.js";
import { livePlugin } from "./live.jsx";
import { storage } from "./storage.js";
import { Followed, exampleId, offerExamples, replaceInTabs, restoreExamples } from "./examples.js";

globalThis.MonacoEnvironment = {
  getWorker(_, label) {
    const name = WORKERS[`${label}Worker.js`] ?? WORKERS["editorWorker.js"];
    return new Worker(new URL(name, import.meta.url), { type: "module" });
  },
};

function KeyField({ keyRing }) {
  const { introspect } = useGraphiQLActions();
  return (
    <input
      type="password"
      aria-label="Your key"
      placeholder="paste a key: igw_…"
      autoComplete="off"
      spellCheck={false}
      defaultValue={keyRing.typed}
      onBlur={(event) => (keyRing.type(event.target.value), introspect())}
      onKeyDown={(event) => event.key === "Enter" && event.target.blur()}
    />
  );
}

function KeyChooser({ keyRing }) {
  useSyncExternalStore(keyRing.subscribe, keyRing.snapshot);
  const tab = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex].id);
  useEffect(() => keyRing.open(tab), [keyRing, tab]);
  const ready = useGraphiQL(({ queryEditor, variableEditor }) => Boolean(queryEditor && variableEditor));
  useEffect(() => {
    document.body.toggleAttribute("data-ready", ready);
  }, [ready]);
  return (
    <div className="key-chooser">
      <label>
        <span>Act as</span>
        <select value={keyRing.chosen} onChange={(event) => keyRing.choose(event.target.value)}>
          {keyRing.keys.map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
          <option value="typed">another key</option>
        </select>
      </label>
      {keyRing.chosen === "typed" && <KeyField keyRing={keyRing} />}
    </div>
  );
}

function Examples({ tabs: offered, followed }) {
  const { storeTabs } = useGraphiQLActions();
  const { tabs, activeTabIndex } = useGraphiQL(({ tabs, activeTabIndex }) => ({ tabs, activeTabIndex }));
  useEffect(() => {
    followed.listen((change) => {
      replaceInTabs(tabs, change); // in place: the store has no action that changes a tab which is not open
      storeTabs({ tabs, activeTabIndex });
    });
  }, [followed, storeTabs, tabs, activeTabIndex]);
  return (
    <button type="button" className="restore" onClick={() => (restoreExamples(offered), location.reload())}>
      Restore examples
    </button>
  );
}

function Page({ config, keyRing, fetcher, followed }) {
  const plugins = useMemo(() => [livePlugin({ endpoint: config.endpoint, keyRing }), HISTORY_PLUGIN], [config, keyRing]);
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
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
        <KeyChooser keyRing={keyRing} />
        {config.tabs.length > 0 && <Examples tabs={config.tabs} followed={followed} />}
      </GraphiQL.Logo>
    </GraphiQL>
  );
}

async function start() {
  const response = await fetch(new URL("config.json", import.meta.url));
  if (!response.ok) throw new Error(`the gateway answered ${response.status} to the page's configuration`);
  const config = await response.json();
  offerExamples(config.tabs);
  const keyRing = new KeyRing({ keys: config.keys, defaults: config.tabs.map(({ key }, index) => [exampleId(index), key]) });
  keyRing.open(exampleId(0));
  const followed = new Followed(config.tabs);
  const fetcher = createFetcher({ endpoint: config.endpoint, keyRing, onResult: (result) => followed.look(result) });
  createRoot(document.getElementById("graphiql")).render(
    <Page config={config} keyRing={keyRing} fetcher={fetcher} followed={followed} />,
  );
}

start().catch((error) => {
  document.querySelector("#graphiql .notice").textContent = `GraphiQL could not start: ${error.message}`;
});
