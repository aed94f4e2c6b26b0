// Splits of an instance: by a barrier (a line, edges) or into its pieces. The largest part keeps the
// id; parts that are too small, and the barrier itself, go to the nearest part.
export const SMALLEST_PART = 16; // pixels
const SMALLEST_EDGE_PART = 2e-5; // share of the image: the larger it is, the more noise edges have
const UNDECIDED = 65535;
const QUEUED = UNDECIDED - 1;

export const smallestEdgePart = (width, height) =>
  Math.max(SMALLEST_PART, Math.round(width * height * SMALLEST_EDGE_PART));

// Marks an 8-connected line through the points; 4-connected parts cannot leak through it.
export function lineBarrier(points, [left, top, right, bottom]) {
  const across = right - left, down = bottom - top, barrier = new Uint8Array(across * down);
  const mark = (x, y) => {
    if (x >= left && y >= top && x < right && y < bottom) barrier[(y - top) * across + x - left] = 1;
  };
  points.forEach((point, i) => {
    let [x, y] = (points[i - 1] || point).map(Math.floor);
    const [endX, endY] = point.map(Math.floor);
    const dx = Math.abs(endX - x), dy = -Math.abs(endY - y);
    const stepX = x < endX ? 1 : -1, stepY = y < endY ? 1 : -1;
    for (let error = dx + dy; ; ) {
      mark(x, y);
      if (x === endX && y === endY) break;
      const twice = 2 * error;
      if (twice >= dy) { error += dy; x += stepX; }
      if (twice <= dx) { error += dx; y += stepY; }
    }
  });
  return barrier;
}

// edges: Uint8Array of the whole photo, 255 = surely an edge.
export function edgeBarrier(edges, width, threshold, [left, top, right, bottom]) {
  const across = right - left, barrier = new Uint8Array(across * (bottom - top));
  for (let y = top, q = 0; y < bottom; y++) {
    for (let p = y * width + left, end = p + across; p < end; p++, q++) {
      if (edges[p] >= threshold) barrier[q] = 1;
    }
  }
  return barrier;
}

// Finds the 4-connected components of an id's pixels in its box, without barriers if any are given.
// Returns runs as three lists (row, from, to), the component of each run, and the areas.
function components(map, id, [left, top, right, bottom], barrier) {
  const rows = [], froms = [], tos = [], parents = [];
  const root = (run) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]];
    return run;
  };
  let above = 0, start = 0; // where the runs of the last row and of this one begin
  for (let y = top, q = 0; y < bottom; y++, above = start, start = rows.length) {
    let from = -1;
    const shift = y * map.width;
    for (let x = left; x <= right; x++) {
      const inside = x < right && map.labels[shift + x] === id && !(barrier && barrier[q]);
      if (x < right) q++;
      if (inside && from < 0) from = x;
      if (inside || from < 0) continue;
      rows.push(y);
      froms.push(from);
      tos.push(x);
      parents.push(parents.length);
      from = -1;
    }
    for (let run = start, over = above; run < rows.length && over < start; ) {
      if (froms[run] < tos[over] && froms[over] < tos[run]) {
        const one = root(run), other = root(over);
        parents[Math.max(one, other)] = Math.min(one, other);
      }
      if (tos[run] < tos[over]) run++;
      else over++;
    }
  }
  return numbered({ rows, froms, tos }, parents, root);
}

function numbered(runs, parents, root) {
  const of = new Int32Array(parents.length), areas = [];
  for (let run = 0; run < of.length; run++) { // a root comes before the runs that hang on it
    const first = root(run);
    if (first === run) of[run] = areas.push(0) - 1;
    else of[run] = of[first];
    areas[of[run]] += runs.tos[run] - runs.froms[run];
  }
  return { ...runs, of, areas };
}

// For every piece, the component of the uncut instance that it lies in. Both go row by row.
function wholesOf(pieces, whole) {
  const wholes = new Int32Array(pieces.areas.length);
  for (let run = 0, over = 0; run < pieces.of.length; run++) {
    while (whole.rows[over] < pieces.rows[run] || whole.tos[over] < pieces.tos[run]) over++;
    wholes[pieces.of[run]] = whole.of[over];
  }
  return wholes;
}

