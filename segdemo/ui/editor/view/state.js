// What the editor knows, in one place; parts of the page follow it by name of what changed.
const state = {
  token: null, // of the work on the server
  picture: null, // a Picture, or null while nothing is open
  about: null, // index, name, checked and files of the picture, as Python sent them
  queue: [],
  classes: {}, // number -> name
  selection: [], // ids; the first is the one that is painted
  tool: "select",
  brush: { size: 24, mode: "all" },
  look: { opacity: 0.55, outlines: false, photoOnly: false, compare: false, wipe: 0.5, shuffle: 0 },
  edges: null, // {source, label, values}
  edgeLook: { shown: false, opacity: 0.6, colour: "#ffffff", threshold: 128, cuts: true },
  parts: null, // [[id, parts]] of a split that waits for "Apply"
  proposals: null, // {list, box, labels, shown: index or null}
  start: null, // Uint16Array of the labels as imported, once asked for
  waiting: null, // name of the event that the server works on
  operating: false, // a server function is about to change the pixels
};
const timings = { stroke: [], redraw: [], split: [], sent: [], load: [] };
const followers = {};

const find = (selector) => element.querySelector(selector);
const findAll = (selector) => [...element.querySelectorAll(selector)];

function follow(names, work) {
  for (const name of names.split(" ")) (followers[name] ||= []).push(work);
}

function tell(name, detail) {
  for (const work of followers[name] || []) work(detail);
}

function say(words) {
  find(state.picture ? ".said" : ".welcome-said").textContent = words;
}

// Builds an element; text is only ever set as text, for names come from other people's files.
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function press(button, on) {
  button.setAttribute("aria-pressed", String(Boolean(on)));
}

const className = (kind) => (kind === null ? "" : state.classes[kind] || "class " + kind);

function nameOf(id) {
  const kind = className(state.picture.record(id).class);
  return kind ? `${id} ${kind}` : `instance ${id}`;
}

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

const selected = () => state.selection;

function unlockedSelection(action) {
  if (!state.picture) return [];
  if (!selected().length) {
    say(`Nothing is selected: click an instance (V), then ${action}.`);
    return [];
  }
  const locked = selected().filter((id) => state.picture.record(id).locked);
  if (!locked.length) return selected();
  say(`${nameOf(locked[0])} is locked: unlock it in the list first.`);
  return [];
}

function select(ids, quiet = false) {
  state.selection = ids;
  tell("selection");
  if (quiet) return;
  if (!ids.length) return say("Nothing is selected.");
  const area = ids.reduce((sum, id) => sum + state.picture.map.areas[id], 0);
  say(`Selected: ${ids.map(nameOf).join(", ")} (${area.toLocaleString("en")} pixels).`);
}
