// Outlines at the sharpness of the page, whatever the zoom; and the ids in the middle.
import { MOST_ID, boxAround } from "../core/label_map.js";
import { layers, wholeBox } from "./layers.js";
import { packed } from "./palette.js";
import { selected, state } from "./state.js";
import { toBoard, toImage, view } from "./viewport.js";

const WHITE = packed([255, 255, 255]), BLACK = packed([0, 0, 0]);

// The labels of the page's pixels in a box of the board.
function sampled([left, top, right, bottom]) {
  const { labels, width, height } = state.image.map, across = right - left;
  const ids = new Uint16Array(across * (bottom - top)), columns = new Int32Array(across);
  for (let x = 0; x < across; x++) {
    const column = Math.floor(toImage(left + x + 0.5, 0)[0]);
    columns[x] = column >= 0 && column < width ? column : -1;
  }
  for (let y = top, q = 0; y < bottom; y++) {
    const row = Math.floor(toImage(0, y + 0.5)[1]);
    if (row < 0 || row >= height) {
      q += across;
      continue;
    }
    for (let x = 0; x < across; x++, q++) {
      if (columns[x] >= 0) ids[q] = labels[row * width + columns[x]];
    }
  }
  return ids;
}

function boardBox(box, margin) {
  const [left, top] = toBoard(box), [right, bottom] = toBoard([box[2], box[3]]);
  const inside = [Math.max(0, Math.floor(left) - margin), Math.max(0, Math.floor(top) - margin),
    Math.min(view.width, Math.ceil(right) + margin),
    Math.min(view.height, Math.ceil(bottom) + margin)];
  return inside[0] < inside[2] && inside[1] < inside[3] ? inside : null;
}

// Calls work(from, to) with the first and behind the last pixel of each row that has a whole
// neighbourhood: at the ends of a row the next pixel in memory is another row's.
function eachRow(ids, across, margin, work) {
  for (let from = margin * across; from < ids.length - margin * across; from += across) {
    work(from + margin, from + across - margin);
  }
}

// White just inside the selected instances, black just outside: seen on any photo.
function markSelected(ids, across, out, chosen) {
  const differs = (q, id, step) => ids[q - step] !== id || ids[q + step] !== id;
  eachRow(ids, across, 2, (from, to) => {
    for (let q = from; q < to; q++) {
      const id = ids[q];
      if (chosen[id]) {
        const outline = differs(q, id, 1) || differs(q, id, across);
        if (outline || differs(q, id, 2) || differs(q, id, 2 * across)) out[q] = WHITE;
      } else if (chosen[ids[q - 1]] || chosen[ids[q + 1]]
        || chosen[ids[q - across]] || chosen[ids[q + across]]) {
        out[q] = BLACK;
      }
    }
  });
}

function markAll(ids, across, out, colours) {
  eachRow(ids, across, 1, (from, to) => {
    for (let q = from; q < to; q++) {
      const id = ids[q];
      if (!id || out[q]) continue;
      if (ids[q - 1] !== id || ids[q + 1] !== id || ids[q - across] !== id || ids[q + across] !== id
        || ids[q - across - 1] !== id || ids[q + across + 1] !== id) out[q] = colours[id];
    }
  });
}

export function drawOutlines(ctx) {
  const { outlines } = state.look, { map } = state.image;
  const around = outlines ? wholeBox() : boxAround(selected().map((id) => map.box(id)));
  const box = around && boardBox(around, 4);
  if (!box) return;
  const across = box[2] - box[0], ids = sampled(box);
  const pixels = new ImageData(across, box[3] - box[1]), out = new Uint32Array(pixels.data.buffer);
  const chosen = new Uint8Array(MOST_ID + 1);
  for (const id of selected()) chosen[id] = 1;
  markSelected(ids, across, out, chosen);
  if (outlines) markAll(ids, across, out, layers.colours);
  const offscreen = new OffscreenCanvas(across, box[3] - box[1]);
  offscreen.getContext("2d").putImageData(pixels, 0, 0);
  ctx.drawImage(offscreen, box[0], box[1]);
}

// A place inside the instance: the middle of its longest run in the middle rows of its box.
export const anchors = new Map();

function anchorOf(id) {
  if (anchors.has(id)) return anchors.get(id);
  const { map } = state.image, box = map.box(id);
  let best = null;
  for (let away = 0; !best && away < box[3] - box[1]; away++) {
    const row = Math.floor((box[1] + box[3]) / 2) + (away % 2 ? -1 : 1) * Math.ceil(away / 2);
    if (row < box[1] || row >= box[3]) continue;
    for (let x = box[0], from = -1, most = 0; x <= box[2]; x++) {
      const own = x < box[2] && map.labels[row * map.width + x] === id;
      if (own && from < 0) from = x;
      if (own || from < 0) continue;
      if (x - from > most) [most, best] = [x - from, [(from + x) / 2, row + 0.5]];
      from = -1;
    }
  }
  anchors.set(id, best);
  return best;
}

export function drawIds(ctx) {
  const { map } = state.image;
  ctx.font = "600 12px system-ui, sans-serif";
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.lineJoin = "round";
  for (const id of map.ids()) {
    const box = map.box(id), chosen = selected().includes(id);
    const side = view.zoom * Math.min(box[2] - box[0], box[3] - box[1]);
    if (!chosen && (side < 24 || state.image.record(id).hidden)) continue;
    const [x, y] = toBoard(anchorOf(id));
    if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
    ctx.lineWidth = 3;
    ctx.strokeStyle = chosen ? "#ffffff" : "rgb(0 0 0 / 75%)";
    ctx.fillStyle = chosen ? "#000000" : "#ffffff";
    ctx.strokeText(id, x, y);
    ctx.fillText(id, x, y);
  }
}
