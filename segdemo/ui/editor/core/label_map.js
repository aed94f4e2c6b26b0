// Ids of one image, row by row, 0 = background; area and box of every id follow each change.
// Nothing here or in the other files of this folder knows of a page.
export const MOST_ID = 65535;
const TILE_BITS = 7; // tiles of 128 x 128 pixels are what an edit remembers
const TILE = 1 << TILE_BITS;

// A box is [left, top, right, bottom], the last two excluded.
export function boxAround(boxes) {
  const known = boxes.filter(Boolean);
  if (!known.length) return null;
  return [0, 1, 2, 3].map((side) =>
    Math[side < 2 ? "min" : "max"](...known.map((box) => box[side])));
}

// Runs of equal numbers in a tile of few colours need little room: [value, length, ...].
function packTile(values) {
  const packed = [];
  for (let from = 0, to = 1; to <= values.length; to++) {
    if (to < values.length && values[to] === values[from]) continue;
    packed.push(values[from], to - from);
    if (packed.length >= values.length) return { raw: values };
    from = to;
  }
  return { runs: Uint16Array.from(packed) };
}

function unpackTile(packed, length) {
  if (packed.raw) return packed.raw;
  const values = new Uint16Array(length);
  for (let i = 0, at = 0; i < packed.runs.length; i += 2) {
    values.fill(packed.runs[i], at, (at += packed.runs[i + 1]));
  }
  return values;
}

const EVERY_ID = new Uint8Array(MOST_ID + 1).fill(1);

export class LabelMap {
  // labels: Uint16Array of width * height, owned by the map from now on.
  constructor(width, height, labels) {
    Object.assign(this, { width, height, labels });
    this.tilesAcross = Math.ceil(width / TILE);
    this.areas = new Uint32Array(MOST_ID + 1);
    this.boxes = new Int32Array(4 * (MOST_ID + 1));
    this.loose = new Uint8Array(MOST_ID + 1); // the box may be larger than the instance
    this.edit = null;
    for (let row = 0; row < height; row++) this.countRow(row);
  }

  countRow(row) {
    const { labels, width, areas } = this, end = (row + 1) * width;
    for (let from = row * width, to = from + 1; to <= end; to++) {
      if (to < end && labels[to] === labels[from]) continue;
      areas[labels[from]] += to - from;
      this.grow(labels[from], from - row * width, row, to - row * width);
      from = to;
    }
  }

  grow(id, left, row, right) {
    const { boxes } = this, at = 4 * id;
    if (!boxes[at + 3]) { // a bottom of 0: there was no box
      boxes.set([left, row, right, row + 1], at);
      return;
    }
    if (left < boxes[at]) boxes[at] = left;
    if (row < boxes[at + 1]) boxes[at + 1] = row;
    if (right > boxes[at + 2]) boxes[at + 2] = right;
    if (row >= boxes[at + 3]) boxes[at + 3] = row + 1;
  }

  ids() {
    const found = [];
    for (let id = 1; id <= MOST_ID; id++) if (this.areas[id]) found.push(id);
    return found;
  }

  at(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return 0;
    return this.labels[Math.floor(y) * this.width + Math.floor(x)];
  }

  // The tight box of an id, or null when it has no pixel.
  box(id) {
    if (!this.areas[id]) {
      this.boxes.fill(0, 4 * id, 4 * id + 4);
      this.loose[id] = 0;
      return null;
    }
    if (this.loose[id]) this.tighten(id);
    return Array.from(this.boxes.subarray(4 * id, 4 * id + 4));
  }

  tighten(id) {
    const { labels, width, boxes } = this, [left, top, right, bottom] = boxes.subarray(4 * id);
    const within = [left, top, right, bottom];
    boxes.fill(0, 4 * id, 4 * id + 4);
    this.loose[id] = 0;
    for (let row = within[1]; row < within[3]; row++) {
      const start = row * width;
      let first = start + within[0], last = start + within[2] - 1;
      while (first <= last && labels[first] !== id) first++;
      if (first > last) continue;
      while (labels[last] !== id) last--;
      this.grow(id, first - start, row, last - start + 1);
    }
  }

  begin(what) {
    this.edit = { what, tiles: new Map(), box: null, ids: new Set(), before: new Map() };
  }

