// The example tabs: put into the editor's storage before it starts, so that each keeps an id by which its key is found.
import { storage } from "./storage.js";

const SEED = "graphiql:seed";
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
  storage.clear();
  storage.setItem(SEED, JSON.stringify(tabs));
  if (tabs.length === 0) return;
  const examples = tabs.map(exampleTab);
  storage.setItem(TABS, JSON.stringify({ tabs: examples, activeTabIndex: 0 }));
  storage.setItem("graphiql:query", examples[0].query); // the editors start with these two, whatever the tabs say
  storage.setItem("graphiql:variables", examples[0].variables);
}

// Tabs that were edited stay as they are, until the gateway offers other examples.
export function offerExamples(tabs) {
  if (storage.getItem(SEED) !== JSON.stringify(tabs)) restoreExamples(tabs);
}
