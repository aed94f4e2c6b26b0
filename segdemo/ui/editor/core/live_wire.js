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

// Dijkstra with buckets from a cell of a window [left, top, right, bottom] of a level. It stops at
// each goal and goes on from there for the next one: while a pointer moves away, little is left to do.
// `allowed`: {cells, shift, left, top, across} of a smaller level, 1 where a cell may be used.
class Search {
  constructor(level, table, window, from, allowed) {
    const [left, top, right, bottom] = window;
    Object.assign(this, { level, table, window, allowed });
    this.steps = new Uint8Array((right - left) * (bottom - top)); // 1 + the step into each cell
    this.far = new Uint32Array(this.steps.length); // 1 + the cost of the way, 0 for none yet
    this.buckets = Array.from({ length: BUCKETS }, () => []);
    Object.assign(this, { now: 1, at: 0, waiting: 1 }); // the bucket, the place in it, all entries
    this.far[this.cellOf(from)] = 1;
    this.buckets[1].push(this.cellOf(from));
  }

  cellOf([x, y]) {
    const [left, top, right] = this.window;
    return (y - top) * (right - left) + x - left;
  }

  reach(goal) {
    const { far, steps, buckets, table, allowed } = this, { values, width } = this.level;
    const [left, top, right, bottom] = this.window, across = right - left, down = bottom - top;
    const end = this.cellOf(goal);
    if (far[end] && far[end] < this.now) return;
    let { now, at, waiting } = this;
    search: for (; waiting > 0; now++, at = 0) {
      const bucket = buckets[now % BUCKETS];
      for (; at < bucket.length; at++) {
        const cell = bucket[at];
        if (far[cell] === now && cell === end) break search; // it is taken up again here
        waiting--;
        if (far[cell] !== now) continue; // a cheaper way came first
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
    Object.assign(this, { now, at, waiting });
  }

  // The cells from the start to `to`, both included.
  path(to) {
    this.reach(to);
    const cells = [];
    for (let [x, y] = to; ;) {
      cells.push([x, y]);
      const step = this.steps[this.cellOf([x, y])];
      if (!step) return cells.reverse();
      x -= ACROSS[step - 1];
      y -= DOWN[step - 1];
    }
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
    let cells = this.coarsePath(number, end);
    while (number > 0) { // two levels at a time: the corridors stay narrow
      const finer = Math.max(0, number - 2);
      cells = this.refined(cells, number - finer, finer, start, end);
      number = finer;
    }
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
      this.trees.set(number, new Search(level, this.table, box, [x, y]));
    }
    return this.trees.get(number).path(end.map((value) => value >> number));
  }

  // The cheapest path on a level among the cells of a path that is `shift` levels coarser, and those
  // beside them.
  refined(coarse, shift, number, start, end) {
    const level = this.level(number), { width, height } = level;
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
    const [from, to] = [start, end].map((place) => place.map((value) => value >> number));
    return new Search(level, this.table, window, from, allowed).path(to);
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
