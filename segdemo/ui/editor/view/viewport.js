// Which piece of the picture the canvas shows: zoom in page pixels per image pixel, and offset.
const canvas = find(".view");
const board = find(".board");
const view = { zoom: 1, left: 0, top: 0, width: 1, height: 1 };
const MOST_ZOOM = 40;

const toImage = (x, y) => [(x - view.left) / view.zoom, (y - view.top) / view.zoom];
const toBoard = ([x, y]) => [x * view.zoom + view.left, y * view.zoom + view.top];

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

const imageAt = (event) => toImage(...placeOf(event));

function fitZoom() {
  const { width, height } = state.picture.map;
  return Math.min(view.width / width, view.height / height) * 0.98;
}

function show([left, top, right, bottom], margin) {
  const room = 1 + 2 * margin, across = (right - left) * room, down = (bottom - top) * room;
  view.zoom = Math.min(MOST_ZOOM, view.width / across, view.height / down);
  view.left = view.width / 2 - (view.zoom * (left + right)) / 2;
  view.top = view.height / 2 - (view.zoom * (top + bottom)) / 2;
  tell("view");
}

function fit() {
  if (state.picture) show([0, 0, state.picture.map.width, state.picture.map.height], 0.01);
}

function zoomToSelection() {
  const box = boxAround(selected().map((id) => state.picture.map.box(id)));
  if (!box) return say("Nothing is selected to zoom to.");
  show(box, 0.25);
}

function zoomAt(x, y, factor) {
  if (!state.picture) return;
  const zoom = Math.min(MOST_ZOOM, Math.max(fitZoom() / 3, view.zoom * factor));
  view.left = x - ((x - view.left) * zoom) / view.zoom;
  view.top = y - ((y - view.top) * zoom) / view.zoom;
  view.zoom = zoom;
  tell("view");
}

function pan(across, down) {
  view.left += across;
  view.top += down;
  tell("view");
}

// The box of image pixels that can be seen.
function visibleBox() {
  const { width, height } = state.picture.map;
  const [left, top] = toImage(0, 0), [right, bottom] = toImage(view.width, view.height);
  const box = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top)),
    Math.min(width, Math.ceil(right)), Math.min(height, Math.ceil(bottom))];
  return box[0] < box[2] && box[1] < box[3] ? box : null;
}

let fitted = false; // follows the canvas while nobody has moved the picture

// A canvas that is about to appear or to change its size is fitted once its size is known.
function fitNew() {
  fitted = view.width === canvas.clientWidth && view.height === canvas.clientHeight;
  if (fitted) fit();
}

new ResizeObserver(() => {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth || !clientHeight) return;
  const whole = state.picture && Math.abs(view.zoom / fitZoom() - 1) < 0.02;
  Object.assign(view, { width: clientWidth, height: clientHeight });
  if (state.picture && (whole || !fitted)) fit();
  fitted = true;
  tell("view");
}).observe(canvas);
