// Reach by keyboard: a link at the top of the page that leads to the photo, and groups of buttons
// that are one stop for Tab, with arrows inside (roving tabindex).
import { findAll, make, on, state } from "../view/state.js";
import { canvas } from "../view/viewport.js";

const GROUPS = ".tools, .settings, .acts, .pictures, .instances, .proposals";
const WAYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

const buttonsOf = (group) => [...group.querySelectorAll("button")].filter((button) =>
  !button.disabled && button.offsetParent);

// Keeps the stop that there is; else the button that is pressed or open, else the first.
function oneStop(group) {
  const buttons = buttonsOf(group);
  const stop = buttons.find((button) => button === document.activeElement)
    || buttons.find((button) => button.tabIndex === 0 && button.dataset.stop)
    || buttons.find((button) => button.matches("[aria-pressed=true], [aria-current]")) || buttons[0];
  for (const button of group.querySelectorAll("button")) {
    button.tabIndex = button === stop ? 0 : -1;
    if (button === stop) button.dataset.stop = "";
    else delete button.dataset.stop;
  }
}

// In a list, up and down go to the same button of the next row.
function next(group, from, key) {
  const buttons = buttonsOf(group), place = buttons.indexOf(from);
  if (key === "Home") return buttons[0];
  if (key === "End") return buttons.at(-1);
  const row = from.closest("li"), vertical = key === "ArrowUp" || key === "ArrowDown";
  if (!row || !vertical) return buttons[place + WAYS[key]];
  const column = buttonsOf(row).indexOf(from);
  const other = key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
  const beside = other ? buttonsOf(other) : [];
  return beside[Math.min(column, beside.length - 1)];
}

function rove(group) {
  group.addEventListener("focusin", () => oneStop(group));
  group.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (target.tagName !== "BUTTON" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!(key in WAYS) && key !== "Home" && key !== "End") return;
    if (event.defaultPrevented) return;
    event.preventDefault();
    next(group, target, key)?.focus();
  });
  const changes = { childList: true, subtree: true, attributeFilter: ["hidden", "disabled"] };
  new MutationObserver(() => oneStop(group)).observe(group, changes);
  oneStop(group);
}

export function start() {
  document.querySelector(".skip-to-photo")?.remove();
  const skip = make("a", { className: "skip-to-photo", href: "#mask-editor" }, "Skip to the photo");
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    canvas.scrollIntoView({ block: "nearest" });
    canvas.focus();
  });
  document.body.prepend(skip);
  const shown = () => { skip.hidden = !state.image || !canvas.offsetParent; };
  new ResizeObserver(shown).observe(canvas);
  on("image", () => {
    shown();
    for (const group of findAll(GROUPS)) oneStop(group);
  });
  shown();
  for (const group of findAll(GROUPS)) rove(group);
}
