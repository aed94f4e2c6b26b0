// Box/Click: a drafted mask from a box or clicks, which further clicks refine and Enter takes.
import { brushRules, clearOutside, paintMask } from "../core/painting.js";
import { changed, ready } from "./actions.js";
import { newInstance } from "./targets.js";
import { call, packLabels, unpackLabels } from "../sync/payloads.js";
import { about } from "../sync/saving.js";
import { drafts, redraw } from "../view/drawing.js";
import { paintDraft } from "../view/layers.js";
import { className, emit, nameOf, on, select, selected, setStatus, state, timings }
  from "../view/state.js";
import { view } from "../view/viewport.js";

const BOX_PIXELS = 5; // on the page; what is dragged less far is a click
// Questions are counted, so that a late answer is not shown: those of drafts, and looks by hovering,
// which end when the pointer leaves the canvas, as a finger does when it is lifted.
let turn = 0, glance = 0;

export function setCurrentClass(kind) {
  state.currentClass = kind;
  setStatus(`The next mask: ${className(kind) || "no class"}.`);
}

function boxOf([[ax, ay], [bx, by]]) {
  const { width, height } = state.image.map;
  return [Math.max(0, Math.min(ax, bx)), Math.max(0, Math.min(ay, by)),
    Math.min(width, Math.max(ax, bx)), Math.min(height, Math.max(ay, by))];
}

const areaOf = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);

// The selected instance that a box or click is about: near it; else they begin another one.
function targetOf(box, point) {
  const [id] = selected().length === 1 ? selected() : [], own = id && state.image.map.box(id);
  if (!own) return 0;
  if (box) {
    const both = areaOf([Math.max(box[0], own[0]), Math.max(box[1], own[1]),
      Math.min(box[2], own[2]), Math.min(box[3], own[3])]);
    return both > 0.3 * (areaOf(box) + areaOf(own) - both) ? id : 0;
  }
  const [x, y] = point, across = (own[2] - own[0]) / 4, down = (own[3] - own[1]) / 4;
  const near = x > own[0] - across && x < own[2] + across && y > own[1] - down && y < own[3] + down;
  return near ? id : 0;
}

function ownMask(id) {
  const box = state.image.map.box(id);
  return { box, values: state.image.map.crop(box).map((label) => Number(label === id)) };
}

// points: where the gesture began and ended, in pixels of the image.
export function promptBy(points, negative) {
  if (!ready()) return;
  endHover();
  const [from, to] = points, far = view.zoom * Math.hypot(to[0] - from[0], to[1] - from[1]);
  const box = far > BOX_PIXELS ? boxOf(points) : null;
  if (box && !areaOf(box)) return setStatus("This box lies outside the photo.");
  const before = drafts.prompt;
  const target = before ? before.target : targetOf(box, from);
  if (target && state.image.record(target).locked) {
    return setStatus(`${nameOf(target)} is locked: unlock it in the list first.`);
  }
  if (!box && negative && !before && !target) {
    return setStatus("Click the object first; then Shift-click what is too much.");
  }
  const clicks = box ? [] : [...(before?.clicks || []), [...from, !negative]];
  drafts.prompt = {
    target, clicks, before, box: box || before?.box || null, score: null,
    mask: box ? null : before?.mask || (target ? ownMask(target) : null),
  };
  emit("tool");
  return ask(drafts.prompt);
}

async function ask(draft) {
  const asked = ++turn, { box, clicks, mask } = draft;
  setStatus("Looking for the object ...");
  const answer = await timed({
    ...about(), box, clicks,
    mask: mask && { box: mask.box, labels: await packLabels(mask.values) },
  });
  if (drafts.prompt !== draft || asked !== turn) return;
  if (!answer || answer.error) {
    show(answered(draft));
    return setStatus(answer?.error || "The server does not answer: try again.");
  }
  draft.mask = { box: answer.box, values: await unpackLabels(answer.labels) };
  draft.score = answer.score;
  if (drafts.prompt !== draft) return;
  show(draft);
  setStatus("Enter takes it. Click what is missing, Shift-click what is too much.");
}

// The draft before this one that has been answered, or nothing.
function answered({ before }) {
  return before && before.score === null ? answered(before) : before;
}

const FAST = 150, REST = 90; // milliseconds: an answer fast enough for a look, a pointer at rest
let resting = 0, looking = false;

// While nothing is drafted and answers come fast, a resting pointer shows what a click would give.
export function hoverPrompt(point) {
  clearTimeout(resting);
  if (drafts.prompt || looking) return;
  if (drafts.hovered) showHovered(null);
  const last = timings.prompt.slice(-3);
  if (!last.length || Math.max(...last) > FAST || state.operating || state.waiting) return;
  resting = setTimeout(() => lookAt(point), REST);
}

async function lookAt([x, y]) {
  const { width, height } = state.image.map, asked = ++glance;
  if (x < 0 || y < 0 || x >= width || y >= height || targetOf(null, [x, y])) return;
  looking = true;
  const answer = await timed({ ...about(), box: null, clicks: [[x, y, true]] });
  looking = false;
  if (asked !== glance || drafts.prompt || state.tool !== "prompt" || !answer || answer.error) return;
  const values = await unpackLabels(answer.labels);
  if (asked === glance) showHovered({ box: answer.box, values });
}

function showHovered(mask) {
  drafts.hovered = Boolean(mask);
  paintDraft(mask);
  redraw();
}

export function endHover() {
  clearTimeout(resting);
  glance++;
  if (drafts.hovered) showHovered(null);
}

async function timed(request) {
  const started = performance.now(), answer = await call("prompt", request);
  if (answer && !answer.error) timings.prompt.push(performance.now() - started);
  return answer;
}

function show(draft) {
  drafts.hovered = false;
  drafts.prompt = draft || null;
  paintDraft(draft?.mask);
  emit("tool");
  redraw();
}

export function dropPrompt() {
  turn++;
  show(null);
}

export function promptBack() {
  turn++;
  show(answered(drafts.prompt));
}

export function takePrompt() {
  const draft = drafts.prompt, { image } = state;
  if (!draft?.mask || draft.score === null) return setStatus("One moment: the mask is on its way.");
  if (!ready()) return;
  const mode = state.brush.mode === "inside" ? "background" : state.brush.mode;
  const id = draft.target || newInstance();
  if (!id) return;
  const { box, values } = draft.mask, may = brushRules(mode, [], image.locked);
  const step = image.change(draft.target ? "Correct by clicks" : "Box/Click", () => {
    if (draft.target) clearOutside(image.map, id, box, values);
    paintMask(image.map, box, values, id, may);
  });
  dropPrompt();
  if (!changed(step)) {
    return setStatus('Nothing changed: it is all other instances\'. Choose "over all" to take it.');
  }
  select([], true);
  const area = image.map.areas[id].toLocaleString("en");
  setStatus(`${nameOf(id)}: ${area} pixels. Drag or click for the next one.`);
}

export function start() {
  on("image", dropPrompt);
  on("selection records", () => {
    if (selected().length) state.currentClass = state.image.record(selected()[0]).class;
  });
}
