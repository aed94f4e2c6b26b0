// A window and strokes over an image, as fractions of its sides.
const find = (selector) => element.querySelector(selector);
const stage = find(".stage"), image = find("img"), frame = find(".box"), said = find(".said");
const LEAST = 8; // pixels on the screen: a shorter drag is a click, which removes the window
const STEP = 0.02;
const READY = "Drag over a part that should be looked at again.";
const DRAWN = "Press Look closer, or drag another window.";
const PAINT = "Paint over what belongs to the subject, or does not; the brush is soft.";
const canvas = find("canvas");
let key = null, box = null, tool = "window";

const within = (value) => Math.max(0, Math.min(1, value));

function draw() {
  frame.hidden = !box;
  said.textContent = stage.hidden ? "" : tool !== "window" ? PAINT : box ? DRAWN : READY;
  if (!box) return;
  const [left, top, right, bottom] = box.map((side) => 100 * side);
  Object.assign(frame.style, {
    left: left + "%", top: top + "%", width: right - left + "%", height: bottom - top + "%",
  });
}

function mark(next) {
  box = next;
  draw();
  trigger("mark", { box });
}

function place(event) {
  const area = image.getBoundingClientRect();
  return [within((event.clientX - area.left) / area.width),
    within((event.clientY - area.top) / area.height)];
}

// Follows the pointer from down to up: each(place), then done(whether it was not cancelled).
function follow(event, each, done) {
  const move = (moved) => each(place(moved));
  const end = (last) => {
    for (const kind of ["pointerup", "pointercancel"]) stage.removeEventListener(kind, end);
    stage.removeEventListener("pointermove", move);
    done(last.type === "pointerup");
  };
  stage.setPointerCapture(event.pointerId);
  stage.addEventListener("pointermove", move);
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, end);
}

function drag(event) {
  const [x, y] = place(event), before = box;
  box = null;
  follow(event, ([u, v]) => {
    box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
    draw();
  }, (ended) => {
    if (!ended) {
      box = before;
      draw();
      return;
    }
    const area = image.getBoundingClientRect(), [left, top, right, bottom] = box || [0, 0, 0, 0];
    const drawn = (right - left) * area.width >= LEAST && (bottom - top) * area.height >= LEAST;
    mark(drawn ? box : null);
  });
}

// What is drawn shows as a coloured line until the server's cut-out is there.
function brush(event) {
  const points = [place(event)], size = Number(find("input").value) / 100, add = tool === "add";
  canvas.width = image.clientWidth;
  canvas.height = image.clientHeight;
  const pen = canvas.getContext("2d");
  const sketch = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineWidth = 2 * size * Math.max(canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = add ? "#16a34a99" : "#dc262699";
    pen.beginPath();
    for (const [x, y] of [points[0], ...points]) pen.lineTo(x * canvas.width, y * canvas.height);
    pen.stroke();
  };
  sketch();
  follow(event, (next) => {
    points.push(next);
    sketch();
  }, (ended) => {
    if (ended) trigger("stroke", { points, size, add });
    else canvas.width = 0;
  });
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  if (tool === "window") drag(event);
  else brush(event);
});

for (const button of element.querySelectorAll(".tools button")) {
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    for (const other of element.querySelectorAll(".tools button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    draw();
  });
}

stage.addEventListener("keydown", (event) => {
  const across = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key] || 0;
  const down = { ArrowUp: -STEP, ArrowDown: STEP }[event.key] || 0;
  if (event.key === "Enter" && !box) mark([0.35, 0.35, 0.65, 0.65]);
  else if (["Delete", "Backspace", "Escape"].includes(event.key) && box) mark(null);
  else if (box && (across || down)) {
    const [left, top, right, bottom] = box;
    if (event.shiftKey) {
      mark([left, top, within(Math.max(left + STEP, right + across)),
        within(Math.max(top + STEP, bottom + down))]);
    } else {
      const u = Math.max(-left, Math.min(1 - right, across));
      const v = Math.max(-top, Math.min(1 - bottom, down));
      mark([left + u, top + v, right + u, bottom + v]);
    }
  } else return;
  event.preventDefault();
});

function load() {
  const value = props.value;
  stage.hidden = !value;
  find(".empty").hidden = Boolean(value);
  if (!value || value.key !== key) box = null; // the server forgets it with the result
  key = value ? value.key : null;
  find(".tools").hidden = !value;
  canvas.width = 0; // what was painted is in the picture now
  if (value) image.src = value.url;
  draw();
}

watch("value", load);
load();
