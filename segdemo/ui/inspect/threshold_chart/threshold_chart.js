// The score of one step, cut by two thresholds that can be dragged or moved by keys.
const SVG = "http://www.w3.org/2000/svg";
const find = (selector) => element.querySelector(selector);
const root = find(".threshold-chart"), histogram = find(".histogram");
const SIDE = { left: 8, right: 8, top: 40, bottom: 34 };
const BINS = 60, CELL_PIXELS = 512, KEY_PAUSE = 250; // milliseconds until keys count as done
const NAMES = { lower: "Interior below", upper: "Edge above" };
let score = null, top = 1, cut = { lower: 0, upper: 0 }, byHand = false, told = 0;
let handles = {};

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}

const brief = (value) => String(Number(value.toPrecision(3)));
const percent = (count) => ((100 * count) / score.length).toFixed(1) + " %";

function takeRule() {
  cut = { lower: props.value.lower, upper: props.value.upper };
  byHand = false;
}

function load() {
  const value = props.value;
  root.hidden = !value;
  if (!value) return;
  clearTimeout(told); // a step that is no longer shown
  const bytes = Uint8Array.from(atob(value.score), (letter) => letter.charCodeAt(0));
  score = new Float32Array(bytes.buffer);
  takeRule();
  if (value.by_hand) {
    cut = { lower: value.by_hand[0], upper: value.by_hand[1] };
    byHand = true;
  }
  const sorted = score.slice().sort(), most = sorted[sorted.length - 1];
  // the few highest cells would squeeze all others into a corner
  top = Math.min(most, Math.max(sorted[Math.floor(sorted.length * 0.995)], cut.upper * 1.25));
  if (!(top > 0)) top = 1;
  find(".swatch.edge").style.background = value.colours.edge;
  find(".swatch.interior").style.background = value.colours.interior;
  const hatch = "repeating-linear-gradient(45deg, #0008 0 2px, transparent 2px 6px)";
  find(".swatch.uncertain").style.background = hatch + ", " + value.colours.uncertain;
  drawScore();
  describeScore();
  drawHistogram();
  recut();
}

