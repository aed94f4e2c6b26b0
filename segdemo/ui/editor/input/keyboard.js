// Keys of the canvas, by their place on the keyboard, so that other alphabets work too.
import {
  checkAndStep, flush, mergeSelected, operateOnSelected, removeSelected, startInstance, stepHistory,
  stepInstance, stepImage,
} from "./actions.js";
import { held } from "./pointer.js";
import { separatePieces, splitByEdges } from "./splits.js";
import {
  beginGesture, dropDraft, endGesture, finishDraft, pick, setTool, stepBack,
} from "./tools.js";
import { openHelp } from "../panels/help.js";
import { chooseNthClass } from "../panels/instances.js";
import { setBrushSize, toggleLook } from "../panels/toolbar.js";
import { drafts, redraw } from "../view/drawing.js";
import { emit, find, state } from "../view/state.js";
import { canvas, fit, pan, toBoard, toImage, view, zoomToSelection } from "../view/viewport.js";

const KEYS = {
  KeyV: () => setTool("select"), KeyB: () => setTool("brush"), KeyE: () => setTool("erase"),
  KeyP: () => setTool("polygon"), KeyL: () => setTool("line"), KeyG: () => setTool("seeds"),
  KeyX: splitByEdges, KeyM: mergeSelected, KeyN: startInstance, Delete: removeSelected,
  KeyC: separatePieces, KeyH: () => operateOnSelected("fill_holes"),
  KeyS: () => operateOnSelected("smooth"), KeyR: () => find(".class-choice").focus(),
  BracketLeft: () => resizeBrush(-1), BracketRight: () => resizeBrush(1),
  KeyZ: zoomToSelection, KeyF: fit, KeyO: () => toggleLook("outlines"),
  KeyA: () => stepImage(-1), KeyD: () => stepImage(1),
  KeyJ: () => stepInstance(1), KeyK: () => stepInstance(-1),
  Period: () => pressAtCursor(), Escape: dropDraft,
};
const WITH_CONTROL = {
  KeyZ: (event) => stepHistory(event.shiftKey ? "redo" : "undo"), KeyY: () => stepHistory("redo"),
  KeyS: flush, Enter: checkAndStep,
};
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_STEP = 48; // page pixels

function handle(event) {
  const { code, key } = event;
  if (event.ctrlKey || event.metaKey) return WITH_CONTROL[code] || null;
  if (event.altKey) return null;
  if (key === "?") return openHelp;
  if (key === "+" || key === "-") return () => operateOnSelected(key === "+" ? "grow" : "shrink");
  if (key === "=" && code === "Equal") return () => operateOnSelected("grow");
  if (WAYS[code]) return () => (event.shiftKey ? moveCursor : panBy)(...WAYS[code]);
  if (code === "Enter" || code === "NumpadEnter") return () => enter(event.shiftKey);
  if (code === "Backspace") return drafts.polygon.length || drafts.seeds.length ? stepBack : null;
  const digit = /^(Digit|Numpad)([1-9])$/.exec(code);
  if (digit) return () => chooseNthClass(Number(digit[2]));
  return KEYS[code] || null;
}

function showPhotoOnly(on) {
  if (!on) held.photo = false;
  if (state.look.photoOnly === on) return;
  state.look.photoOnly = on;
  emit("look");
}

const panBy = (across, down) => pan(-across * PAN_STEP, -down * PAN_STEP);

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

// Presses the tool at the keyboard's cursor: a dab, a corner, the next point of a line or seed.
function pressAtCursor(adds = false) {
  if (!state.image) return;
  if (!drafts.cursor) return moveCursor(0, 0);
  const point = drafts.cursor;
  if (state.tool === "select") return pick(point, adds);
  if (state.tool === "line") drafts.line.push(point);
  else if (state.tool === "seeds") drafts.seeds.push([point]);
  else {
    beginGesture(point, { shiftKey: false });
    endGesture();
  }
  drafts.pointer = null;
  emit("tool");
}

function enter(shift) {
  if (state.parts || drafts.polygon.length || drafts.line.length || state.tool === "seeds") {
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
    if (event.code === "Space") {
      held.space = true;
      event.preventDefault();
      return;
    }
    if (["KeyQ", "Backquote"].includes(event.code) && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      held.photo = true;
      return showPhotoOnly(true);
    }
    const work = handle(event);
    if (!work) return;
    event.preventDefault();
    event.stopPropagation();
    const repeats = WAYS[event.code] || /Bracket|KeyZ|KeyY|KeyJ|KeyK/.test(event.code);
    if (!event.repeat || repeats) work(event);
  });

  canvas.addEventListener("keyup", (event) => {
    if (event.code === "Space") held.space = false;
    if (["KeyQ", "Backquote"].includes(event.code)) showPhotoOnly(false);
  });
  canvas.addEventListener("blur", () => {
    held.space = false;
    if (held.photo) showPhotoOnly(false);
    drafts.cursor = null;
    redraw();
  });
}
