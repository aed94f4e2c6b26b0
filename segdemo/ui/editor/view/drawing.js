// Draws the board, at most once a frame.
import { layers, paintCuts, paintEdges, paintProposals, recolour } from "./layers.js";
import { cssColour } from "./palette.js";
import { drawIds, drawOutlines } from "./outlines.js";
import { on, state, timings } from "./state.js";
import { canvas, toBoard, view } from "./viewport.js";

export const drafts = {
  outline: null, // an Outline of polygon or lasso
  reach: [], // how it would go on to the pointer
  line: [], seeds: [], cursor: null, pointer: null,
  prompt: null, // {target, box, clicks, mask, score, before} of input/prompting.js
  hovered: false, // the draft's layer shows what a click would give
  rubber: null, // the two ends of a box that is being dragged
};
let ctx;
let frame = 0, eventTime = 0;

export function redraw(event) {
  if (event && !eventTime) eventTime = event.timeStamp;
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const started = performance.now(), ratio = devicePixelRatio || 1;
  const width = Math.round(view.width * ratio), height = Math.round(view.height * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.fillStyle = "#1b1d22";
  ctx.fillRect(0, 0, width, height);
  if (!layers.fill) return;
  const { zoom, left, top } = view;
  ctx.setTransform(zoom * ratio, 0, 0, zoom * ratio, left * ratio, top * ratio);
  ctx.imageSmoothingEnabled = zoom * ratio < 3;
  ctx.drawImage(layers.adjusted || layers.photo, 0, 0, state.image.map.width, state.image.map.height);
  if (!state.look.photoOnly) drawMasks();
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (!state.look.photoOnly && !state.look.compare) {
    if (!state.parts) drawOutlines(ctx);
    drawIds(ctx);
  }
  drawDrafts();
  note(started);
}

function note(started) {
  timings.redraw.push(performance.now() - started);
  if (eventTime) timings.stroke.push(performance.now() - eventTime);
  eventTime = 0;
  for (const list of [timings.redraw, timings.stroke]) if (list.length > 2000) list.shift();
}

function drawLayer(layer, alpha) {
  if (!layer) return;
  ctx.globalAlpha = alpha;
  ctx.drawImage(layer.canvas, layer.left, layer.top);
  ctx.globalAlpha = 1;
}

function drawMasks() {
  const { look } = state, { width, height } = state.image.map;
  ctx.imageSmoothingEnabled = view.zoom < 1;
  const compared = look.compare && layers.start;
  const edge = compared ? Math.round(width * look.wipe) : 0;
  const faded = layers.proposals && !compared ? 0.35 : 1; // what is proposed is seen, not mixed
  const half = (layer, from, to) => {
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, 0, to - from, height);
    ctx.clip();
    drawLayer(layer, look.opacity * faded);
    ctx.restore();
  };
  if (compared) half(layers.start, 0, edge);
  if (!look.outlines || compared) half(layers.fill, edge, width);
  if (compared) drawWipe(edge, height);
  drawLayer(layers.edges, state.edgeLook.opacity);
  for (const layer of layers.cuts) drawLayer(layer, layer.alpha);
  drawLayer(layers.proposals, 1);
  drawLayer(layers.draft, drafts.hovered ? 0.35 : 0.7);
}

function drawWipe(edge, height) {
  ctx.fillStyle = "#ffffff";
  ctx.fillRect(edge - 1 / view.zoom, 0, 2 / view.zoom, height);
}

// Two strokes, so that a line is seen on bright and on dark.
function drawPath(points, colour = "#ffffff") {
  if (!points.length) return;
  ctx.beginPath();
  points.map(toBoard).forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  for (const [style, width] of [["#000000", 4], [colour, 2]]) {
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    ctx.stroke();
  }
  if (points.length === 1) drawDot(toBoard(points[0]), colour);
}

function drawOutline({ nodes, points, closes }, reach) {
  drawPath([...points, ...reach]);
  nodes.forEach((node, i) => drawDot(toBoard(node), "#ffffff", !i && closes ? 6 : 4));
}

function drawSeed(points, colour, background) {
  ctx.beginPath();
  points.map(toBoard).forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  if (points.length === 1) ctx.lineTo(...toBoard(points[0]));
  ctx.lineCap = ctx.lineJoin = "round";
  const width = Math.max(2, state.brush.size * view.zoom);
  for (const [style, across] of [["#000000", width + 4], ["#ffffff", width + 2], [colour, width]]) {
    ctx.strokeStyle = style;
    ctx.lineWidth = across;
    ctx.stroke();
  }
  if (!background) return; // hatched, for colours alone say nothing to some
  ctx.setLineDash([2, 6 + width / 4]);
  ctx.lineWidth = Math.max(1, width - 2);
  ctx.lineCap = "butt";
  ctx.strokeStyle = "#ffffff";
  ctx.stroke();
  ctx.setLineDash([]);
}

function drawDot([x, y], colour, radius = 4) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fillStyle = colour;
  ctx.fill();
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = "#000000";
  ctx.stroke();
}

function drawDrafts() {
  if (drafts.outline) drawOutline(drafts.outline, drafts.reach);
  drawPath(drafts.line);
  drafts.seeds.forEach(({ points, background }, i) =>
    drawSeed(points, background ? "#334155" : cssColour(i + 1), background));
  if (drafts.rubber) drawBox(drafts.rubber);
  if (drafts.prompt?.box) drawBox([drafts.prompt.box.slice(0, 2), drafts.prompt.box.slice(2)]);
  drafts.prompt?.clicks.forEach(drawClick);
  const place = drafts.cursor || drafts.pointer;
  if (!place) return;
  if (["brush", "erase", "seeds"].includes(state.tool)) drawRing(toBoard(place));
  if (drafts.cursor) drawCross(toBoard(place));
}

function drawBox([[ax, ay], [bx, by]]) {
  drawPath([[ax, ay], [bx, ay], [bx, by], [ax, by], [ax, ay]]);
}

// A plus or a minus, for colours alone say nothing to some.
function drawClick([x, y, positive]) {
  const [left, top] = toBoard([x, y]);
  ctx.beginPath();
  ctx.arc(left, top, 8, 0, 7);
  ctx.fillStyle = positive ? "#0b6e2e" : "#b3261e";
  ctx.fill();
  ctx.lineWidth = 2;
  ctx.strokeStyle = "#ffffff";
  ctx.stroke();
  ctx.fillStyle = "#ffffff";
  ctx.fillRect(left - 4, top - 1, 8, 2);
  if (positive) ctx.fillRect(left - 1, top - 4, 2, 8);
}

function drawRing([x, y]) {
  const radius = Math.max(1, (state.brush.size / 2) * view.zoom);
  for (const [style, width] of [["#000000", 3], ["#ffffff", 1.25]]) {
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 7);
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    ctx.stroke();
  }
}

function drawCross([x, y]) {
  for (const [style, width] of [["#000000", 4], ["#ffffff", 2]]) {
    ctx.beginPath();
    ctx.moveTo(x - 9, y);
    ctx.lineTo(x + 9, y);
    ctx.moveTo(x, y - 9);
    ctx.lineTo(x, y + 9);
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    ctx.stroke();
  }
}

export function start() {
  ctx = canvas.getContext("2d");
  on("view tool look", () => redraw());
  on("colours", () => { recolour(); redraw(); });
  on("selection parts cuts", () => { paintCuts(); redraw(); });
  on("edges", () => { paintEdges(); paintCuts(); redraw(); });
  on("proposals", () => { paintProposals(); redraw(); });
}
