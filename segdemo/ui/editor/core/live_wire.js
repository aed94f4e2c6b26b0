// Live wire: the cheapest path along edges between two places (intelligent scissors, Mortensen and
// Barrett 1995). Far places are joined on a smaller edge map first, then in a corridor around that
// path, so that the work depends on the length of the path and not on the size of the image.
const REACH = 128; // cells around a place that one search covers
const MARGIN = 32; // of these, for a path that has to go round
const FARTHEST = 30; // cost of a step without an edge; 1 along the strongest
const STRAIGHT = 5, DIAGONAL = 7; // lengths of a step, as 1 to the square root of 2
const BUCKETS = 256; // more than the longest step costs

// The eight steps from a cell.
const ACROSS = Int8Array.of(1, -1, 0, 0, 1, -1, 1, -1);
const DOWN = Int8Array.of(0, 0, 1, -1, 1, 1, -1, -1);
const LENGTHS = Int8Array.of(STRAIGHT, STRAIGHT, STRAIGHT, STRAIGHT, DIAGONAL, DIAGONAL, DIAGONAL,
  DIAGONAL);

// Shrinks to half by the maximum, so that thin edges stay.
function halved({ values, width, height }) {
  const across = (width + 1) >> 1, down = (height + 1) >> 1, small = new Uint8Array(across * down);
  for (let y = 0; y < height; y++) {
    for (let x = 0, p = y * width, q = (y >> 1) * across; x < width; x++, p++) {
      if (values[p] > small[q + (x >> 1)]) small[q + (x >> 1)] = values[p];
    }
  }
  return { values: small, width: across, height: down };
}

// The cost of a step onto each edge value; the strongest edges of a faint map count as strong.
function costs(values) {
  const counts = new Uint32Array(256);
  for (let p = 0; p < values.length; p += 7) counts[values[p]]++;
  let strong = 255;
  for (let most = values.length / 7 / 50; strong > 40 && (most -= counts[strong]) > 0;) strong--;
  return Uint8Array.from({ length: 256 }, (_, value) =>
    Math.round(1 + (FARTHEST - 1) * (1 - Math.min(1, value / strong)) ** 2));
}

// Dijkstra with buckets from a cell of a window [left, top, right, bottom] of a level, until `goal`
// is reached. `allowed`: {cells, shift, left, top, across} of a smaller level, 1 where a cell may be
// used. Returns the step into each cell of the window (1 + its number, 0 where nothing came).
function search({ values, width }, table, [left, top, right, bottom], from, goal, allowed) {
  const across = right - left, down = bottom - top, steps = new Uint8Array(across * down);
  const far = new Uint32Array(steps.length); // 1 + the cost of the way, 0 for none yet
  const buckets = Array.from({ length: BUCKETS }, () => []);
  const start = (from[1] - top) * across + from[0] - left;
  const end = goal ? (goal[1] - top) * across + goal[0] - left : -1;
  far[start] = 1;
  buckets[1].push(start);
  for (let now = 1, waiting = 1; waiting > 0; now++) {
    const bucket = buckets[now % BUCKETS];
    for (let i = 0; i < bucket.length; i++) {
      const cell = bucket[i];
      waiting--;
      if (far[cell] !== now) continue; // a cheaper way came first
      if (cell === end) return steps;
      const y = (cell / across) | 0, x = cell - y * across;
      for (let s = 0; s < 8; s++) {
        const toX = x + ACROSS[s], toY = y + DOWN[s];
        if (toX < 0 || toY < 0 || toX >= across || toY >= down) continue;
        const next = toY * across + toX, known = far[next];
        if (known && known <= now + LENGTHS[s]) continue;
        if (allowed && !allowed.cells[(((top + toY) >> allowed.shift) - allowed.top) * allowed.across
          + ((left + toX) >> allowed.shift) - allowed.left]) continue;
        const way = now + LENGTHS[s] * table[values[(top + toY) * width + left + toX]];
        if (known && known <= way) continue;
        far[next] = way;
        steps[next] = s + 1;
        buckets[way % BUCKETS].push(next);
        waiting++;
      }
    }
    bucket.length = 0;
  }
  return steps;
}

// The cells from the start of a search to `to`, both included.
function traced(steps, [left, top, right], to) {
  const across = right - left, cells = [];
  let [x, y] = to;
  for (;;) {
    cells.push([x, y]);
    const step = steps[(y - top) * across + x - left];
    if (!step) return cells.reverse();
    x -= ACROSS[step - 1];
    y -= DOWN[step - 1];
  }
}

