// A label map of bytes, painted with a round brush; ids 1 to 6, and 0 that erases.
const find = (selector) => element.querySelector(selector);
const canvas = find(".labels"), pen = canvas.getContext("2d"), said = find(".said");
const COLOURS = ["", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7"];
const MOST_UNDO = 40;
let labels = null, key = null, id = 1, earlier = [], last = null, cursor = null;

COLOURS.forEach((colour, i) => {
  const button = document.createElement("button"), dot = document.createElement("span");
  button.type = "button";
  button.setAttribute("aria-label", i ? "Instance " + i : "Erase");
  dot.className = "dot";
  dot.style.background = colour;
  button.append(...(i ? [dot, document.createTextNode(" " + i)] : ["Erase"]));
  button.addEventListener("click", () => choose(i));
  find(".tools").append(button);
});
find(".tools").append(find(".tools").firstChild); // the eraser comes last

function choose(which) {
  id = which;
  for (const button of find(".tools").children) {
    const name = which ? "Instance " + which : "Erase";
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-label") === name));
  }
}

function load() {
  const value = props.value;
  find(".empty").hidden = Boolean(value);
  find(".full").hidden = !value;
  if (!value || value.key === key) return;
  key = value.key;
  canvas.width = value.columns;
  canvas.height = value.rows;
  labels = new Uint8Array(value.rows * value.columns);
  earlier = [];
  cursor = [value.columns / 2, value.rows / 2];
  find(".photo").src = value.photo.url;
  find(".photo").style.aspectRatio = value.columns / value.rows;
  said.textContent = "";
  draw();
}

function draw() {
  const { rows, columns } = props.value, picture = pen.createImageData(columns, rows);
  const colours = COLOURS.map((c) => [1, 3, 5].map((at) => parseInt(c.slice(at, at + 2), 16)));
  const sums = {};
  labels.forEach((label, i) => {
    if (!label) return;
    picture.data.set([...colours[label], 170], 4 * i);
    const sum = (sums[label] ||= [0, 0, 0]);
    sum[0] += i % columns;
    sum[1] += Math.floor(i / columns);
    sum[2] += 1;
  });
  pen.putImageData(picture, 0, 0);
  pen.font = "bold " + Math.round(Math.max(rows, columns) / 18) + "px sans-serif";
  pen.textAlign = "center";
  for (const label in sums) {
    const [across, down, count] = sums[label], place = [across / count, down / count];
    pen.lineWidth = 3;
    pen.strokeStyle = "white";
    pen.strokeText(label, ...place);
    pen.fillStyle = "black";
    pen.fillText(label, ...place);
  }
  if (document.activeElement !== canvas) return;
  for (const [colour, width] of [["white", 3], ["black", 1]]) {
    pen.beginPath();
    pen.arc(...cursor, radius(), 0, 7);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke();
  }
}

const radius = () => Number(find(".size").value);

function dab([across, down]) {
  const { rows, columns } = props.value, reach = radius();
  for (let y = Math.max(0, Math.ceil(down - reach)); y < Math.min(rows, down + reach); y++) {
    for (let x = Math.max(0, Math.ceil(across - reach)); x < Math.min(columns, across + reach); x++)
      if ((x - across) ** 2 + (y - down) ** 2 <= reach ** 2) labels[y * columns + x] = id;
  }
}

function stroke(to) {
  const from = last || to, length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const count = Math.max(1, Math.ceil(length / Math.max(1, radius() / 3)));
  for (let i = 1; i <= count; i++) {
    dab([0, 1].map((axis) => from[axis] + ((to[axis] - from[axis]) * i) / count));
  }
  last = cursor = to;
  draw();
}

function remember() {
  earlier.push(labels.slice());
  if (earlier.length > MOST_UNDO) earlier.shift();
}

function tell() {
  const { rows, columns } = props.value, parts = [];
  for (let i = 0; i < labels.length; i += 32768) {
    parts.push(String.fromCharCode(...labels.subarray(i, i + 32768)));
  }
  const count = new Set(labels).size - (labels.includes(0) ? 1 : 0);
  said.textContent = count === 1 ? "1 instance drawn; the check needs 2." : count + " instances drawn.";
  trigger("drawn", { rows, columns, labels: btoa(parts.join("")) });
}

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return [
    (canvas.width * (event.clientX - box.left)) / box.width,
    (canvas.height * (event.clientY - box.top)) / box.height,
  ];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  remember();
  last = null;
  stroke(placeOf(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) stroke(placeOf(event));
});
canvas.addEventListener("lostpointercapture", tell);
canvas.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
    event.key
  ];
  if (/^[0-6]$/.test(event.key)) choose(Number(event.key));
  else if (event.key === " ") {
    remember();
    last = null;
    stroke(cursor);
    tell();
  } else if (way) {
    const step = Math.max(1, radius() / 2), ends = [canvas.width, canvas.height];
    cursor = cursor.map((at, i) => Math.max(0, Math.min(ends[i], at + way[i] * step)));
    draw();
  } else return;
  event.preventDefault();
});
canvas.addEventListener("focus", draw);
canvas.addEventListener("blur", draw);
find(".undo").addEventListener("click", () => {
  if (!earlier.length) return;
  labels = earlier.pop();
  draw();
  tell();
});
find(".clear").addEventListener("click", () => {
  remember();
  labels.fill(0);
  draw();
  tell();
});

choose(1);
watch("value", load);
load();
