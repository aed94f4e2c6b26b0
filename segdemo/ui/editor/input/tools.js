// What the pointer draws: one gesture from press to release, which a second finger can still drop.
import { brushRules, eraserRules, paintCapsule } from "../core/painting.js";
import { changed, divideBySeeds, ready } from "./actions.js";
import {
  aim, cancelOutline, dragOutline, finishOutline, outlineBack, pressOutline, releaseOutline,
} from "./outlining.js";
import { fillCell } from "./filling.js";
import { takenFrom, unchanged } from "./painted.js";
import { dropPrompt, endHover, hoverPrompt, promptBack, promptBy, takePrompt } from "./prompting.js";
import { applyParts, dropParts, splitByLine } from "./splits.js";
import { leaveReview } from "../panels/review.js";
import { pump, unsent } from "../sync/saving.js";
import { drafts } from "../view/drawing.js";
import { layers, paintFill } from "../view/layers.js";
import { colourOf, packed } from "../view/palette.js";
import {
  emit, select, selected, setStatus, state, unlockedSelection,
} from "../view/state.js";
import { pan, placeOf } from "../view/viewport.js";

const TOOLS = {
  select: "Select: click an instance, Shift adds, drag moves the photo.",
  brush: "Brush: paints the selected instance.",
  erase: "Erase: takes from the selected instances, or from any if none is selected.",
  polygon: "Polygon: click the corners, the first one again closes it; Shift+Enter takes it away.",
  lasso: "Lasso: click along the outline and the path snaps to edges (Alt: freely), or drag around it.",
  line: "Split line: draw right across the selected instance.",
  prompt: "Box/Click: drag a box around an object, or click it; Enter takes the mask.",
  fill: "Fill: click in what edges enclose; the threshold decides what is closed.",
  seeds: "Seeds: a stroke in each object, Enter divides what is selected; with nothing selected, "
    + "new ones are made, and Shift draws the background.",
};
export const OUTLINES = ["polygon", "lasso"]; // tools that draw one
export const gesture = { kind: null };

export function setTool(tool) {
  endGesture();
  if (tool !== state.tool) dropDrafts();
  state.tool = tool;
  leaveReview();
  emit("tool");
  setStatus(TOOLS[tool]);
}

export function dropDrafts() {
  Object.assign(drafts, { outline: null, reach: [], line: [], seeds: [], rubber: null });
  endHover();
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

// A background is marked only where instances are made, not where one is divided.
function beginSeed(point, background) {
  if (selected().length && !unlockedSelection("draw in it").length) return;
  gesture.kind = "seeds";
  drafts.seeds.push({ points: [point], background: background && !selected().length });
  emit("tool");
}

export function beginGesture(point, event) {
  drafts.pointer = point;
  if (state.tool === "select") {
    Object.assign(gesture, { kind: "pick", adds: event.shiftKey, from: placeOf(event) });
  } else if (state.tool === "prompt") {
    Object.assign(gesture, { kind: "prompt", negative: event.shiftKey || event.button === 2 });
    drafts.rubber = [point, point];
  } else if (OUTLINES.includes(state.tool)) {
    Object.assign(gesture, pressOutline(point, event));
  } else if (state.tool === "brush" || state.tool === "erase") {
    beginStroke(point);
  } else if (state.tool === "fill") {
    fillCell(point);
  } else if (state.tool === "seeds") {
    beginSeed(point, event.shiftKey || event.button === 2);
  } else if (unlockedSelection("draw in it").length) {
    gesture.kind = state.tool;
    drafts.line = [point];
    emit("tool");
  }
}

export function moveGesture(points, event) {
  drafts.pointer = points[points.length - 1];
  if (gesture.kind === "stroke") points.forEach(strokeTo);
  if (gesture.kind === "prompt") drafts.rubber = [drafts.rubber[0], drafts.pointer];
  if (gesture.kind === "line") drafts.line.push(...points);
  if (gesture.kind === "node" || gesture.kind === "trail") dragOutline(gesture, points, event);
  if (!gesture.kind && state.tool === "prompt") hoverPrompt(drafts.pointer);
  if (!gesture.kind && OUTLINES.includes(state.tool)) aim(drafts.pointer, event);
  if (gesture.kind === "seeds") drafts.seeds.at(-1).points.push(...points);
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
  } else if (kind === "node" || kind === "trail") {
    releaseOutline({ ...gesture, kind });
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
  if (gesture.kind === "node" || gesture.kind === "trail") cancelOutline(gesture);
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

// What Enter, and the button over the canvas, mean now.
export function finishDraft(erase) {
  if (state.parts) applyParts();
  else if (drafts.prompt) takePrompt();
  else if (drafts.outline) finishOutline(erase);
  else if (state.tool === "seeds") divideBySeeds();
  else if (drafts.line.length) finishLine();
}

export function dropDraft() {
  if (gesture.kind) return cancelGesture();
  if (state.parts) return dropParts();
  if (drafts.outline || drafts.line.length || drafts.seeds.length || drafts.prompt) {
    return dropDrafts();
  }
  if (state.image) select([]);
}

export function stepBack() {
  if (drafts.prompt) return promptBack();
  if (drafts.outline) outlineBack();
  else if (state.tool === "seeds") drafts.seeds.pop();
  emit("tool");
}