export class LiveWire {
  // edges: Uint8Array of the whole image, 255 = surely an edge.
  constructor(edges, width, height) {
    this.levels = [{ values: edges, width, height }];
    this.table = costs(edges);
    this.trees = new Map(); // level -> the search from `this.from`
    this.from = null;
  }

  level(number) {
    while (this.levels.length <= number) this.levels.push(halved(this.levels.at(-1)));
    return this.levels[number];
  }

  // The path between two places of the image, as points at the middle of pixels, both ends included.
  path(from, to) {
    const [start, end] = [from, to].map((point) => this.pixel(point));
    if (!this.from || this.from[0] !== start[0] || this.from[1] !== start[1]) {
      this.from = start;
      this.trees.clear();
    }
    const away = Math.max(Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1]));
    let number = 0;
    while (away >> number > REACH - MARGIN) number++;
    const coarse = this.coarsePath(number, end);
    const cells = number ? this.refined(coarse, number, start, end) : coarse;
    return cells.map(([x, y]) => [x + 0.5, y + 0.5]);
  }

  pixel([x, y]) {
    const { width, height } = this.levels[0];
    return [Math.min(width - 1, Math.max(0, Math.floor(x))),
      Math.min(height - 1, Math.max(0, Math.floor(y)))];
  }

  // The strongest edge near a place, the nearer the better; the place itself where there is none.
  snap([x, y], radius) {
    const [{ values, width, height }] = this.levels;
    let best = 40, found = [x, y];
    for (let row = Math.max(0, Math.floor(y - radius)); row < Math.min(height, y + radius); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column < Math.min(width, x + radius);
        column++) {
        const away = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const strength = values[row * width + column] * (1 - away / (2 * radius));
        if (away <= radius && strength > best) [best, found] = [strength, [column + 0.5, row + 0.5]];
      }
    }
    return found;
  }

  coarsePath(number, end) {
    const level = this.level(number), [x, y] = this.from.map((value) => value >> number);
    const box = [Math.max(0, x - REACH), Math.max(0, y - REACH),
      Math.min(level.width, x + REACH + 1), Math.min(level.height, y + REACH + 1)];
    if (!this.trees.has(number)) {
      this.trees.set(number, search(level, this.table, box, [x, y]));
    }
    return traced(this.trees.get(number), box, end.map((value) => value >> number));
  }

  // The cheapest path of pixels among the cells of a coarse path and those beside them.
  refined(coarse, shift, start, end) {
    const { width, height } = this.levels[0];
    const columns = coarse.map(([x]) => x), rows = coarse.map(([, y]) => y);
    const left = Math.min(...columns) - 1, right = Math.max(...columns) + 2;
    const top = Math.min(...rows) - 1, bottom = Math.max(...rows) + 2, across = right - left;
    const cells = new Uint8Array(across * (bottom - top));
    for (const [x, y] of coarse) {
      const cell = (y - top) * across + x - left;
      for (const row of [cell - across, cell, cell + across]) cells.fill(1, row - 1, row + 2);
    }
    const window = [Math.max(0, left << shift), Math.max(0, top << shift),
      Math.min(width, right << shift), Math.min(height, bottom << shift)];
    const allowed = { cells, shift, left, top, across };
    return traced(search(this.levels[0], this.table, window, start, end, allowed), window, end);
  }
}

// The strength of the photo's own edges, where there is no edge map: rgba is its pixels.
export function gradientOf(rgba, width, height) {
  const grey = new Float32Array(width * height), slopes = new Float32Array(width * height);
  for (let p = 0; p < grey.length; p++) {
    grey[p] = 0.3 * rgba[4 * p] + 0.59 * rgba[4 * p + 1] + 0.11 * rgba[4 * p + 2];
  }
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1, p = y * width + 1; x < width - 1; x++, p++) {
      const dx = 2 * (grey[p + 1] - grey[p - 1]) + grey[p + 1 - width] - grey[p - 1 - width]
        + grey[p + 1 + width] - grey[p - 1 + width];
      const dy = 2 * (grey[p + width] - grey[p - width]) + grey[p + width - 1] - grey[p - width - 1]
        + grey[p + width + 1] - grey[p - width + 1];
      slopes[p] = Math.hypot(dx, dy);
    }
  }
  return Uint8Array.from(slopes, (slope) => Math.min(255, slope / 2));
}
