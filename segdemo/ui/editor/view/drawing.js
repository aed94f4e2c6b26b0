// Draws the board, at most once a frame.
const drafts = { polygon: [], line: [], seeds: [], cursor: null, pointer: null };
const pen = canvas.getContext("2d");
let frame = 0, eventTime = 0;

function redraw(event) {
  if (event && !eventTime) eventTime = event.timeStamp;
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const started = performance.now(), ratio = devicePixelRatio || 1;
  const width = Math.round(view.width * ratio), height = Math.round(view.height * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#1b1d22";
  pen.fillRect(0, 0, width, height);
  if (!layers.fill) return;
  const { zoom, left, top } = view;
  pen.setTransform(zoom * ratio, 0, 0, zoom * ratio, left * ratio, top * ratio);
  pen.imageSmoothingEnabled = zoom * ratio < 3;
  pen.drawImage(layers.photo, 0, 0, state.picture.map.width, state.picture.map.height);
  if (!state.look.photoOnly) drawMasks();
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (!state.look.photoOnly && !state.look.compare) {
    if (!state.parts) drawRims(pen);
    drawIds(pen);
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
  pen.globalAlpha = alpha;
  pen.drawImage(layer.sheet, layer.left, layer.top);
  pen.globalAlpha = 1;
}

function drawMasks() {
  const { look } = state, { width, height } = state.picture.map;
  pen.imageSmoothingEnabled = view.zoom < 1;
  const compared = look.compare && layers.start;
  const edge = compared ? Math.round(width * look.wipe) : 0;
  const half = (layer, from, to) => {
    pen.save();
    pen.beginPath();
    pen.rect(from, 0, to - from, height);
    pen.clip();
    drawLayer(layer, look.opacity);
    pen.restore();
  };
  if (compared) half(layers.start, 0, edge);
  if (!look.outlines || compared) half(layers.fill, edge, width);
  if (compared) drawWipe(edge, height);
  drawLayer(layers.edges, state.edgeLook.opacity);
  for (const layer of layers.cuts) drawLayer(layer, layer.alpha);
  drawLayer(layers.proposals, 0.85);
}

function drawWipe(edge, height) {
  pen.fillStyle = "#ffffff";
  pen.fillRect(edge - 1 / view.zoom, 0, 2 / view.zoom, height);
}

// Two strokes, so that a line is seen on bright and on dark.
function drawPath(points, closed, colour = "#ffffff") {
  if (!points.length) return;
  pen.beginPath();
  points.map(toBoard).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (closed) pen.closePath();
  for (const [style, width] of [["#000000", 4], [colour, 2]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.stroke();
  }
  for (const point of closed || points.length === 1 ? points : []) drawDot(toBoard(point), colour);
}

function drawSeed(points, colour) {
  pen.beginPath();
  points.map(toBoard).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (points.length === 1) pen.lineTo(...toBoard(points[0]));
  pen.lineCap = pen.lineJoin = "round";
  const width = Math.max(2, state.brush.size * view.zoom);
  for (const [style, across] of [["#000000", width + 4], ["#ffffff", width + 2], [colour, width]]) {
    pen.strokeStyle = style;
    pen.lineWidth = across;
    pen.stroke();
  }
}

function drawDot([x, y], colour) {
  pen.beginPath();
  pen.arc(x, y, 4, 0, 7);
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = "#000000";
  pen.stroke();
}

function drawDrafts() {
  drawPath(drafts.polygon, true);
  drawPath(drafts.line, false);
  drafts.seeds.forEach((stroke, i) => drawSeed(stroke, cssColour(i + 1)));
  const place = drafts.cursor || drafts.pointer;
  if (!place) return;
  if (["brush", "erase", "seeds"].includes(state.tool)) drawRing(toBoard(place));
  if (drafts.cursor) drawCross(toBoard(place));
}

function drawRing([x, y]) {
  const radius = Math.max(1, (state.brush.size / 2) * view.zoom);
  for (const [style, width] of [["#000000", 3], ["#ffffff", 1.25]]) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.stroke();
  }
}

function drawCross([x, y]) {
  for (const [style, width] of [["#000000", 4], ["#ffffff", 2]]) {
    pen.beginPath();
    pen.moveTo(x - 9, y);
    pen.lineTo(x + 9, y);
    pen.moveTo(x, y - 9);
    pen.lineTo(x, y + 9);
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.stroke();
  }
}

follow("view tool look", () => redraw());
follow("colours", () => { recolour(); redraw(); });
follow("selection parts cuts", () => { paintCuts(); redraw(); });
follow("edges", () => { paintEdges(); paintCuts(); redraw(); });
follow("proposals", () => { paintProposals(); redraw(); });
