// The dialog of keys, by what one wants to do.
import { find, make } from "../view/state.js";
import { canvas } from "../view/viewport.js";

const HELP = {
  "Make masks": [
    ["I", "box/click: drag a box or click, Shift-click what is too much, Enter takes it"],
    ["T", "lasso: click along an outline and it snaps to edges; Alt or dragging draws freely"],
    ["P", "polygon; in both, the first corner closes, corners can be dragged"],
    ["Shift+Enter", "take the outline away from the selected instance"],
    ["G", "seeds: a stroke in each object, Enter divides the selected, or makes new ones (Shift: background)"],
    ["U", "fill what edges enclose by a click"],
    ["B / E, [ ]", "brush / erase, brush size"], ["N", "new instance"],
    ["Ctrl+C / Ctrl+V", "copy masks, also from the photo shown before"],
  ],
  "Correct them": [
    ["V", "select; Shift adds, Ctrl+A all"], ["L", "split by a drawn line"],
    ["X", "split along edges; again to apply"], ["M / C", "merge / separate pieces"],
    ["H / S", "fill holes / smooth"], ["> / <", "grow / shrink"],
    ["R, 1 to 9", "choose a class, also for the next mask"], ["Del", "delete"],
    ["Ctrl+Z / Ctrl+Y", "undo / redo"], ["Backspace", "one corner, click or seed back"],
    ["Esc", "drop what is being drawn; then the selection"],
  ],
  "Decide on proposals": [
    ["A / R", "accept / reject, while proposals wait"], ["Arrows", "the next or the one before"],
    ["Esc", "back to editing"],
  ],
  "Look and go on": [
    ["W / Y", "focus mode / its panels"], ["Z / F", "zoom to selection / whole photo"],
    ["Wheel, pinch, + / -", "zoom"],
    ["Space + drag, arrows", "move the photo; also middle button, or two fingers"],
    ["O", "outlines only"], ["hold Q or `", "photo without masks"],
    ["J / K", "next / previous instance"], ["A / D", "previous / next photo"],
    ["Ctrl+Enter", "checked, next photo"], ["Ctrl+S", "save now"],
    ["Shift + arrows", "move a drawing cursor; Enter or . presses the tool there"],
    ["?", "this help"],
  ],
};

export function openHelp() {
  find(".help").showModal();
}

function term(keys) {
  const signs = keys.split(", ").flatMap((one, i) => [i ? ", " : "", make("kbd", {}, one)]);
  return make("dt", {}, ...signs);
}

export function start() {
  find(".help-groups").append(...Object.entries(HELP).map(([title, keys]) =>
    make("section", {}, make("h2", {}, title), make("dl", {}, ...keys.flatMap(([sign, words]) =>
      [term(sign), make("dd", {}, words)])))));
  find(".help-close").addEventListener("click", () => find(".help").close());
  find(".help").addEventListener("close", () => canvas.focus({ preventScroll: true }));
}
