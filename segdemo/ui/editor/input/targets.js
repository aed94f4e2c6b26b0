// Which instance a tool paints: the selected one, else a new one of the current class.
import { brushRules } from "../core/painting.js";
import { select, selected, setStatus, state, unlockedSelection } from "../view/state.js";

// A new instance of the current class, or 0 where all numbers are in use.
export function newInstance() {
  const { image } = state;
  try {
    const id = image.newId();
    image.record(id).class = state.currentClass;
    return id;
  } catch (problem) {
    setStatus(problem.message);
    return 0;
  }
}

// Returns {id, fresh, may: table of the ids that may be painted over}, or null and says why.
export function paintTarget(action) {
  const fresh = !selected().length;
  const id = fresh ? newInstance() : unlockedSelection(action)[0];
  if (!id) return null;
  const mode = fresh && state.brush.mode === "inside" ? "background" : state.brush.mode;
  return { id, fresh, may: brushRules(mode, selected(), state.image.locked) };
}

// The tool stays ready for the next one.
export function release({ fresh }) {
  if (fresh) select([], true);
}
