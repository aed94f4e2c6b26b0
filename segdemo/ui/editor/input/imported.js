// The masks as they came: to go back to, and to compare with.
import { changed, ready } from "./actions.js";
import { fetchLabels } from "../sync/payloads.js";
import { paintStart, wholeBox } from "../view/layers.js";
import { emit, select, setStatus, state } from "../view/state.js";

export async function startOver() {
  if (!ready() || !(await loadStart()) || !ready()) return;
  const { map } = state.image;
  const step = state.image.change("Start over", () => map.writeBox(wholeBox(), state.start));
  if (!changed(step)) return setStatus("These are the masks as they came.");
  select([], true);
  setStatus("The masks are as they came. Undo brings your work back.");
}

async function loadStart() {
  const { image } = state;
  if (!state.start) {
    setStatus("Loading the masks as they came ...");
    const start = await fetchLabels(state.about.start).catch(() => null);
    if (image !== state.image) return false;
    if (!start) return setStatus("The masks as they came could not be loaded."), false;
    state.start = start;
    paintStart();
  }
  return true;
}

export async function toggleCompare() {
  if (!state.image) return;
  const on = !state.look.compare;
  if (on && !(await loadStart())) return;
  state.look.compare = on;
  emit("look");
  setStatus(on ? "Left of the line: the masks as they came. Right: as they are now." : "");
}
