// What the pointer draws: one gesture from press to release, which a second finger can still drop.
import { brushRules, eraserRules, paintCapsule, paintPolygon } from "../core/painting.js";
import { changed, divideBySeeds, editable, ready } from "./actions.js";
import { dropPrompt, promptBack, promptBy, takePrompt } from "./prompting.js";
import { applyParts, dropParts, splitByLine } from "./splits.js";
import { pump, unsent } from "../sync/saving.js";
import { drafts } from "../view/drawing.js";
import { layers, paintFill } from "../view/layers.js";
import { colourOf, packed } from "../view/palette.js";
import {
  emit, nameOf, select, selected, setStatus, state, unlockedSelection,
} from "../view/state.js";
import { pan, placeOf } from "../view/viewport.js";

const TOOLS = {
  select: "Select: click an instance, Shift adds, drag moves the photo.",
  brush: "Brush: paints the selected instance.",
  erase: "Erase: takes from the selected instances, or from any if none is selected.",
  polygon: "Polygon: click the corners; Enter adds it to the selection, Shift+Enter takes it away.",
  line: "Split line: draw right across the selected instance.",
  prompt: "Box/Click: drag a box around an object, or click it; Enter takes the mask.",
  seeds: "Seeds: draw one stroke in each object, then Enter divides what is selected (Shift-click adds fragments).",
};
const UNCHANGED = "Nothing changed: these pixels are its own, or the mode or a lock keeps them.";
const KEPT = 'Nothing changed: the brush paints on background. Choose "over all" to take pixels '
  + "from other instances.";
const unchanged = (erase) => (!erase && state.brush.mode === "background" ? KEPT : UNCHANGED);

// Says what other instances have lost to the one that was painted.
function takenFrom({ taken }) {
  const others = [...taken].sort(([, one], [, other]) => other - one);
  if (!others.length) return "";
  const named = others.slice(0, 3).map(([id, lost]) =>
    `${lost.toLocaleString("en")} from ${nameOf(id)}`);
  const rest = others.length > 3 ? ` and ${others.length - 3} more` : "";
  return ` Taken: ${named.join(", ")}${rest}.`;
}
export const gesture = { kind: null };

export function setTool(tool) {
  endGesture();
  if (tool !== state.tool) dropDrafts();
  state.tool = tool;
  emit("tool");
  setStatus(TOOLS[tool]);
}

export function dropDrafts() {
  Object.assign(drafts, { polygon: [], line: [], seeds: [], rubber: null });
  if (drafts.prompt) dropPrompt();
  emit("tool");
}

// A brush of one pixel must hit one pixel, not the corner between four.
const brushPoint = (point) =>
  state.brush.size > 1 ? point : point.map((value) => Math.floor(value) + 0.5);

function beginStroke(point) {
  if (!ready()) return;
  const erase = state.tool === "erase", { image } = state;
  const any = erase && !selected().length;
  const ids = any ? [0] : unlockedSelection("paint, or press N for a new one");
  if (!ids.length) return;
  if (state.parts) dropParts();
  const { locked } = image;
  const may = erase ? eraserRules(selected(), locked)
    : brushRules(state.brush.mode, selected(), locked);
  image.map.begin(erase ? "Erase" : "Brush");
  layers.colours[ids[0]] = packed(colourOf(ids[0] || 1));
  Object.assign(gesture, { kind: "stroke", id: erase ? 0 : ids[0], may, last: brushPoint(point) });
  strokeTo(point);
}

function strokeTo(point) {
  const to = brushPoint(point), radius = state.brush.size / 2;
  const box = paintCapsule(state.image.map, gesture.last, to, radius, gesture.id, gesture.may);
  gesture.last = to;
  if (box) paintFill(box);
}

export function beginGesture(point, event) {
  drafts.pointer = point;
  if (state.tool === "select") {
    Object.assign(gesture, { kind: "pick", adds: event.shiftKey, from: placeOf(event) });
  } else if (state.tool === "prompt") {
    Object.assign(gesture, { kind: "prompt", negative: event.shiftKey || event.button === 2 });
    drafts.rubber = [point, point];
  } else if (state.tool === "polygon") {
    drafts.polygon.push(point);
    emit("tool");
  } else if (state.tool === "brush" || state.tool === "erase") {
    beginStroke(point);
  } else if (unlockedSelection("draw in it").length) {
    gesture.kind = state.tool;
    if (state.tool === "line") drafts.line = [point];
    else drafts.seeds.push([point]);
    emit("tool");
  }
}

