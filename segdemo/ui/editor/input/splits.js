// Splits by a line and along edges, and the parts that are shown before they are made.
const LEAST_PART = { line: 8, edges: 2e-5 }; // pixels; share of the picture, but 16 at least

// Returns [id, parts] of each selected instance that the walls cut. wallOf(box) gives the walls.
function partsBy(ids, wallOf, smallest) {
  const started = performance.now(), { map } = state.picture, splits = [];
  for (const id of ids) {
    const box = map.box(id), parts = box && partsOf(map, id, box, wallOf(box), smallest);
    if (parts) splits.push([id, parts]);
  }
  timings.split.push(performance.now() - started);
  return splits;
}

function applySplits(what, splits) {
  const { step, made } = state.picture.split(what, splits);
  changed(step);
  const before = splits.map(([id]) => id);
  select([...before, ...made], true);
  say(`${what}: ${before.join(", ")} became ${counted(before.length + made.length, "part")}.`);
}

function splitByLine(points) {
  const ids = editable("draw the line across it");
  if (!ids.length) return;
  const splits = partsBy(ids, (box) => wallOfLine(points, box), LEAST_PART.line);
  if (!splits.length) return say("The line cuts nothing off: draw it right across the instance.");
  applySplits("Split by a line", splits);
}

function edgeParts(ids) {
  const { values } = state.edges, { width, height } = state.picture.map;
  const wall = (box) => wallOfEdges(values, width, state.edgeLook.threshold, box);
  return partsBy(ids, wall, Math.max(16, Math.round(width * height * LEAST_PART.edges)));
}

// First shows the parts; then, asked again, makes them.
function splitByEdges() {
  if (state.parts) return applyParts();
  if (state.picture && !state.edges) return say("There are no edges yet: find some under Edges.");
  const ids = editable("press X");
  if (!ids.length) return;
  const splits = edgeParts(ids);
  if (!splits.length) {
    return say("At this threshold the edges cut nothing off: lower it, or draw a line (L).");
  }
  state.parts = splits;
  tell("parts");
  sayParts();
}

function sayParts() {
  if (!state.parts.length) return say("At this threshold the edges cut nothing off.");
  const parts = state.parts.reduce((sum, [, { count }]) => sum + count, 0);
  say(`${counted(parts, "part")}: X or Apply makes them, Esc drops them.`);
}

function applyParts() {
  if (!ready() || !state.parts?.length) return;
  applySplits("Split along edges", state.parts);
}

function dropParts() {
  state.parts = null;
  tell("parts");
}

// Follows the threshold while parts are shown.
function moveThreshold(threshold) {
  state.edgeLook.threshold = threshold;
  if (!state.parts) return tell("cuts");
  state.parts = edgeParts(selected());
  tell("parts");
  sayParts();
}

follow("selection", () => {
  if (state.parts) dropParts();
});
