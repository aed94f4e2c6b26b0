// A cell: what edges enclose around a place, together with half of the edges themselves.
const FURTHEST = 4; // pixels that a cell grows into its edges

// The pixels reached from a place without crossing edges of `threshold` or more, as {box, values}
// (0 or 1 a pixel), or a reason: "edge" where the place lies on one, "open" where more than `most`
// pixels are reached. `may`: 1 for ids that may be filled.
export function cellAt(map, edges, threshold, [x, y], may, most) {
  const { width, height, labels } = map, start = Math.floor(y) * width + Math.floor(x);
  if (!may[labels[start]]) return { reason: "kept" };
  if (edges[start] >= threshold) return { reason: "edge" };
  const seen = new Uint8Array(labels.length), rows = [start];
  const free = (p) => !seen[p] && edges[p] < threshold && may[labels[p]];
  let count = 0;
  const box = [width, height, 0, 0];
  while (rows.length) { // each entry fills its whole row, and finds rows above and below
    const p = rows.pop();
    if (!free(p)) continue;
    const row = Math.floor(p / width), first = row * width, last = first + width;
    let from = p, to = p + 1;
    while (from > first && free(from - 1)) from--;
    while (to < last && free(to)) to++;
    seen.fill(1, from, to);
    count += to - from;
    if (count > most) return { reason: "open" };
    grow(box, from - first, row, to - first);
    for (const [beside, inside] of [[-width, row > 0], [width, row < height - 1]]) {
      if (!inside) continue;
      for (let q = from; q < to; q++) {
        if (free(q + beside) && (q === from || !free(q + beside - 1))) rows.push(q + beside);
      }
    }
  }
  return thickened(map, seen, edges, threshold, may, box);
}

function grow(box, left, row, right) {
  if (left < box[0]) box[0] = left;
  if (row < box[1]) box[1] = row;
  if (right > box[2]) box[2] = right;
  if (row >= box[3]) box[3] = row + 1;
}

// Grows into the edges around as long as these get stronger: up to the middle of each.
function thickened({ width, height, labels }, seen, edges, threshold, may, tight) {
  const box = [Math.max(0, tight[0] - FURTHEST), Math.max(0, tight[1] - FURTHEST),
    Math.min(width, tight[2] + FURTHEST), Math.min(height, tight[3] + FURTHEST)];
  for (let step = 1; step <= FURTHEST; step++) {
    for (let y = box[1]; y < box[3]; y++) {
      for (let p = y * width + box[0], end = y * width + box[2]; p < end; p++) {
        if (seen[p] || edges[p] < threshold || !may[labels[p]]) continue;
        const x = p - y * width;
        const from = (q, inside) => inside && seen[q] && seen[q] <= step
          && (seen[q] === 1 || edges[q] < edges[p]);
        if (from(p - 1, x > 0) || from(p + 1, x < width - 1) || from(p - width, y > 0)
          || from(p + width, y < height - 1)) seen[p] = step + 1;
      }
    }
  }
  const across = box[2] - box[0], values = new Uint8Array(across * (box[3] - box[1]));
  for (let y = box[1], q = 0; y < box[3]; y++) {
    for (let x = box[0]; x < box[2]; x++, q++) values[q] = Number(seen[y * width + x] > 0);
  }
  return { box, values };
}
