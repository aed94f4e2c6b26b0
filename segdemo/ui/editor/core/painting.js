// Brush and polygon: which pixels they cover, by pixel centres, and which ids they may replace.
import { MOST_ID } from "./label_map.js";


// Returns a table over ids: 1 where the brush may paint over that id. `selected` is what the mode
// "inside" stays within; locked ids are never touched.
export function brushRules(mode, selected, locked) {
  const may = new Uint8Array(MOST_ID + 1);
  if (mode === "all") may.fill(1);
  if (mode === "background") may[0] = 1;
  if (mode === "inside") for (const id of selected) may[id] = 1;
  for (const id of locked) may[id] = 0;
  return may;
}

// An eraser takes from the selected instances, or from all of them when none is selected.
export function eraserRules(selected, locked) {
  const may = brushRules(selected.length ? "inside" : "all", selected, locked);
  may[0] = 0;
  return may;
}

// The reach, in a row at height y, of all points at most `radius` away from the line a-b.
function capsuleReach([ax, ay], [bx, by], radius, y) {
  let low = Infinity, high = -Infinity;
  const meet = (x) => {
    low = Math.min(low, x);
    high = Math.max(high, x);
  };
  for (const [x, at] of [[ax, ay], [bx, by]]) {
    const room = radius * radius - (y - at) * (y - at);
    if (room < 0) continue;
    meet(x - Math.sqrt(room));
    meet(x + Math.sqrt(room));
  }
  const length = Math.hypot(bx - ax, by - ay);
  if (!length) return [low, high];
  const nx = (-(by - ay) / length) * radius, ny = ((bx - ax) / length) * radius;
  const corners = [[ax + nx, ay + ny], [bx + nx, by + ny], [bx - nx, by - ny], [ax - nx, ay - ny]];
  corners.forEach(([x, at], i) => {
    const [nextX, next] = corners[(i + 1) % 4];
    if (at <= y !== next <= y) meet(x + ((nextX - x) * (y - at)) / (next - at));
  });
  return [low, high];
}

// Paints a stroke's piece and returns the box it could have changed, or null outside the image.
export function paintCapsule(map, a, b, radius, id, may) {
  const top = Math.max(0, Math.ceil(Math.min(a[1], b[1]) - radius - 0.5));
  const bottom = Math.min(map.height, Math.floor(Math.max(a[1], b[1]) + radius - 0.5) + 1);
  const left = Math.max(0, Math.ceil(Math.min(a[0], b[0]) - radius - 0.5));
  const right = Math.min(map.width, Math.floor(Math.max(a[0], b[0]) + radius - 0.5) + 1);
  if (top >= bottom || left >= right) return null;
  for (let row = top; row < bottom; row++) {
    const [low, high] = capsuleReach(a, b, radius, row + 0.5);
    const from = Math.max(left, Math.ceil(low - 0.5));
    const to = Math.min(right, Math.floor(high - 0.5) + 1);
    if (from < to) map.writeSpan(row, from, to, id, may);
  }
  return [left, top, right, bottom];
}

// Calls work(row, from, to) for each run of pixels of a box that a mask (0 or 1 a pixel) has.
function eachRun([left, top, right, bottom], values, work) {
  for (let row = top, p = 0; row < bottom; row++) {
    for (let x = left; x < right; ) {
      const inside = values[p];
      let to = x;
      while (to < right && values[p] === inside) (to++, p++);
      if (inside) work(row, x, to);
      x = to;
    }
  }
}

export function paintMask(map, box, values, id, may) {
  eachRun(box, values, (row, from, to) => map.writeSpan(row, from, to, id, may));
}

// Takes from an instance what a mask does not have.
export function clearOutside(map, id, box, values) {
  const own = map.box(id);
  if (!own) return;
  const across = own[2] - own[0], outside = map.crop(own).map((label) => Number(label === id));
  eachRun(box, values, (row, from, to) => {
    if (row < own[1] || row >= own[3]) return;
    const start = (row - own[1]) * across - own[0];
    const first = Math.max(from, own[0]), last = Math.min(to, own[2]);
    if (first < last) outside.fill(0, start + first, start + last);
  });
  paintMask(map, own, outside, 0);
}

// Fills by the even-odd rule.
export function paintPolygon(map, points, id, may) {
  const heights = points.map((point) => point[1]);
  const top = Math.max(0, Math.floor(Math.min(...heights)));
  const bottom = Math.min(map.height, Math.ceil(Math.max(...heights)));
  for (let row = top; row < bottom; row++) {
    const y = row + 0.5, meets = [];
    points.forEach(([x, at], i) => {
      const [nextX, next] = points[(i + 1) % points.length];
      if (at <= y !== next <= y) meets.push(x + ((nextX - x) * (y - at)) / (next - at));
    });
    meets.sort((one, other) => one - other);
    for (let i = 0; i + 1 < meets.length; i += 2) {
      const from = Math.max(0, Math.ceil(meets[i] - 0.5));
      const to = Math.min(map.width, Math.ceil(meets[i + 1] - 0.5));
      if (from < to) map.writeSpan(row, from, to, id, may);
    }
  }
}
