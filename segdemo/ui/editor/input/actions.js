// What buttons and keys do. Every action says in the status line what it did or why it did not.
import { cancelGesture, dropDrafts, endGesture, gesture, setTool } from "./tools.js";
import { turnProposals } from "../panels/proposals.js";
import { ask, mayEdit, operate } from "../sync/messages.js";
import { notSaved, recordsOf, saveDetails, saveStep, settled } from "../sync/saving.js";
import { drafts } from "../view/drawing.js";
import { layers, paintFill } from "../view/layers.js";
import { colourTable } from "../view/palette.js";
import { anchors } from "../view/outlines.js";
import {
  className, counted, emit, nameOf, on, select, selected, setStatus, state, unlockedSelection,
} from "../view/state.js";
import { zoomToSelection } from "../view/viewport.js";

export function changed(step, words) {
  if (!step) return false;
  saveStep(step);
  emit("pixels", step);
  if (words) setStatus(words);
  return true;
}

// A stroke that is still held ends here, for only one change can be under way.
export function ready() {
  if (!state.image) return false;
  endGesture();
  if (state.operating) setStatus("One moment: the server is working on these masks.");
  else if (!mayEdit()) setStatus("One moment: the server is busy.");
  else return true;
  return false;
}

// The selected instances, or none where they cannot be changed now.
export function editable(action) {
  return ready() ? unlockedSelection(action) : [];
}

export function stepHistory(way) {
  if (gesture.kind) return cancelGesture();
  if (!ready()) return;
  const step = state.image[way]();
  if (!step) return setStatus(`There is nothing to ${way}.`);
  changed(step, step.what + ".");
  if (step.classes) takeClasses();
  if (step.records) emit("records", [...step.ids]);
  select(selected().filter((id) => state.image.map.areas[id]), true);
}

export function mergeSelected() {
  const ids = editable("Shift-click others and press M");
  if (!ids.length) return;
  if (ids.length < 2) return setStatus("Select two or more instances to merge (Shift adds).");
  changed(state.image.merge(ids));
  select([ids[0]], true);
  setStatus(`Merged ${ids.join(", ")} into ${nameOf(ids[0])}.`);
}

export function removeSelected() {
  const ids = editable("press Delete");
  if (!ids.length) return;
  changed(state.image.remove(ids));
  select([], true);
  setStatus(`Deleted ${ids.join(", ")}.`);
}

// The new instance is painted first; what was selected stays selected for the mode "inside".
export function startInstance() {
  if (!ready()) return;
  try {
    const inside = state.brush.mode === "inside" ? selected() : [];
    const id = state.image.newId(selected()[0]);
    select([id, ...inside], true);
    if (!["brush", "polygon"].includes(state.tool)) setTool("brush");
    setStatus(`Instance ${id} is new: paint it.`);
  } catch (problem) {
    setStatus(problem.message);
  }
}

const SERVER_OPERATIONS = {
  fill_holes: ["press H", "Filling holes", {}],
  smooth: ["press S", "Smoothing", { radius: 2 }],
  grow: ["press >", "Growing", { radius: 2 }],
  shrink: ["press <", "Shrinking", { radius: 2 }],
};

export function operateOnSelected(operation) {
  const [key, words, options] = SERVER_OPERATIONS[operation];
  const ids = editable(key);
  if (!ids.length) return;
  return operate("operate", { operation, ids, options }, words + " ...");
}

export function subtractSelected() {
  const ids = editable("Shift-click the one to take away");
  if (!ids.length) return;
  if (ids.length !== 2) return setStatus("Select two: the first loses what is near the second.");
  const request = { operation: "subtract", ids, options: { radius: 2 } };
  return operate("operate", request, "Subtracting ...");
}

