// What is said of pixels that were painted, or were not.
import { nameOf, state } from "../view/state.js";

const UNCHANGED = "Nothing changed: these pixels are its own, or the mode or a lock keeps them.";
const KEPT = 'Nothing changed: the brush paints on background. Choose "over all" to take pixels '
  + "from other instances.";

export const unchanged = (erase) =>
  (!erase && state.brush.mode === "background" ? KEPT : UNCHANGED);

// Says what other instances have lost to the one that was painted.
export function takenFrom({ taken }) {
  const others = [...taken].sort(([, one], [, other]) => other - one);
  if (!others.length) return "";
  const named = others.slice(0, 3).map(([id, lost]) =>
    `${lost.toLocaleString("en")} from ${nameOf(id)}`);
  const rest = others.length > 3 ? ` and ${others.length - 3} more` : "";
  return ` Taken: ${named.join(", ")}${rest}.`;
}
