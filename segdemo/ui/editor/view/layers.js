// Layers between photo and tools: colours of the instances, edges, cuts, parts and proposals.
import { MOST_ID } from "../core/label_map.js";
import { PALETTE, channels, colourOf, colourTable, packed } from "./palette.js";
import { make, selected, state } from "./state.js";

export const layers = {
  photo: null, adjusted: null, fill: null, start: null, edges: null, cuts: [], proposals: null, draft: null, colours: null,
};
const STRIP = 256; // rows painted at a time, so that no second whole image is held

function blankLayer([left, top, right, bottom]) {
  const canvas = make("canvas", { width: right - left, height: bottom - top });
  return { canvas, ctx: canvas.getContext("2d"), left, top };
}

// Paints a box of a layer; colour(p, q) gives the bytes of image pixel p, the box's pixel q.
function paintLayer(layer, box, write) {
  const [left, , right, bottom] = box, across = right - left;
  for (let top = box[1]; top < bottom; top += STRIP) {
    const down = Math.min(STRIP, bottom - top), pixels = new ImageData(across, down);
    write(new Uint32Array(pixels.data.buffer), [left, top, right, top + down]);
    layer.ctx.putImageData(pixels, left - layer.left, top - layer.top);
  }
}

function copyColours(labels, width, table) {
  return (out, [left, top, right, bottom]) => {
    for (let row = top, q = 0; row < bottom; row++) {
      for (let p = row * width + left, end = row * width + right; p < end; p++, q++) {
        const label = labels[p];
        if (label) out[q] = table[label];
      }
    }
  };
}

export const wholeBox = () => [0, 0, state.image.map.width, state.image.map.height];

export function paintFill(box) {
  const { labels, width } = state.image.map;
  paintLayer(layers.fill, box, copyColours(labels, width, layers.colours));
}

export function recolour() {
  if (!state.image) return;
  layers.colours = colourTable();
  paintFill(wholeBox());
  if (state.start) paintStart();
}

export function paintStart() {
  const table = new Uint32Array(MOST_ID + 1);
  for (let id = 1; id <= MOST_ID; id++) table[id] = packed(colourOf(id));
  layers.start = blankLayer(wholeBox());
  const paint = copyColours(state.start, state.image.map.width, table);
  paintLayer(layers.start, wholeBox(), paint);
}

export function newImage() {
  Object.assign(layers, { start: null, edges: null, cuts: [], proposals: null, draft: null });
  adjustPhoto();
  layers.fill = blankLayer(wholeBox());
  recolour();
}

// The photo with another brightness and contrast, once for all redraws.
export function adjustPhoto() {
  const { photo } = layers, { brightness, contrast } = state.look;
  layers.adjusted = null;
  if (!photo || (brightness === 1 && contrast === 1)) return;
  layers.adjusted = new OffscreenCanvas(photo.width, photo.height);
  const ctx = layers.adjusted.getContext("2d");
  ctx.filter = `brightness(${brightness}) contrast(${contrast})`;
  ctx.drawImage(photo, 0, 0);
}

export function paintEdges() {
  layers.edges = null;
  if (!state.edges || !state.edgeLook.shown) return;
  const colour = packed(channels(state.edgeLook.colour), 0), { values } = state.edges;
  const { width } = state.image.map;
  layers.edges = blankLayer(wholeBox());
  paintLayer(layers.edges, wholeBox(), (out, [, top]) => {
    const first = top * width;
    for (let q = 0; q < out.length; q++) out[q] = (colour | (values[first + q] << 24)) >>> 0;
  });
}

const CUT = packed([255, 0, 160]), DRAFT = packed([0, 229, 255]);

// Where the edges would cut the selected instances, or the parts that a split would make.
export function paintCuts() {
  layers.cuts = [];
  if (!state.image) return;
  if (state.parts) layers.cuts = state.parts.map(([, parts]) => partsLayer(parts));
  else if (state.edges && state.edgeLook.cuts) {
    layers.cuts = selected().map(cutLayer).filter(Boolean);
  }
}

function cutLayer(id) {
  const { map } = state.image, box = map.box(id);
  if (!box) return null;
  const layer = blankLayer(box), { values } = state.edges, { threshold } = state.edgeLook;
  paintLayer(layer, box, (out, [left, top, right, bottom]) => {
    for (let row = top, q = 0; row < bottom; row++) {
      for (let p = row * map.width + left, end = p + right - left; p < end; p++, q++) {
        if (map.labels[p] === id && values[p] >= threshold) out[q] = CUT;
      }
    }
  });
  return { ...layer, alpha: 0.85 };
}

function partsLayer({ box, grid }) {
  const layer = blankLayer(box), across = box[2] - box[0];
  const table = PALETTE.map((colour) => packed(colour));
  paintLayer(layer, box, (out, [, top]) => {
    const first = (top - box[1]) * across;
    for (let q = 0; q < out.length; q++) {
      const part = grid[first + q];
      if (part) out[q] = table[part % table.length];
    }
  });
  return { ...layer, alpha: 0.9 };
}

// mask: {box, values} of input/prompting.js, or nothing.
export function paintDraft(mask) {
  layers.draft = null;
  if (!mask) return;
  layers.draft = blankLayer(mask.box);
  const across = mask.box[2] - mask.box[0];
  paintLayer(layers.draft, mask.box, (out, [, top]) => {
    const first = (top - mask.box[1]) * across;
    for (let q = 0; q < out.length; q++) if (mask.values[first + q]) out[q] = DRAFT;
  });
}

const INSIDE = 105, OTHERS = 60; // alpha of what is proposed; outlines are opaque

// All open proposals, the one that is looked at stronger; what would go is pink.
export function paintProposals() {
  layers.proposals = null;
  const { list, box, labels, colours, shown, current } = state.proposals || { list: [] };
  const looked = shown ?? (list[current]?.state === "open" ? current : null);
  const drawn = [...list.keys()].filter((i) => list[i].state === "open" || i === shown);
  if (!box || !drawn.length) return;
  const table = new Uint32Array(MOST_ID + 1), { width } = state.image.map;
  for (const i of drawn) {
    for (const id of list[i].outputs) {
      const colour = list[i].kind === "drop" ? CUT : packed(PALETTE[colours.get(id) % PALETTE.length]);
      const alpha = looked === null || i === looked ? INSIDE : OTHERS;
      table[id] = (colour & 0xffffff) | (alpha << 24);
    }
  }
  layers.proposals = blankLayer(box);
  paintLayer(layers.proposals, box, (out, part) => {
    copyColours(labels, width, table)(out, part);
    outline(out, labels, width, part);
  });
}

// Makes pixels opaque that differ from a neighbour: two deep, to be seen when the photo is small.
function outline(out, labels, width, [left, top, right, bottom]) {
  for (let row = top, q = 0; row < bottom; row++) {
    for (let p = row * width + left, end = row * width + right; p < end; p++, q++) {
      const id = labels[p];
      if (!out[q]) continue;
      if (labels[p - 1] !== id || labels[p + 1] !== id || labels[p - 2] !== id
        || labels[p + 2] !== id || labels[p - width] !== id || labels[p + width] !== id
        || labels[p - 2 * width] !== id || labels[p + 2 * width] !== id) out[q] |= 0xff000000;
    }
  }
}
