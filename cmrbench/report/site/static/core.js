// Elements, the view that the address holds, packed data, the theme. Texts become text nodes: nothing is parsed as HTML.
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function fillSelect(select, values, keepFirst = false) {
  const first = keepFirst ? [...select.options].filter((option) => option.dataset.own !== "1") : [];
  select.replaceChildren(...first);
  for (const [value, text, group] of values) {
    const option = make("option", { value, textContent: text });
    option.dataset.own = "1";
    let home = select;
    if (group) {
      home = all("optgroup", select).find((one) => one.label === group);
      if (!home) select.append((home = make("optgroup", { label: group })));
    }
    home.append(option);
  }
}

const choose = (select, wanted) => {
  const known = [...select.options].map((option) => option.value);
  select.value = known.includes(wanted) ? wanted : (known[0] ?? "");
};

// The view: what was chosen, in the address, so that a link reproduces it.
const view = {
  values: new URLSearchParams(),
  listeners: [],
  read() {
    const hash = location.hash.slice(1);
    this.values = new URLSearchParams(hash.includes("=") ? hash : "");
  },
  get(key) {
    return this.values.get(key) ?? "";
  },
  set(key, value) {
    if (value) this.values.set(key, value);
    else this.values.delete(key);
    try {
      history.replaceState(null, "", `#${this.values}`);
    } catch {
      // Some browsers refuse it for local files; the page works without.
    }
  },
};
addEventListener("hashchange", () => {
  if (!location.hash.includes("=")) return;
  view.read();
  view.listeners.forEach((restore) => restore());
});

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(find(`#${id}`).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function whenNear(element, act) {
  const watcher = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      act();
    },
    { rootMargin: "600px" },
  );
  watcher.observe(element);
}

const THEMES = ["auto", "dark", "light"];
const theme = {
  listeners: [],
  name: "auto",
  set(name) {
    this.name = THEMES.includes(name) ? name : "auto";
    if (this.name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.name;
    find("#theme").textContent = `Theme: ${this.name}`;
    try {
      localStorage.setItem("cmrbench-theme", this.name);
    } catch {
      // Not remembered where the browser keeps nothing for local files.
    }
    this.listeners.forEach((listener) => listener());
  },
  color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  },
};

function setUpTheme() {
  let stored = null;
  try {
    stored = localStorage.getItem("cmrbench-theme");
  } catch {
    stored = null;
  }
  theme.set(stored);
  find("#theme").addEventListener("click", () => theme.set(THEMES[(THEMES.indexOf(theme.name) + 1) % THEMES.length]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme.listeners.forEach((f) => f()));
}
