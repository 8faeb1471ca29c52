// The example tabs: put into the editor's storage before it starts, so that each has a known id, which its key is found by.
import { storage } from "./storage.js";

const OFFERED = "graphiql:offered";
const PANEL = "graphiql:docExplorerFlex";
const TABS = "graphiql:tabState";

export const exampleId = (index) => `example-${index}`;

const operationName = (query) => /(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1] ?? null;

function exampleTab({ title, query, variables }, index) {
  const name = operationName(query);
  return {
    id: exampleId(index),
    hash: null,
    title: name ?? title,
    query,
    variables: Object.keys(variables).length ? JSON.stringify(variables, null, 2) : "",
    headers: null,
    operationName: name,
    response: null,
  };
}

export function restoreExamples(tabs) {
  storage.forgetTabs();
  storage.setItem(OFFERED, JSON.stringify(tabs));
  if (tabs.length === 0) return;
  const examples = tabs.map(exampleTab);
  storage.setItem(TABS, JSON.stringify({ tabs: examples, activeTabIndex: 0 }));
  storage.setItem("graphiql:query", examples[0].query); // the editors start with these two, not with the tabs'
  storage.setItem("graphiql:variables", examples[0].variables);
}

// Edited tabs stay as they are until the gateway offers other examples.
export function offerExamples(tabs) {
  if (storage.getItem(OFFERED) !== JSON.stringify(tabs)) restoreExamples(tabs);
  if (!storage.getItem(PANEL)) storage.setItem(PANEL, "0.25"); // the panel beside a session of 1
}

const REPLACED = "graphiql:replaced-ids";

// A new installation has a new id: it replaces the old one in the tabs that act on the examples' installation.
export class ReplacedIds {
  #originals = new Map(); // an example tab's id -> the id that its result replaces
  #listener = () => {};

  constructor(tabs) {
    tabs.forEach(({ replaces }, index) => replaces && this.#originals.set(exampleId(index), replaces));
  }

  listen(listener) {
    this.#listener = listener;
  }

  onResult({ tab, result }) {
    const original = this.#originals.get(tab);
    const made = Object.values(result?.data ?? {}).find((value) => value?.__typename === "Installation");
    if (!original || !made) return;
    const known = JSON.parse(storage.getItem(REPLACED) ?? "{}");
    this.#listener({ from: known[original] ?? original, to: made.id });
    storage.setItem(REPLACED, JSON.stringify({ ...known, [original]: made.id }));
  }
}

export function replaceInTabs(tabs, { from, to }) {
  for (const tab of tabs) tab.variables = tab.variables?.replaceAll(from, to) ?? null;
}
