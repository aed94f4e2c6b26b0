// What the editor knows, in one place; parts of the page follow it by name of what changed.
import { element } from "./page.js";

const initial = () => ({
  token: null, // of the work on the server
  image: null, // an EditedImage, or null while nothing is open
  about: null, // index, name, checked and files of the image, as the server sent them
  queue: [],
  classes: {}, // number -> name
  stuff: new Set(), // numbers of the classes without instances: RIP leaves them alone
  selection: [], // ids; the first is the one that is painted
  tool: "select",
  currentClass: null, // of the next mask by Box/Click
  brush: { size: 24, mode: "background" },
  look: { opacity: 0.55, outlines: false, photoOnly: false, compare: false, wipe: 0.5, shuffle: 0,
    brightness: 1, contrast: 1, byClass: false },
  opacities: new Map(), // of single instances, 1 where there is none
  edges: null, // {source, label, values}
  edgeLook: { shown: false, opacity: 0.6, colour: "#ffffff", threshold: 128, cuts: true },
  parts: null, // [[id, parts]] of a split that waits for "Apply"
  proposals: null, // {list, box, labels, colours, shown and current: index or null, reviewed}
  layout: { focusMode: false, panels: false },
  start: null, // Uint16Array of the labels as imported, once asked for
  greeting: 0, // number of the last "hello"
  due: 0, // answers to greetings of a lower number are stale
  latest: null, // the last message that opened or closed something
  waiting: null, // name of the event that the server works on
  operating: false, // a server function is about to change the pixels
});
export const state = initial();
export const timings = { stroke: [], redraw: [], split: [], wire: [], prompt: [], sent: [], load: [] };
const listeners = new Map();

// Gradio may build the component again, with other elements.
export function reset() {
  listeners.clear();
  Object.assign(state, initial());
}

export const find = (selector) => element.querySelector(selector);
export const findAll = (selector) => [...element.querySelectorAll(selector)];

export function on(names, work) {
  for (const name of names.split(" ")) {
    if (!listeners.has(name)) listeners.set(name, []);
    listeners.get(name).push(work);
  }
}

export function emit(name, detail) {
  for (const work of listeners.get(name) || []) work(detail);
}

export function setStatus(words) {
  find(state.image ? ".said" : ".welcome-said").textContent = words;
}

// Builds an element; text is only ever set as text, for names come from other people's files.
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function setPressed(button, pressed) {
  button.setAttribute("aria-pressed", String(Boolean(pressed)));
}

export const className = (kind) => (kind === null ? "" : state.classes[kind] || "class " + kind);
export const classLabel = (kind) => className(kind) + (state.stuff.has(kind) ? " (stuff)" : "");

export function nameOf(id) {
  const kind = className(state.image.record(id).class);
  return kind ? `${id} ${kind}` : `instance ${id}`;
}

export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

export const selected = () => state.selection;

export function unlockedSelection(action) {
  if (!state.image) return [];
  if (!selected().length) {
    setStatus(`Nothing is selected: click an instance (V), then ${action}.`);
    return [];
  }
  const locked = selected().filter((id) => state.image.record(id).locked);
  if (!locked.length) return selected();
  setStatus(`${nameOf(locked[0])} is locked: unlock it in the list first.`);
  return [];
}

export function select(ids, quiet = false) {
  state.selection = ids;
  emit("selection");
  if (quiet) return;
  if (!ids.length) return setStatus("Nothing is selected.");
  const area = ids.reduce((sum, id) => sum + state.image.map.areas[id], 0);
  setStatus(`Selected: ${ids.map(nameOf).join(", ")} (${area.toLocaleString("en")} pixels).`);
}