// Divides the selected instances; with none selected, each stroke becomes an instance.
export async function divideBySeeds() {
  if (!ready()) return;
  const ids = selected().length ? unlockedSelection("draw seeds in it (G)") : [];
  if (selected().length && !ids.length) return;
  const { seeds } = drafts, objects = seeds.filter(({ background }) => !background).length;
  if (ids.length && seeds.length < 2) return setStatus("Draw at least two seeds, one in each object (G).");
  if (!objects) return setStatus("Draw a stroke in each object; Shift draws the background.");
  const options = {
    strokes: seeds.map(({ points }) => points.map((point) => point.map(Math.round))),
    background: seeds.map(({ background }) => background), size: state.brush.size / 2,
  };
  const operation = ids.length ? "seeds" : "scribbles";
  const request = { operation, ids, options };
  const done = await operate("operate", request, "The random walk looks for borders ...");
  if (!done) return;
  if (!ids.length && done.step) {
    const made = [...done.step.ids].filter((id) => state.image.map.areas[id]);
    for (const id of made) state.image.record(id).class = state.currentClass;
    saveDetails({ instances: recordsOf(made) });
    emit("records", made);
    setStatus(`Scribbles: ${counted(made.length, "instance")}. Draw the next ones, or undo.`);
  }
  dropDrafts();
}

export function setClassOfSelected(kind) {
  const ids = editable("choose its class (R)");
  if (!ids.length) return;
  changed(state.image.setClass(ids, kind));
  emit("records", ids);
  setStatus(`${ids.join(", ")}: ${className(kind) || "no class"}.`);
}

// The image's classes, which undo may have changed, become the work's.
export function takeClasses() {
  const { classes } = state.image;
  const gone = Object.keys(state.classes).filter((kind) => !(kind in classes));
  saveDetails({ classes: { ...classes, ...Object.fromEntries(gone.map((kind) => [kind, ""])) } });
  state.classes = classes;
  emit("classes");
}

// flag: "hidden" or "locked". These are ways of looking and working, so they are not undone.
export function toggleFlag(ids, flag) {
  if (!state.image || !ids.length) return;
  const enabled = !ids.every((id) => state.image.record(id)[flag]);
  for (const id of ids) state.image.record(id)[flag] = enabled;
  saveDetails({ instances: recordsOf(ids) });
  emit("records", ids);
  if (flag === "hidden") emit("colours");
  setStatus(`${nameOf(ids[0])} is ${enabled ? flag : "no longer " + flag}.`);
}

export function setChecked(checked) {
  state.about.checked = checked;
  saveDetails({ checked });
  emit("queue");
  setStatus(checked ? "Checked." : "No longer marked as checked.");
}

export function stepImage(by) {
  if (!state.image) return;
  const place = state.queue.findIndex(({ index }) => index === state.about.index);
  const next = state.queue[place + by];
  if (!next) return setStatus(by > 0 ? "This is the last photo." : "This is the first photo.");
  return ask("show", { picture: next.index }, `Opening ${next.name} ...`);
}

export function checkAndStep() {
  if (!state.image) return;
  setChecked(true);
  return stepImage(1);
}

const shownInstances = () =>
  state.image.map.ids().filter((id) => !state.image.record(id).hidden);

export function selectAll() {
  if (state.image) select(shownInstances());
}

export function stepInstance(by) {
  if (!state.image) return;
  const ids = shownInstances();
  if (!ids.length) return setStatus("There is no instance to go to.");
  const place = ids.indexOf(selected()[0]);
  const next = place < 0 ? (by > 0 ? 0 : ids.length - 1) : (place + by + ids.length) % ids.length;
  select([ids[next]]);
  zoomToSelection();
}

export async function flush() {
  if (!state.image) return;
  endGesture();
  setStatus((await settled()) ? "All changes are saved." : notSaved());
}

export function start() {
  on("pixels", (step) => {
    if (!step.box) return;
    for (const id of step.ids) anchors.delete(id);
    layers.colours = colourTable();
    paintFill(step.box);
    state.parts = null;
    turnProposals(step);
    emit("parts");
  });
}
