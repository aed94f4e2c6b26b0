// The list of instances, their classes, and what can be done with them.
import { setClassOfSelected, toggleFlag } from "../input/actions.js";
import { setCurrentClass } from "../input/prompting.js";
import { ask } from "../sync/messages.js";
import { saveDetails } from "../sync/saving.js";
import { props } from "../view/page.js";
import { cssColour } from "../view/palette.js";
import {
  classLabel, emit, find, make, nameOf, on, setPressed, select, selected, setStatus, state,
} from "../view/state.js";
import { zoomToSelection } from "../view/viewport.js";

const SHOWN_ROWS = 300;
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
  return state.image.map.ids().filter((id) =>
    !wanted || nameOf(id).toLowerCase().includes(wanted));
};

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

const classNumbers = () => Object.keys(state.classes).map(Number).sort((a, b) => a - b);

function fillClasses() {
  const options = classNumbers().map((kind, place) => {
    const key = place < 9 ? `${place + 1}: ` : "";
    return make("option", { value: String(kind) }, key + classLabel(kind));
  });
  find(".class-choice").replaceChildren(make("option", { value: "" }, "none"), ...options,
    make("option", { value: "new" }, "Add a class ..."));
}

function showClass() {
  const kinds = new Set(selected().map((id) => state.image.record(id).class ?? ""));
  find(".class-choice").value = kinds.size === 1 ? String([...kinds][0]) : "";
  find(".class-choice").disabled = !selected().length;
}

export function addClass() {
  const name = find(".class-name").value.trim();
  if (!name) return setStatus("Give the class a name.");
  const known = classNumbers().find((kind) => state.classes[kind] === name);
  const kind = known ?? Math.max(0, ...classNumbers()) + 1;
  state.classes = { ...state.classes, [kind]: name };
  find(".class-name").value = "";
  find(".class-new").hidden = true;
  saveDetails({ classes: state.classes });
  emit("classes");
  setClassOfSelected(kind);
  find(".class-choice").focus();
}

export function chooseNthClass(place) {
  const kind = classNumbers()[place - 1];
  if (kind === undefined) return setStatus(`There is no class ${place} yet: add one with R.`);
  if (state.tool === "prompt" && !selected().length) return setCurrentClass(kind);
  setClassOfSelected(kind);
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
  on("selection", () => { markRows(); showClass(); });
  on("records classes", () => { fillClasses(); showClass(); });
  find(".filter").addEventListener("input", fillInstances);

  find(".class-choice").addEventListener("change", (event) => {
    const { value } = event.target;
    find(".class-new").hidden = value !== "new";
    if (value === "new") return find(".class-name").focus();
    setClassOfSelected(value === "" ? null : Number(value));
  });
  find(".class-name").addEventListener("keydown", (event) => {
    if (event.key === "Enter") addClass();
    if (event.key !== "Escape") return;
    find(".class-new").hidden = true;
    showClass();
  });

  find(".method").append(...props.methods.map(([value, label]) => make("option", { value }, label)));
}
