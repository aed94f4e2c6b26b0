// Which part of the image the canvas shows: zoom in page pixels per image pixel, and offset.
import { boxAround } from "../core/label_map.js";
import { emit, find, selected, setStatus, state } from "./state.js";

export let canvas;
export const view = { zoom: 1, left: 0, top: 0, width: 1, height: 1 };
const MOST_ZOOM = 40;

export const toImage = (x, y) => [(x - view.left) / view.zoom, (y - view.top) / view.zoom];
export const toBoard = ([x, y]) => [x * view.zoom + view.left, y * view.zoom + view.top];

export function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

export const imageAt = (event) => toImage(...placeOf(event));

function fitZoom() {
  const { width, height } = state.image.map;
  return Math.min(view.width / width, view.height / height) * 0.98;
}

function show([left, top, right, bottom], margin) {
  const room = 1 + 2 * margin, across = (right - left) * room, down = (bottom - top) * room;
  view.zoom = Math.min(MOST_ZOOM, view.width / across, view.height / down);
  view.left = view.width / 2 - (view.zoom * (left + right)) / 2;
  view.top = view.height / 2 - (view.zoom * (top + bottom)) / 2;
  emit("view");
}

export function fit() {
  if (state.image) show([0, 0, state.image.map.width, state.image.map.height], 0.01);
}

// Shows a box with its surroundings, unless it is seen well enough.
export function reveal(box) {
  const [left, top] = toBoard(box), [right, bottom] = toBoard([box[2], box[3]]);
  const seen = left >= 0 && top >= 0 && right <= view.width && bottom <= view.height;
  if (!seen || Math.max(right - left, bottom - top) < 60) show(box, 0.8);
}

export function zoomToSelection() {
  const box = boxAround(selected().map((id) => state.image.map.box(id)));
  if (!box) return setStatus("Nothing is selected to zoom to.");
  show(box, 0.25);
}

export function zoomAt(x, y, factor) {
  if (!state.image) return;
  const zoom = Math.min(MOST_ZOOM, Math.max(fitZoom() / 3, view.zoom * factor));
  view.left = x - ((x - view.left) * zoom) / view.zoom;
  view.top = y - ((y - view.top) * zoom) / view.zoom;
  view.zoom = zoom;
  emit("view");
}

export function pan(across, down) {
  view.left += across;
  view.top += down;
  emit("view");
}

let fitted = false; // follows the canvas while nobody has moved the photo

// A canvas that is about to appear or to change its size is fitted once its size is known.
export function fitNew() {
  fitted = view.width === canvas.clientWidth && view.height === canvas.clientHeight;
  if (fitted) fit();
}

export function start() {
  canvas = find(".view");
  new ResizeObserver(() => {
    const { clientWidth, clientHeight } = canvas;
    if (!clientWidth || !clientHeight) return;
    const whole = state.image && Math.abs(view.zoom / fitZoom() - 1) < 0.02;
    Object.assign(view, { width: clientWidth, height: clientHeight });
    if (state.image && (whole || !fitted)) fit();
    fitted = true;
    emit("view");
  }).observe(canvas);
}