function drawScore() {
  const { rows, columns, aspect } = props.value, canvas = find(".score");
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.aspectRatio = String(aspect);
  const picture = new ImageData(columns, rows);
  score.forEach((value, i) => {
    const grey = 255 * Math.sqrt(Math.min(1, Math.max(0, value / top)));
    picture.data.set([grey, grey, grey, 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function describeScore(words) {
  find(".score-caption").textContent =
    words || "Edge score at timestep " + props.value.timestep + ": brighter is higher";
}

// The number is spoken of float32 as the server compares it.
function labelOf(value) {
  if (value > Math.fround(cut.upper)) return "edge";
  return value < Math.fround(cut.lower) ? "interior" : "uncertain";
}

function recut() {
  const { rows, columns, aspect, colours } = props.value, canvas = find(".labels");
  const side = Math.max(2, Math.floor(CELL_PIXELS / Math.max(rows, columns)));
  canvas.width = columns * side;
  canvas.height = rows * side;
  canvas.style.aspectRatio = String(aspect);
  const pen = canvas.getContext("2d"), hatch = hatched(pen), counts = {};
  score.forEach((value, i) => {
    const label = labelOf(value), cell = [(i % columns) * side, Math.floor(i / columns) * side];
    counts[label] = (counts[label] || 0) + 1;
    pen.fillStyle = colours[label];
    pen.fillRect(...cell, side, side);
    if (label !== "uncertain") return;
    pen.fillStyle = hatch;
    pen.fillRect(...cell, side, side);
  });
  const say = (label, words) => {
    find("." + label + "-words").textContent =
      label + ": " + words + " (" + percent(counts[label] || 0) + ")";
  };
  say("edge", "above " + brief(cut.upper));
  say("interior", "below " + brief(cut.lower));
  say("uncertain", "hatched, between");
  const shares = ["edge", "interior", "uncertain"].map((l) => l + " " + percent(counts[l] || 0));
  canvas.setAttribute("aria-label", "Pseudo-edge: " + shares.join(", "));
  find(".note").textContent = byHand ? props.value.hand_note : props.value.note;
  find(".reset").disabled = !byHand;
  placeHandles();
}

function hatched(pen) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const ink = tile.getContext("2d");
  ink.strokeStyle = "#0007";
  ink.lineWidth = 1.5;
  for (const shift of [-8, 0, 8]) {
    ink.moveTo(shift - 1, 9);
    ink.lineTo(shift + 9, -1);
  }
  ink.stroke();
  return pen.createPattern(tile, "repeat");
}

const xOf = (value) => {
  const room = histogram.clientWidth - SIDE.left - SIDE.right;
  return SIDE.left + room * Math.min(1, Math.max(0, value / top));
};

function drawHistogram() {
  const width = histogram.clientWidth, ground = histogram.clientHeight - SIDE.bottom;
  if (!score || !width) return;
  const counts = new Array(BINS).fill(0);
  score.forEach((v) => counts[Math.min(BINS - 1, Math.max(0, Math.floor((BINS * v) / top)))]++);
  const most = Math.log1p(Math.max(...counts)), step = (width - SIDE.left - SIDE.right) / BINS;
  const bars = node("g", { "aria-hidden": "true" });
  counts.forEach((count, i) => {
    const tall = ((ground - SIDE.top) * Math.log1p(count)) / most;
    const box = { x: SIDE.left + i * step, y: ground - tall, width: step * 0.85, height: tall };
    bars.append(node("rect", { ...box, class: "bar" }));
  });
  bars.append(
    node("line", { x1: SIDE.left, x2: width - SIDE.right, y1: ground, y2: ground, class: "axis" }),
    node("text", { x: SIDE.left, y: ground + 28 }, "score 0"),
    node("text", { x: width - SIDE.right, y: ground + 28, "text-anchor": "end" },
      brief(top) + (props.value.unit ? " " + props.value.unit : "") + " or more")
  );
  histogram.replaceChildren(bars);
  handles = { lower: handle("lower", ground), upper: handle("upper", ground) };
  placeHandles();
}

function handle(which, ground) {
  const group = node("g", {
    class: "handle " + which, tabindex: 0, role: "slider", "aria-label": NAMES[which],
    "aria-valuemin": 0, "aria-valuemax": top,
  });
  const grip = which === "lower"
    ? node("polygon", { points: `-9,${ground + 15} 9,${ground + 15} 0,${ground}`, class: "grip" })
    : node("rect", { x: -8, y: ground, width: 16, height: 14, class: "grip" });
  const high = ground + 16 - SIDE.top;
  group.append(
    node("rect", { x: -16, y: SIDE.top, width: 32, height: high, class: "reach" }),
    node("line", { x1: 0, x2: 0, y1: SIDE.top - 4, y2: ground }), grip,
    node("text", { y: which === "lower" ? 30 : 13 })
  );
  group.addEventListener("pointerdown", (event) => startDrag(event, which));
  group.addEventListener("keydown", (event) => moveByKey(event, which));
  histogram.append(group);
  return group;
}

function placeHandles() {
  for (const which in handles) {
    const group = handles[which], x = xOf(cut[which]), right = x > histogram.clientWidth / 2;
    group.setAttribute("transform", `translate(${x} 0)`);
    group.setAttribute("aria-valuenow", cut[which]);
    group.setAttribute("aria-valuetext", NAMES[which] + " " + brief(cut[which]));
    const words = group.querySelector("text");
    words.textContent = NAMES[which].toLowerCase() + " " + brief(cut[which]);
    words.setAttribute("text-anchor", right ? "end" : "start");
    words.setAttribute("x", right ? 4 : -4);
  }
}

function move(which, value) {
  const least = which === "upper" ? cut.lower : 0, most = which === "lower" ? cut.upper : top;
  cut = { ...cut, [which]: Math.max(least, Math.min(Math.max(least, most), value)) };
  byHand = true;
  recut();
}

function tell() {
  clearTimeout(told);
  const sent = performance.now();
  trigger("cut", { ...cut, timestep: props.value.timestep, by_hand: byHand, sent });
}

function startDrag(event, which) {
  const group = handles[which], box = histogram.getBoundingClientRect();
  const room = box.width - SIDE.left - SIDE.right;
  const shift = event.clientX - box.left - xOf(cut[which]);
  const drag = (moved) =>
    move(which, (top * (moved.clientX - box.left - shift - SIDE.left)) / room);
  const end = () => {
    group.removeEventListener("pointermove", drag);
    if (byHand) tell();
  };
  event.preventDefault();
  group.focus({ preventScroll: true });
  group.setPointerCapture(event.pointerId);
  group.addEventListener("pointermove", drag);
  group.addEventListener("lostpointercapture", end, { once: true });
}

function moveByKey(event, which) {
  const small = top / 200, here = cut[which];
  const target = {
    ArrowRight: here + small, ArrowUp: here + small, ArrowLeft: here - small,
    ArrowDown: here - small, PageUp: here + 10 * small, PageDown: here - 10 * small,
    Home: 0, End: top,
  }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  move(which, target);
  clearTimeout(told);
  told = setTimeout(tell, KEY_PAUSE);
}

find(".reset").addEventListener("click", () => {
  takeRule();
  recut();
  tell();
});
find(".score").addEventListener("pointermove", (event) => {
  const { rows, columns, unit } = props.value, box = event.currentTarget.getBoundingClientRect();
  const column = Math.floor((columns * (event.clientX - box.left)) / box.width);
  const row = Math.floor((rows * (event.clientY - box.top)) / box.height);
  const value = score[row * columns + column];
  if (row >= rows || column >= columns || value === undefined) return;
  const place = "Row " + (row + 1) + ", column " + (column + 1);
  describeScore(place + ": " + brief(value) + (unit ? " " + unit : "") + ", " + labelOf(value));
});
find(".score").addEventListener("pointerleave", () => describeScore());

new ResizeObserver(drawHistogram).observe(histogram);
watch("value", load);
load();
