// Keys of the canvas.
import {
  checkAndStep, flush, mergeSelected, operateOnSelected, removeSelected, selectAll, startInstance,
  stepHistory, stepInstance, stepImage,
} from "./actions.js";
import { copySelected, pasteMasks } from "./copying.js";
import { keyName } from "./key_names.js";
import { held } from "./pointer.js";
import { separatePieces, splitByEdges } from "./splits.js";
import {
  beginGesture, dropDraft, endGesture, finishDraft, pick, setTool, stepBack,
} from "./tools.js";
import { openHelp } from "../panels/help.js";
import { togglePanels, toggleFocusMode } from "../panels/focus_mode.js";
import { chooseClassByKey } from "../panels/classes.js";
import { reviewKey } from "../panels/review.js";
import { setBrushSize, toggleLook } from "../panels/toolbar.js";
import { drafts, redraw } from "../view/drawing.js";
import { emit, find, state } from "../view/state.js";
import {
  canvas, fit, pan, toBoard, toImage, view, zoomAt, zoomToSelection,
} from "../view/viewport.js";

const drawing = () => drafts.outline || drafts.seeds.length || drafts.prompt;
const KEYS = {
  v: () => setTool("select"), b: () => setTool("brush"), e: () => setTool("erase"),
  i: () => setTool("prompt"), p: () => setTool("polygon"), t: () => setTool("lasso"),
  l: () => setTool("line"), g: () => setTool("seeds"), u: () => setTool("fill"),
  x: splitByEdges, m: mergeSelected, n: startInstance, Delete: removeSelected,
  c: separatePieces, h: () => operateOnSelected("fill_holes"),
  s: () => operateOnSelected("smooth"), r: () => find(".class-choice").focus(),
  "[": () => resizeBrush(-1), "]": () => resizeBrush(1),
  ">": () => operateOnSelected("grow"), "<": () => operateOnSelected("shrink"),
  "+": () => zoomBy(ZOOM_STEP), "=": () => zoomBy(ZOOM_STEP), "-": () => zoomBy(1 / ZOOM_STEP),
  z: zoomToSelection, f: fit, o: () => toggleLook("outlines"),
  a: () => stepImage(-1), d: () => stepImage(1),
  j: () => stepInstance(1), k: () => stepInstance(-1),
  w: toggleFocusMode, y: togglePanels,
  ".": () => pressAtCursor(), Escape: dropDraft, "?": openHelp,
  Enter: (event) => enter(event.shiftKey),
  Backspace: () => (drawing() ? stepBack : removeSelected)(),
};
const WITH_CONTROL = {
  z: (event) => (drawing() && !event.shiftKey ? stepBack()
    : stepHistory(event.shiftKey ? "redo" : "undo")), y: () => stepHistory("redo"),
  s: flush, a: selectAll, c: copySelected, v: pasteMasks, Enter: checkAndStep,
};
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const REPEATING = ["[", "]", "+", "=", "-", "z", "y", "j", "k", ...Object.keys(WAYS)];
const PHOTO_ONLY = ["q", "`"];
const PAN_STEP = 48; // page pixels
const ZOOM_STEP = 1.25;

const known = (name) => Boolean(KEYS[name] || WAYS[name]) || /^[1-9qy`]$/.test(name);
const nameOf = (event) => keyName(event, known);

function handle(event) {
  const name = nameOf(event);
  // AltGr writes signs such as [ on many layouts; Windows sends it as Ctrl and Alt together
  const writes = event.getModifierState("AltGraph");
  if (!writes && (event.ctrlKey || event.metaKey)) return WITH_CONTROL[name] || null;
  if (!writes && event.altKey) return null;
  const decides = event.shiftKey ? null : reviewKey(name);
  if (decides) return decides;
  if (WAYS[name]) return () => (event.shiftKey ? moveCursor : panBy)(...WAYS[name]);
  if (/^[1-9]$/.test(name)) return () => chooseClassByKey(name);
  return KEYS[name] || null;
}

function showPhotoOnly(on) {
  if (!on) held.photo = false;
  if (state.look.photoOnly === on) return;
  state.look.photoOnly = on;
  emit("look");
}

const panBy = (across, down) => pan(-across * PAN_STEP, -down * PAN_STEP);
const zoomBy = (factor) => zoomAt(view.width / 2, view.height / 2, factor);

// The cursor of those who draw without a pointer; it begins in the middle of what is seen.
function moveCursor(across, down) {
  if (!state.image) return;
  const { width, height } = state.image.map;
  const step = Math.max(1, state.brush.size / 4, 6 / view.zoom);
  const [x, y] = drafts.cursor || toImage(view.width / 2, view.height / 2);
  drafts.cursor = [Math.min(width - 0.5, Math.max(0.5, x + across * step)),
    Math.min(height - 0.5, Math.max(0.5, y + down * step))];
  keepInView(toBoard(drafts.cursor));
  redraw();
}

function keepInView([x, y]) {
  const margin = 30;
  const push = (at, size) => Math.max(0, margin - at) - Math.max(0, at - size + margin);
  if (push(x, view.width) || push(y, view.height)) pan(push(x, view.width), push(y, view.height));
}

function pagePlace(point) {
  const [x, y] = toBoard(point), { left, top } = canvas.getBoundingClientRect();
  return { clientX: left + x, clientY: top + y };
}

// Presses the tool at the keyboard's cursor: a dab, a corner, the next point of a line or seed.
function pressAtCursor(adds = false) {
  if (!state.image) return;
  if (!drafts.cursor) return moveCursor(0, 0);
  const point = drafts.cursor;
  if (state.tool === "select") return pick(point, adds);
  if (state.tool === "line") drafts.line.push(point);
  else if (state.tool === "seeds") drafts.seeds.push({ points: [point], background: false });
  else {
    beginGesture(point, { shiftKey: false, altKey: false, ...pagePlace(point) });
    endGesture();
  }
  drafts.pointer = null;
  emit("tool");
}

function enter(shift) {
  if (state.parts || drafts.outline || drafts.line.length || drafts.prompt
    || state.tool === "seeds") {
    return finishDraft(shift);
  }
  pressAtCursor(shift);
}

function resizeBrush(way) {
  const { size } = state.brush, by = Math.max(1, Math.round(size * 0.12));
  setBrushSize(size + way * by);
}

export function start() {
  canvas.addEventListener("keydown", (event) => {
    const name = nameOf(event);
    if (name === " ") {
      held.space = true;
      event.preventDefault();
      return;
    }
    if (PHOTO_ONLY.includes(name) && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      held.photo = true;
      return showPhotoOnly(true);
    }
    const work = handle(event);
    if (event.key === "Alt" && drafts.outline) event.preventDefault(); // not to the browser's menu
    if (!work) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || REPEATING.includes(name)) work(event);
  });

  canvas.addEventListener("keyup", (event) => {
    const name = nameOf(event);
    if (name === " ") held.space = false;
    if (PHOTO_ONLY.includes(name)) showPhotoOnly(false);
  });
  canvas.addEventListener("blur", () => {
    held.space = false;
    if (held.photo) showPhotoOnly(false);
    drafts.cursor = null;
    redraw();
  });
}
