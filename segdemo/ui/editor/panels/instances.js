// The list of instances.
import { toggleFlag } from "../input/actions.js";
import { ask } from "../sync/messages.js";
import { props } from "../view/page.js";
import { cssColour } from "../view/palette.js";
import {
  className, classLabel, find, make, nameOf, on, setPressed, select, selected, state,
} from "../view/state.js";
import { zoomToSelection } from "../view/viewport.js";

const SHOWN_ROWS = 300;
const ORDERS = { // of the list; else by number
  area: (one, other) => state.image.map.areas[other] - state.image.map.areas[one],
  small: (one, other) => state.image.map.areas[one] - state.image.map.areas[other],
  class: (one, other) => className(state.image.record(one).class)
    .localeCompare(className(state.image.record(other).class)),
  place: (one, other) => state.image.map.box(one)[0] - state.image.map.box(other)[0],
};
const rows = new Map(); // id -> {item, area, ...}
let showAll = false;

function icon(name, words, active) {
  const button = make("button", { type: "button", className: "flag " + name, title: words });
  button.setAttribute("aria-label", words);
  setPressed(button, active);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", {
    hidden: active ? "M2 10q8-9 16 0q-8 9-16 0M3 17L17 3"
      : "M2 10q8-9 16 0q-8 9-16 0M10 7.5a2.5 2.5 0 1 0 .01 0",
    locked: active ? "M4 9h12v8H4zM7 9V6a3 3 0 0 1 6 0v3" : "M4 9h12v8H4zM7 9V6a3 3 0 0 1 5.5-1.7",
  }[name]);
  svg.append(path);
  button.append(svg);
  return button;
}

function instanceRow(id) {
  const { class: kind, hidden, locked } = state.image.record(id);
  const dot = make("span", { className: "dot" });
  dot.style.background = cssColour(id);
  const area = make("span", { className: "sub area" });
  const name = make("span", { className: "name" }, String(id), " ",
    make("span", { className: "sub" }, classLabel(kind)));
  const main = make("button", { type: "button", className: "instance" }, dot, name, area);
  main.addEventListener("click", (event) => {
    const adds = event.shiftKey || event.ctrlKey || event.metaKey;
    if (!adds) select([id]);
    else if (selected().includes(id)) select(selected().filter((other) => other !== id));
    else select([...selected(), id]);
    if (!adds) zoomToSelection();
  });
  const eye = icon("hidden", `Hide instance ${id}`, hidden);
  const lock = icon("locked", `Lock instance ${id}`, locked);
  eye.addEventListener("click", () => toggleFlag([id], "hidden"));
  lock.addEventListener("click", () => toggleFlag([id], "locked"));
  const item = make("li", {}, main, eye, lock);
  return { item, main, area };
}

const wantedIds = () => {
  const wanted = find(".filter").value.trim().toLowerCase();
  const ids = state.image.map.ids().filter((id) =>
    !wanted || nameOf(id).toLowerCase().includes(wanted));
  const order = ORDERS[find(".sort").value];
  return order ? ids.sort((one, other) => order(one, other) || one - other) : ids;
};

// All that the list shows, hidden ones too.
export function selectListed() {
  if (state.image) select(wantedIds());
}

function fillInstances() {
  if (!state.image) return;
  const ids = wantedIds(), list = find(".instances");
  const shown = showAll ? ids : ids.slice(0, SHOWN_ROWS);
  rows.clear();
  for (const id of shown) rows.set(id, instanceRow(id));
  const more = make("button", { type: "button" }, `Show all ${ids.length}`);
  more.addEventListener("click", () => { showAll = true; fillInstances(); });
  const rest = shown.length < ids.length ? [make("li", {}, more)] : [];
  const { scrollTop } = list;
  list.replaceChildren(...[...rows.values()].map(({ item }) => item), ...rest);
  list.scrollTop = scrollTop;
  showAreas(rows.keys());
  markRows();
}

function showAreas(ids) {
  for (const id of ids) {
    const row = rows.get(id), area = state.image.map.areas[id];
    if (row) row.area.textContent = area.toLocaleString("en") + " px";
  }
  const all = state.image.map.ids().length;
  find(".count").textContent = `(${all})`;
  find(".none").hidden = all > 0;
  find(".none").textContent = "No masks yet: let a method propose "
    + "some, press I and drag a box around an object, or N and paint.";
  find(".propose").hidden = all > 0;
}

function markRows() {
  for (const [id, { main }] of rows) setPressed(main, selected().includes(id));
  const first = rows.get(selected()[0]), list = find(".instances");
  if (!first) return;
  const { offsetTop, offsetHeight } = first.item, top = offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  const below = top + offsetHeight - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
}

export function propose() {
  const [method] = find(".method").selectedOptions;
  return ask("propose", { method: method.value }, `${method.textContent} looks for objects ...`);
}

export function start() {
  on("image", () => { showAll = false; });
  on("image records classes", fillInstances);
  on("pixels", ({ ids }) => {
    const moved = [...ids].some((id) => rows.has(id) !== state.image.map.areas[id] > 0);
    if (moved) fillInstances();
    else showAreas(ids);
  });
  on("selection", markRows);
  find(".sort").addEventListener("change", fillInstances);
  find(".filter").addEventListener("input", fillInstances);

  find(".method").append(...props.methods.map(([value, label]) => make("option", { value }, label)));
}
