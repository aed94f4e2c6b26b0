// Polygon and lasso: an outline of nodes, drawn by clicks and drags, that becomes pixels. The lasso
// runs along edges between its nodes, unless Alt is held or it is dragged.
import { LiveWire, gradientOf } from "../core/live_wire.js";
import { Outline } from "../core/outline.js";
import { eraserRules, paintPolygon } from "../core/painting.js";
import { changed, ready } from "./actions.js";
import { takenFrom, unchanged } from "./painted.js";
import { paintTarget, release } from "./targets.js";
import { drafts, redraw } from "../view/drawing.js";
import { layers } from "../view/layers.js";
import {
  emit, nameOf, on, selected, setStatus, state, timings, unlockedSelection,
} from "../view/state.js";
import { placeOf, view } from "../view/viewport.js";

const HIT = 9; // pixels of the page around a node
const CLOSE = 14; // where a drag ends that closes the outline
const DRAG = 4; // what moves less is a click
const SNAP = 6; // how far a click goes to the edge beside it

let wire = null, wireOf = null;

function liveWire() {
  const { width, height } = state.image.map, source = state.edges?.values || layers.photo;
  if (wireOf !== source) {
    wire = new LiveWire(state.edges?.values || photoEdges(width, height), width, height);
    wireOf = source;
  }
  return wire;
}

function photoEdges(width, height) {
  const ctx = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  ctx.drawImage(layers.photo, 0, 0, width, height);
  return gradientOf(ctx.getImageData(0, 0, width, height).data, width, height);
}

function between(from, to) {
  const started = performance.now(), path = liveWire().path(from, to).slice(1, -1);
  timings.wire.push(performance.now() - started);
  if (timings.wire.length > 2000) timings.wire.shift();
  return path;
}

const snaps = (event) => state.tool === "lasso" && !event.altKey;
const onEdge = (point) => liveWire().snap(point, Math.min(12, SNAP / view.zoom));

// Returns the gesture that a press begins: a node is moved, or set.
export function pressOutline(point, event) {
  const outline = (drafts.outline ||= new Outline()), from = placeOf(event);
  drafts.reach = [];
  const index = outline.nodeAt(point, HIT / view.zoom);
  if (index >= 0) return { kind: "node", index, from, fresh: false, moved: false };
  const snapped = snaps(event), node = snapped ? onEdge(point) : point, last = outline.nodes.at(-1);
  outline.add(node, snapped && last ? between(last, node) : [], snapped);
  emit("tool");
  return { kind: state.tool === "lasso" ? "trail" : "node", index: outline.nodes.length - 1, from,
    fresh: true, moved: false, trail: [] };
}

export function dragOutline(gesture, points, event) {
  const [x, y] = placeOf(event);
  gesture.moved ||= Math.hypot(x - gesture.from[0], y - gesture.from[1]) > DRAG;
  if (!gesture.moved) return;
  if (gesture.kind === "node") {
    const point = points.at(-1), free = !snaps(event);
    drafts.outline.move(gesture.index, free ? point : onEdge(point), between);
  } else {
    gesture.trail.push(...points);
    drafts.reach = gesture.trail;
  }
}

export function releaseOutline({ kind, index, fresh, moved, trail }) {
  const { outline } = drafts;
  if (kind === "node") {
    if (!index && !fresh && !moved && outline.closes) finishOutline(false);
    return emit("tool");
  }
  drafts.reach = [];
  if (trail.length < 2) return emit("tool");
  const end = trail.at(-1), [first] = outline.nodes, only = outline.nodes.length === 1;
  outline.add(end, trail.slice(0, -1), false);
  const near = Math.hypot(end[0] - first[0], end[1] - first[1]) < CLOSE / view.zoom;
  if (outline.closes && (near || only)) return finishOutline(false, false);
  emit("tool");
}

export function cancelOutline({ fresh }) {
  if (fresh) drafts.outline.back();
  drafts.reach = [];
  if (!drafts.outline.nodes.length) drafts.outline = null;
}

export function outlineBack() {
  drafts.outline.back();
  if (!drafts.outline.nodes.length) drafts.outline = null;
  drafts.reach = [];
}

let aiming = 0; // the path to the pointer is looked for once a frame

// Shows how the outline would go on to the pointer.
export function aim(point, event) {
  if (!drafts.outline) return;
  const free = !snaps(event);
  cancelAnimationFrame(aiming);
  aiming = requestAnimationFrame(() => {
    const last = drafts.outline?.nodes.at(-1);
    if (!last) return;
    const end = free ? point : onEdge(point);
    drafts.reach = free ? [end] : [...between(last, end), end];
    redraw();
  });
}

// snapped: whether the last piece, back to the first node, may run along edges.
export function finishOutline(erase, snapped = state.tool === "lasso") {
  const { outline } = drafts;
  if (!outline?.closes) return setStatus("An outline needs three points at least.");
  if (!ready()) return;
  const { image } = state, { nodes, points } = outline, locked = image.locked;
  if (erase && !unlockedSelection("close the outline").length) return;
  const target = erase ? { id: selected()[0], may: eraserRules(selected(), locked) }
    : paintTarget("close the outline");
  if (!target) return;
  const { id, fresh, may } = target;
  const lastRun = outline.runs.at(-1)?.snapped && snapped ? between(nodes.at(-1), nodes[0]) : [];
  const what = state.tool === "lasso" ? "Lasso" : "Polygon";
  const step = image.change(erase ? `${what}, taken away` : what, () =>
    paintPolygon(image.map, [...points, ...lastRun], erase ? 0 : id, may));
  drafts.outline = null;
  drafts.reach = [];
  emit("tool");
  changed(step);
  release(target);
  if (!step) return setStatus(unchanged(erase));
  if (erase) return setStatus(`${what} taken from ${nameOf(id)}.`);
  setStatus(fresh ? `${nameOf(id)} is new.${takenFrom(step)} Draw the next one.`
    : `${what} added to ${nameOf(id)}.${takenFrom(step)}`);
}

export function start() {
  on("image", () => {
    [wire, wireOf] = [null, null];
    Object.assign(drafts, { outline: null, reach: [], line: [], seeds: [] }); // of the photo before
    emit("tool");
  });
}
