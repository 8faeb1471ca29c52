// The key that a request is sent with. Every tab has its own choice. Keys are kept in the session of this browser tab, and are never part of
// an address.
const TYPED = "gateway:key";
const OFFERED = "gateway:keys";

// The keys that the gateway hands out once, for the token in the address's fragment; after that, those kept in the session of this browser
// tab. Throws where the token is refused and no keys are kept.
export async function offeredKeys() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  const kept = JSON.parse(sessionStorage.getItem(OFFERED) ?? "[]");
  if (token === null) return kept;
  history.replaceState(null, "", location.pathname + location.search);
  const response = await fetch(new URL("keys", import.meta.url), { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok && kept.length > 0) return kept;
  if (!response.ok) throw new Error(await response.text());
  const keys = await response.json();
  sessionStorage.setItem(OFFERED, JSON.stringify(keys));
  return keys;
}

export class KeyStore {
  #listeners = new Set();
  #choices = new Map(); // a tab's id -> a key's name
  #defaults;
  #tab = null;
  #last;

  constructor({ keys, defaults, notice }) {
    this.notice = notice; // why there are no keys to choose from
    this.keys = keys.map((key, index) => ({ ...key, name: `key-${index}` }));
    this.typed = sessionStorage.getItem(TYPED) ?? "";
    this.#defaults = new Map(
      [...defaults].map(([tab, kind]) => [tab, this.keys.find((key) => key.kind === kind)?.name ?? null]),
    );
    this.#last = this.keys[0]?.name ?? "typed";
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #notify() {
    for (const listener of this.#listeners) listener();
  }

  openTab(tab) {
    this.#tab = tab;
    this.#notify();
  }

  get chosen() {
    return this.#choices.get(this.#tab) ?? this.#defaults.get(this.#tab) ?? this.#last;
  }

  get secret() {
    const key = this.keys.find(({ name }) => name === this.chosen);
    return key ? key.secret : this.typed;
  }

  // The key that sees most: the platform's if it is offered.
  get mostPrivileged() {
    return this.keys.find(({ kind }) => kind === "PLATFORM") ?? this.keys[0] ?? { label: null, secret: this.typed };
  }

  get tab() {
    return this.#tab;
  }

  // React renders again when this changes.
  snapshot = () => `${this.chosen} ${this.secret}`;

  choose(name) {
    this.#choices.set(this.#tab, name);
    this.#last = name;
    this.#notify();
  }

  setTyped(secret) {
    this.typed = secret.trim();
    if (this.typed) sessionStorage.setItem(TYPED, this.typed);
    else sessionStorage.removeItem(TYPED);
    this.#notify();
  }
}
