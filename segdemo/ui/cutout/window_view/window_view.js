// A window over an image, as fractions of its sides.
const find = (selector) => element.querySelector(selector);
const stage = find(".stage"), image = find("img"), frame = find(".box"), said = find(".said");
const LEAST = 8; // pixels on the screen: a shorter drag is a click, which removes the window
const STEP = 0.02;
const READY = "Drag over a part that should be looked at again.";
const DRAWN = "Press Look closer, or drag another window.";
let key = null, box = null;

const within = (value) => Math.max(0, Math.min(1, value));

function draw() {
  frame.hidden = !box;
  said.textContent = stage.hidden ? "" : box ? DRAWN : READY;
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

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  const [x, y] = place(event), before = box;
  const drag = (moved) => {
    const [u, v] = place(moved);
    box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
    draw();
  };
  const end = (last) => {
    for (const kind of ["pointerup", "pointercancel"]) stage.removeEventListener(kind, end);
    stage.removeEventListener("pointermove", drag);
    if (last.type === "pointercancel") {
      box = before;
      draw();
      return;
    }
    const area = image.getBoundingClientRect(), [left, top, right, bottom] = box || [0, 0, 0, 0];
    const drawn = (right - left) * area.width >= LEAST && (bottom - top) * area.height >= LEAST;
    mark(drawn ? box : null);
  };
  box = null;
  stage.addEventListener("pointermove", drag);
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, end);
});

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
  if (value) image.src = value.url;
  draw();
}

watch("value", load);
load();
