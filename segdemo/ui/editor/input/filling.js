// Fill: a click fills what the edges enclose.
import { cellAt } from "../core/filling.js";
import { paintMask } from "../core/painting.js";
import { changed, ready } from "./actions.js";
import { takenFrom, unchanged } from "./painted.js";
import { paintTarget, release } from "./targets.js";
import { nameOf, setStatus, state } from "../view/state.js";

const LARGEST = 0.5; // share of the image: what is larger is not enclosed
const WHY = {
  edge: "This place lies on an edge: click beside it, or raise the threshold.",
  open: "The edges around this place are not closed at this threshold: lower it, or draw (T, B).",
  kept: 'This place is another instance\'s: choose "over all" to take it.',
};

export function fillCell(point) {
  if (!ready()) return;
  const { map } = state.image;
  if (!state.edges) return setStatus("Fill needs edges: find some under Edges first.");
  const [x, y] = point.map(Math.floor);
  if (x < 0 || y < 0 || x >= map.width || y >= map.height) return;
  const target = paintTarget("click in a cell");
  if (!target) return;
  const { id, fresh, may } = target, most = LARGEST * map.labels.length;
  const within = may.slice();
  within[id] = 1; // what is its own already does not end the cell
  const cell = cellAt(map, state.edges.values, state.edgeLook.threshold, [x, y], within, most);
  if (cell.reason) {
    if (fresh) state.image.dropId(id);
    return setStatus(WHY[cell.reason]);
  }
  const step = state.image.change("Fill", () => paintMask(map, cell.box, cell.values, id, may));
  if (!changed(step)) return setStatus(unchanged(false));
  release(target);
  const area = map.areas[id].toLocaleString("en");
  setStatus(`${nameOf(id)}${fresh ? " is new" : ""}: ${area} pixels.${takenFrom(step)}`);
}