// Numbers the pieces: 0 = none of its own, 1 = stays with the instance, 2, 3, ... = becomes new.
function partNumbers(pieces, wholes, smallest) {
  const numbers = new Int32Array(pieces.areas.length), families = new Map();
  const large = [...pieces.areas.keys()].filter((piece) => pieces.areas[piece] >= smallest);
  large.sort((one, other) => pieces.areas[other] - pieces.areas[one] || one - other);
  for (const piece of large) {
    if (!families.has(wholes[piece])) families.set(wholes[piece], []);
    families.get(wholes[piece]).push(piece);
  }
  let count = 1;
  for (const family of families.values()) {
    family.forEach((piece, place) => (numbers[piece] = place ? ++count : 1));
  }
  return { numbers, count };
}

// Gives undecided pixels to the nearest part, step by step; the lowest number wins a tie.
function spread(grid, across) {
  const least = (p) => {
    let best = QUEUED;
    const look = (n) => {
      if (grid[n] > 0 && grid[n] < best) best = grid[n];
    };
    if (p % across) look(p - 1);
    if ((p + 1) % across) look(p + 1);
    look(p - across);
    look(p + across);
    return best;
  };
  let front = [];
  for (let p = 0; p < grid.length; p++) {
    if (grid[p] === UNDECIDED && least(p) < QUEUED) front.push(p);
  }
  while (front.length) {
    const given = front.map(least), next = [];
    front.forEach((p, i) => (grid[p] = given[i]));
    const reach = (n) => {
      if (grid[n] !== UNDECIDED) return;
      grid[n] = QUEUED;
      next.push(n);
    };
    for (const p of front) {
      if (p % across) reach(p - 1);
      if ((p + 1) % across) reach(p + 1);
      reach(p - across);
      reach(p + across);
    }
    front = next;
  }
}

const emptyGrid = ([left, top, right, bottom]) => new Uint16Array((right - left) * (bottom - top));

// Calls work(run, from, to) with the place of each run in the grid of a box.
function eachRun(runs, [left, top, right], work) {
  for (let run = 0; run < runs.of.length; run++) {
    const start = (runs.rows[run] - top) * (right - left) - left;
    work(run, start + runs.froms[run], start + runs.tos[run]);
  }
}

// Cuts an instance by a barrier. Returns {box, grid, count, tiny}: the part of every pixel of the
// box, 0 outside the instance and 1 for what keeps its id; how many parts that makes, and how many
// pieces of fewer than `smallest` pixels were cut off but stay with a neighbour. A count of 1 means
// that nothing was separated; there is no grid then.
export function partsOf(map, id, box, barrier, smallest = SMALLEST_PART) {
  const whole = components(map, id, box), pieces = components(map, id, box, barrier);
  const wholes = wholesOf(pieces, whole);
  const { numbers, count } = partNumbers(pieces, wholes, smallest);
  const tiny = pieces.areas.filter((area, piece) =>
    area < smallest && area < whole.areas[wholes[piece]]).length;
  if (count < 2 || count >= QUEUED) return { box, grid: null, count: 1, tiny };
  const grid = emptyGrid(box);
  eachRun(whole, box, (_, from, to) => grid.fill(UNDECIDED, from, to));
  eachRun(pieces, box, (run, from, to) => grid.fill(numbers[pieces.of[run]] || UNDECIDED, from, to));
  spread(grid, box[2] - box[0]);
  for (let p = 0; p < grid.length; p++) if (grid[p] === UNDECIDED) grid[p] = 1;
  return { box, grid, count, tiny };
}

// Separates the pieces of an instance that do not touch; the same result as `partsOf`.
export function piecesOf(map, id, box, smallest = SMALLEST_PART) {
  const pieces = components(map, id, box), together = new Int32Array(pieces.areas.length);
  const { numbers, count } = partNumbers(pieces, together, smallest);
  const tiny = pieces.areas.length > 1 ? pieces.areas.filter((area) => area < smallest).length : 0;
  if (count < 2 || count >= QUEUED) return { box, grid: null, count: 1, tiny };
  const nearest = emptyGrid(box).fill(UNDECIDED), grid = emptyGrid(box);
  eachRun(pieces, box,
    (run, from, to) => nearest.fill(numbers[pieces.of[run]] || UNDECIDED, from, to));
  spread(nearest, box[2] - box[0]); // small pieces are reached across the background
  eachRun(pieces, box, (_, from, to) => grid.set(nearest.subarray(from, to), from));
  return { box, grid, count, tiny };
}
