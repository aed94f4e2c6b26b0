// Splits by a line and along edges, and the parts that are shown before they are made.
import {
  edgeBarrier, lineBarrier, partsOf, piecesOf, SMALLEST_PART, smallestEdgePart,
} from "../core/splitting.js";
import { changed, editable, ready } from "./actions.js";
import {
  counted, emit, nameOf, on, select, selected, setStatus, state, timings,
} from "../view/state.js";

// Returns {splits, tiny}: [id, parts] of each selected instance that `cut(map, id, box)` divides,
// and how many pieces were cut off that are too small for a part.
function partsBy(ids, cut) {
  const started = performance.now(), { map } = state.image, splits = [];
  let tiny = 0;
  for (const id of ids) {
    const box = map.box(id), parts = box && cut(map, id, box);
    if (!parts) continue;
    tiny += parts.tiny;
    if (parts.count > 1) splits.push([id, parts]);
  }
  timings.split.push(performance.now() - started);
  return { splits, tiny };
}

// A part of a few pixels is not seen on the photo: its size is said.
function applySplits(what, splits, smallest) {
  const { step, made } = state.image.split(what, splits);
  changed(step);
  const before = splits.map(([id]) => id), parts = [...before, ...made];
  select(parts, true);
  const least = Math.min(...parts.map((id) => state.image.map.areas[id])).toLocaleString("en");
  const tiny = splits.reduce((sum, [, part]) => sum + part.tiny, 0);
  setStatus(`${what}: ${before.join(", ")} became ${counted(parts.length, "part")}, `
    + `the smallest of ${least} pixels.` + tinyWords(tiny, smallest));
}

const tinyWords = (tiny, smallest) => (tiny
  ? ` ${counted(tiny, "piece")} of fewer than ${smallest} pixels stayed with a neighbour.` : "");

export function splitByLine(points) {
  const ids = editable("draw the line across it");
  if (!ids.length) return;
  const { splits, tiny } = partsBy(ids, (map, id, box) =>
    partsOf(map, id, box, lineBarrier(points, box)));
  if (splits.length) return applySplits("Split by a line", splits, SMALLEST_PART);
  setStatus(tiny ? `The line cuts off fewer than ${SMALLEST_PART} pixels: too few for a part.`
    : "The line cuts nothing off: draw it right across the instance.");
}

export function separatePieces() {
  const ids = editable("press C");
  if (!ids.length) return;
  const { splits, tiny } = partsBy(ids, piecesOf);
  if (splits.length) return applySplits("Separate pieces", splits, SMALLEST_PART);
  setStatus(tiny ? `Nothing to separate: apart from the largest piece there are only pieces of fewer `
    + `than ${SMALLEST_PART} pixels.`
    : `${nameOf(ids[0])} is one piece: there is nothing to separate.`);
}

function smallestPart() {
  const { width, height } = state.image.map;
  return smallestEdgePart(width, height);
}

function edgeParts(ids) {
  const { values } = state.edges, { width } = state.image.map;
  const { threshold } = state.edgeLook, smallest = smallestPart();
  return partsBy(ids, (map, id, box) =>
    partsOf(map, id, box, edgeBarrier(values, width, threshold, box), smallest));
}

// First shows the parts; then, asked again, makes them.
export function splitByEdges() {
  if (state.parts) return applyParts();
  if (state.image && !state.edges) return setStatus("There are no edges yet: find some under Edges.");
  const ids = editable("press X");
  if (!ids.length) return;
  const { splits, tiny } = edgeParts(ids);
  if (!splits.length) {
    const off = tiny ? `cut off only pieces of fewer than ${smallestPart()} pixels` : "cut nothing off";
    return setStatus(`At this threshold the edges ${off}: lower it, or draw a line (L).`);
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
  applySplits("Split along edges", state.parts, smallestPart());
}

export function dropParts() {
  state.parts = null;
  emit("parts");
}

// Follows the threshold while parts are shown.
export function moveThreshold(threshold) {
  state.edgeLook.threshold = threshold;
  if (!state.parts) return emit("cuts");
  state.parts = edgeParts(selected()).splits;
  emit("parts");
  showPartCount();
}

export function start() {
  on("selection", () => {
    if (state.parts) dropParts();
  });
}
