// The dialog of keys.
const HELP = [
  ["V", "select; Shift adds"], ["B / E", "brush / erase"], ["[ ]", "brush size"],
  ["P", "polygon: Enter adds, Shift+Enter takes away, Backspace one corner back"],
  ["L", "split by a drawn line"], ["X", "split along edges; again to apply"],
  ["G", "seeds: one stroke in each object, Enter divides"], ["M", "merge the selected"],
  ["N / Del", "new instance / delete"], ["C / H / S", "separate pieces / fill holes / smooth"],
  ["+ / -", "grow / shrink"], ["R, 1 to 9", "choose a class"],
  ["J / K", "next / previous instance"], ["A / D", "previous / next picture"],
  ["Ctrl+Enter", "checked, next picture"], ["Z / F", "zoom to selection / whole picture"],
  ["Space + drag", "move the picture; also middle button, or two fingers"],
  ["Wheel, pinch", "zoom"], ["Arrows", "move the picture"],
  ["Shift + arrows", "move a drawing cursor; Enter or . presses the tool there"],
  ["hold Q or `", "photo without masks (Tab stays free to leave the picture)"],
  ["O", "outlines only"], ["Ctrl+Z / Ctrl+Y", "undo / redo"], ["Ctrl+S", "save now"],
  ["Esc", "drop what is being drawn; then the selection"],
];

find(".help dl").append(...HELP.flatMap(([keys, words]) =>
  [make("dt", {}, ...keys.split(", ").flatMap((one, i) => [i ? ", " : "", make("kbd", {}, one)])),
    make("dd", {}, words)]));

function openHelp() {
  find(".help").showModal();
}

find(".help-close").addEventListener("click", () => find(".help").close());
find(".help").addEventListener("close", () => canvas.focus({ preventScroll: true }));
