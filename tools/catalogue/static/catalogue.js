// Search, the map's highlights and the choice of dark or light. Everything else works without.
"use strict";

const root = document.body.dataset.root;

// Dark or light: what the reader chose, else what the system says.
const theme = {
  key: "catalogue-theme",
  stored() {
    try { return localStorage.getItem(this.key); } catch { return null; }
  },
  apply(name) {
    if (name) document.documentElement.dataset.theme = name;
  },
  toggle() {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    const name = dark ? "light" : "dark";
    this.apply(name);
    try { localStorage.setItem(this.key, name); } catch { /* private windows forget */ }
  },
};
theme.apply(theme.stored());
document.getElementById("theme").addEventListener("click", () => theme.toggle());

// The map: what is tied to the row under the pointer or the focus.
for (const map of document.querySelectorAll(".map")) {
  const rows = [...map.querySelectorAll("[data-row]")];
  const lines = [...map.querySelectorAll(".line")];

  function show(keys) {
    const on = new Set(keys);
    for (const line of lines) {
      const tied = keys.includes(line.dataset.from) || keys.includes(line.dataset.to);
      line.classList.toggle("on", tied);
      if (tied) on.add(line.dataset.from).add(line.dataset.to);
    }
    for (const row of rows) row.classList.toggle("on", on.has(row.dataset.row));
    map.classList.add("active");
  }
  function clear() {
    map.classList.remove("active");
    for (const each of map.querySelectorAll(".on")) each.classList.remove("on");
  }
  for (const link of map.querySelectorAll("[data-row], [data-card]")) {
    const keys = link.dataset.row ? [link.dataset.row] : link.dataset.card.split(" ");
    link.addEventListener("pointerenter", () => show(keys));
    link.addEventListener("pointerleave", clear);
    link.addEventListener("focus", () => show(keys));
    link.addEventListener("blur", clear);
    // A finger cannot point without touching: the first tap shows, the second one follows.
    link.addEventListener("click", (event) => {
      if (event.pointerType === "touch" && map.dataset.shown !== keys.join(" ")) {
        event.preventDefault();
        show(keys);
      }
      map.dataset.shown = keys.join(" ");
    });
  }
}

// Search: all words must be in the name, its kind or its context.
const box = document.getElementById("search");
const list = document.getElementById("found");
let chosen = -1;

function score([name], words) {
  const lower = name.toLowerCase();
  return lower === words[0] ? 0 : lower.startsWith(words[0]) ? 1 : lower.includes(words[0]) ? 2 : 3;
}
function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return window.catalogue
    .filter(([name, kind, context]) => {
      const all = `${name} ${kind} ${context}`.toLowerCase();
      const plain = all.replaceAll("_", " ");
      return words.every((word) => all.includes(word) || plain.includes(word));
    })
    .sort((one, other) => score(one, words) - score(other, words))
    .slice(0, 12);
}
function choose(place) {
  const items = [...list.querySelectorAll("[role=option]")];
  chosen = items.length ? (place + items.length) % items.length : -1;
  items.forEach((item, index) => item.setAttribute("aria-selected", index === chosen));
  if (chosen >= 0) {
    box.setAttribute("aria-activedescendant", items[chosen].id);
    items[chosen].scrollIntoView({ block: "nearest" });
  }
}
function open(visible) {
  list.hidden = !visible;
  box.setAttribute("aria-expanded", visible);
}
function fill() {
  const found = find(box.value);
  list.replaceChildren(...found.map(([name, kind, context, address], index) => {
    const item = document.createElement("li");
    item.id = `found-${index}`;
    item.setAttribute("role", "option");
    const link = document.createElement("a");
    link.href = root + address;
    link.tabIndex = -1;
    const title = document.createElement("b");
    title.textContent = name;
    const note = document.createElement("small");
    note.textContent = context && kind !== "context" ? `${kind} · ${context}` : kind;
    link.append(title, note);
    item.append(link);
    return item;
  }));
  if (!found.length && box.value.trim()) {
    const item = document.createElement("li");
    item.className = "nothing";
    item.textContent = "Nothing has such a name";
    list.append(item);
  }
  open(Boolean(box.value.trim()));
  choose(0);
}
box.addEventListener("input", fill);
box.addEventListener("focus", fill);
box.addEventListener("blur", () => setTimeout(() => open(false), 150));
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Enter") list.querySelector("[aria-selected=true] a")?.click();
  else if (event.key === "Escape") { box.value = ""; open(false); box.blur(); }
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    box.focus();
  }
});