export function moveGesture(points, event) {
  drafts.pointer = points[points.length - 1];
  if (gesture.kind === "stroke") points.forEach(strokeTo);
  if (gesture.kind === "prompt") drafts.rubber = [drafts.rubber[0], drafts.pointer];
  if (gesture.kind === "line") drafts.line.push(...points);
  if (gesture.kind === "seeds") drafts.seeds.at(-1).push(...points);
  if (gesture.kind === "pick" || gesture.kind === "drag") {
    const place = placeOf(event), [fromX, fromY] = gesture.from;
    const moved = [place[0] - fromX, place[1] - fromY];
    if (gesture.kind === "pick" && Math.hypot(...moved) < 5) return;
    Object.assign(gesture, { kind: "drag", from: place });
    pan(...moved);
  }
}

export function endGesture() {
  const { kind } = gesture;
  gesture.kind = null;
  if (kind === "stroke") {
    const step = state.image.keep(state.image.map.finish());
    const area = state.image.map.areas[selected()[0]] || 0, erase = state.tool === "erase";
    if (changed(step)) {
      const words = `${step.what}: ${area.toLocaleString("en")} pixels now.`;
      setStatus(words + (erase ? "" : takenFrom(step)));
    } else {
      setStatus(unchanged(erase));
      if (unsent()) pump();
    }
    if (!area && selected().length && erase) select([], true);
  } else if (kind === "prompt") {
    const { rubber } = drafts;
    drafts.rubber = null;
    promptBy(rubber, gesture.negative);
  } else if (kind === "line") {
    finishLine();
  } else if (kind === "pick") {
    pick(drafts.pointer, gesture.adds);
  }
}

export function cancelGesture() {
  if (gesture.kind === "stroke") {
    const box = state.image.map.cancel();
    if (box) paintFill(box);
    if (unsent()) pump();
  }
  if (gesture.kind === "seeds") drafts.seeds.pop();
  if (gesture.kind === "line") drafts.line = [];
  drafts.rubber = null;
  gesture.kind = null;
  emit("tool");
}

function finishLine() {
  const points = drafts.line;
  drafts.line = [];
  emit("tool");
  if (points.length > 1) splitByLine(points);
}

export function pick([x, y], adds) {
  const id = state.image.map.at(x, y);
  if (!adds) return select(id ? [id] : []);
  if (!id) return;
  const without = selected().filter((other) => other !== id);
  select(without.length < selected().length ? without : [...selected(), id]);
}

export function finishPolygon(erase) {
  const points = drafts.polygon;
  if (points.length < 3) return setStatus("A polygon needs three corners at least.");
  const ids = editable("close the polygon, or press N for a new instance");
  if (!ids.length) return;
  const { image } = state, { locked } = image;
  const may = erase ? eraserRules(selected(), locked)
    : brushRules(state.brush.mode, selected(), locked);
  const paint = () => paintPolygon(image.map, points, erase ? 0 : ids[0], may);
  const step = image.change(erase ? "Polygon, taken away" : "Polygon", paint);
  changed(step);
  dropDrafts();
  if (!step) setStatus(unchanged(erase));
  else if (erase) setStatus(`Polygon taken from ${nameOf(ids[0])}.`);
  else setStatus(`Polygon added to ${nameOf(ids[0])}.${takenFrom(step)}`);
}

// What Enter, and the button over the canvas, mean now.
export function finishDraft(erase) {
  if (state.parts) applyParts();
  else if (drafts.prompt) takePrompt();
  else if (state.tool === "polygon") finishPolygon(erase);
  else if (state.tool === "seeds") divideBySeeds();
  else if (drafts.line.length) finishLine();
}

export function dropDraft() {
  if (gesture.kind) return cancelGesture();
  if (state.parts) return dropParts();
  if (drafts.polygon.length || drafts.line.length || drafts.seeds.length || drafts.prompt) {
    return dropDrafts();
  }
  if (state.image) select([]);
}

export function stepBack() {
  if (drafts.prompt) return promptBack();
  if (state.tool === "polygon") drafts.polygon.pop();
  else if (state.tool === "seeds") drafts.seeds.pop();
  emit("tool");
}
