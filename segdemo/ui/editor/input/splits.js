// Splits by a line and along edges, and the parts that are shown before they are made.
import { edgeBarrier, lineBarrier, partsOf, piecesOf, smallestEdgePart } from "../core/splitting.js";
import { changed, editable, ready } from "./actions.js";
import {
  counted, emit, nameOf, on, select, selected, setStatus, state, timings,
} from "../view/state.js";

// Returns [id, parts] of each selected instance that `cut(map, id, box)` divides.
function partsBy(ids, cut) {
  const started = performance.now(), { map } = state.image, splits = [];
  for (const id of ids) {
    const box = map.box(id), parts = box && cut(map, id, box);
    if (parts) splits.push([id, parts]);
  }
  timings.split.push(performance.now() - started);
  return splits;
}

function applySplits(what, splits) {
  const { step, made } = state.image.split(what, splits);
  changed(step);
  const before = splits.map(([id]) => id);
  select([...before, ...made], true);
  setStatus(`${what}: ${before.join(", ")} became ${counted(before.length + made.length, "part")}.`);
}

export function splitByLine(points) {
  const ids = editable("draw the line across it");
  if (!ids.length) return;
  const splits = partsBy(ids, (map, id, box) => partsOf(map, id, box, lineBarrier(points, box)));
  if (!splits.length) return setStatus("The line cuts nothing off: draw it right across the instance.");
  applySplits("Split by a line", splits);
}

export function separatePieces() {
  const ids = editable("press C");
  if (!ids.length) return;
  const splits = partsBy(ids, piecesOf);
  if (!splits.length) return setStatus(`${nameOf(ids[0])} is one piece: there is nothing to separate.`);
  applySplits("Separate pieces", splits);
}

function edgeParts(ids) {
  const { values } = state.edges, { width, height } = state.image.map;
  const { threshold } = state.edgeLook, smallest = smallestEdgePart(width, height);
  return partsBy(ids, (map, id, box) =>
    partsOf(map, id, box, edgeBarrier(values, width, threshold, box), smallest));
}

// First shows the parts; then, asked again, makes them.
export function splitByEdges() {
  if (state.parts) return applyParts();
  if (state.image && !state.edges) return setStatus("There are no edges yet: find some under Edges.");
  const ids = editable("press X");
  if (!ids.length) return;
  const splits = edgeParts(ids);
  if (!splits.length) {
    return setStatus("At this threshold the edges cut nothing off: lower it, or draw a line (L).");
  }
  state.parts = splits;
  emit("parts");
  showPartCount();
}

function showPartCount() {
  if (!state.parts.length) return setStatus("At this threshold the edges cut nothing off.");
  const parts = state.parts.reduce((sum, [, { count }]) => sum + count, 0);
  setStatus(`${counted(parts, "part")}: X or Apply makes them, Esc drops them.`);
}

export function applyParts() {
  if (!ready() || !state.parts?.length) return;
  applySplits("Split along edges", state.parts);
}

export function dropParts() {
  state.parts = null;
  emit("parts");
}

// Follows the threshold while parts are shown.
export function moveThreshold(threshold) {
  state.edgeLook.threshold = threshold;
  if (!state.parts) return emit("cuts");
  state.parts = edgeParts(selected());
  emit("parts");
  showPartCount();
}

export function start() {
  on("selection", () => {
    if (state.parts) dropParts();
  });
}