  tileBox(index) {
    const left = (index % this.tilesAcross) << TILE_BITS;
    const top = Math.floor(index / this.tilesAcross) << TILE_BITS;
    return [left, top, Math.min(left + TILE, this.width), Math.min(top + TILE, this.height)];
  }

  rememberTiles(row, from, to) {
    const first = (row >> TILE_BITS) * this.tilesAcross;
    for (let across = from >> TILE_BITS; across <= (to - 1) >> TILE_BITS; across++) {
      const { tiles } = this.edit, index = first + across;
      if (!tiles.has(index)) tiles.set(index, this.crop(this.tileBox(index)));
    }
  }

  // Writes an id into one row, from (included) to (excluded), where `may` allows the old id.
  writeSpan(row, from, to, id, may = EVERY_ID) {
    const { labels, areas, edit } = this, start = row * this.width;
    let first = -1, last = -1, before = -1;
    for (let p = start + from; p < start + to; p++) {
      const old = labels[p];
      if (old === id || !may[old]) continue;
      if (first < 0) {
        first = p;
        this.rememberTiles(row, p - start, to);
        if (!areas[id]) this.boxes.fill(0, 4 * id, 4 * id + 4);
      }
      if (old !== before) {
        edit.ids.add(old);
        if (!edit.before.has(old)) edit.before.set(old, areas[old]);
        this.loose[old] = 1;
        before = old;
      }
      last = p;
      labels[p] = id;
      areas[old]--;
      areas[id]++;
    }
    if (first < 0) return;
    edit.ids.add(id);
    this.grow(id, first - start, row, last - start + 1);
    this.growEdit(first - start, row, last - start + 1);
  }

  growEdit(left, row, right) {
    const box = (this.edit.box ||= [left, row, right, row + 1]);
    if (left < box[0]) box[0] = left;
    if (row < box[1]) box[1] = row;
    if (right > box[2]) box[2] = right;
    if (row >= box[3]) box[3] = row + 1;
  }

  // values: Uint16Array of the box, row by row.
  writeBox([left, top, right, bottom], values) {
    const across = right - left;
    for (let row = top; row < bottom; row++) {
      const start = (row - top) * across;
      for (let from = 0, to = 1; to <= across; to++) {
        if (to < across && values[start + to] === values[start + from]) continue;
        this.writeSpan(row, left + from, left + to, values[start + from]);
        from = to;
      }
    }
  }

  replace(id, by) {
    const box = this.box(id);
    if (!box) return;
    const { labels, width } = this;
    for (let row = box[1]; row < box[3]; row++) {
      for (let x = box[0], from = -1; x <= box[2]; x++) {
        const own = x < box[2] && labels[row * width + x] === id;
        if (own && from < 0) from = x;
        if (own || from < 0) continue;
        this.writeSpan(row, from, x, by);
        from = -1;
      }
    }
  }

  crop([left, top, right, bottom]) {
    const across = right - left, values = new Uint16Array(across * (bottom - top));
    for (let row = top; row < bottom; row++) {
      const start = row * this.width;
      values.set(this.labels.subarray(start + left, start + right), (row - top) * across);
    }
    return values;
  }

  // Ends the edit; returns what takes it back, or null when no pixel changed. `taken` is how many
  // pixels each instance has lost.
  finish() {
    const { what, box, ids, tiles, before } = this.edit, packed = new Map();
    this.edit = null;
    if (!box) return null;
    let bytes = 0;
    for (const [index, values] of tiles) {
      const kept = packTile(values);
      packed.set(index, kept);
      bytes += (kept.raw || kept.runs).byteLength;
    }
    ids.delete(0);
    before.delete(0);
    const taken = new Map([...before].map(([id, area]) => [id, area - this.areas[id]])
      .filter(([, lost]) => lost > 0));
    return { what, box, ids, tiles: packed, bytes, taken };
  }

  // Takes a step back and returns the step that does it again.
  swap(step) {
    this.begin(step.what);
    if (step.pixels) this.writeBox(step.box, step.pixels);
    for (const [index, packed] of step.tiles || []) {
      const box = this.tileBox(index);
      this.writeBox(box, unpackTile(packed, (box[2] - box[0]) * (box[3] - box[1])));
    }
    return this.finish();
  }

  cancel() {
    const { tiles } = this.edit, box = this.edit.box;
    for (const [index, values] of [...tiles]) this.writeBox(this.tileBox(index), values);
    this.edit = null;
    return box;
  }
}
