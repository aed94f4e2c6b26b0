// The dialog of keys.
import { find, make } from "../view/state.js";
import { canvas } from "../view/viewport.js";

const HELP = [
  ["V", "select; Shift adds"], ["B / E", "brush / erase"], ["[ ]", "brush size"],
  ["I", "box/click: drag a box or click; Shift-click takes away, Enter takes the mask"],
  ["P", "polygon: Enter adds, Shift+Enter takes away, Backspace one corner back"],
  ["L", "split by a drawn line"], ["X", "split along edges; again to apply"],
  ["G", "seeds: one stroke in each object, Enter divides the selected"], ["M", "merge the selected"],
  ["N / Del, Backspace", "new instance / delete"], ["Ctrl+A", "select all instances"], ["C / H / S", "separate pieces / fill holes / smooth"],
  ["> / <", "grow / shrink"], ["R, 1 to 9", "choose a class"],
  ["J / K", "next / previous instance"], ["A / D", "previous / next photo"],
  ["Ctrl+Enter", "checked, next photo"], ["Z / F", "zoom to selection / whole photo"],
  ["Space + drag", "move the photo; also middle button, or two fingers"],
  ["Wheel, pinch, + / -", "zoom"], ["Arrows", "move the photo"],
  ["Shift + arrows", "move a drawing cursor; Enter or . presses the tool there"],
  ["hold Q or `", "photo without masks (Tab stays free to leave the photo)"],
  ["O", "outlines only"], ["Ctrl+Z / Ctrl+Y", "undo / redo"], ["Ctrl+S", "save now"],
  ["Esc", "drop what is being drawn; then the selection"],
];

export function openHelp() {
  find(".help").showModal();
}

export function start() {
  find(".help dl").append(...HELP.flatMap(([keys, words]) =>
    [make("dt", {}, ...keys.split(", ").flatMap((one, i) => [i ? ", " : "", make("kbd", {}, one)])),
      make("dd", {}, words)]));

  find(".help-close").addEventListener("click", () => find(".help").close());
  find(".help").addEventListener("close", () => canvas.focus({ preventScroll: true }));
}
