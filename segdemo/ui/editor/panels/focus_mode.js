// Focus mode: the canvas takes the window, the panels fold. Both are remembered by the browser.
import { element } from "../view/page.js";
import { find, on, setPressed, setStatus, state } from "../view/state.js";

const KEY = "segdemo-layout";

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) || {};
  } catch {
    return {}; // a private window, or not ours
  }
}

function remember() {
  try {
    localStorage.setItem(KEY, JSON.stringify(state.layout));
  } catch { /* a private window: it lasts as long as the page */ }
}

let covered = []; // what Tab must not reach while it is covered

// Everything beside the editor on the way up to the page, but for Gradio's messages and the link to the
// photo, which lie above the editor.
function cover(covers) {
  for (const other of covered) other.inert = false;
  covered = [];
  if (!covers) return;
  for (let here = element; here && here !== document.body; here = here.parentElement) {
    for (const other of here.parentElement?.children || []) {
      if (other === here || other.inert || /toast|skip-to-photo/.test(other.className)) continue;
      if (["SCRIPT", "STYLE", "LINK"].includes(other.tagName)) continue;
      other.inert = true;
      covered.push(other);
    }
  }
}

function apply() {
  const { panels } = state.layout, active = state.layout.focusMode && Boolean(state.image);
  find(".mask-editor").classList.toggle("focus-mode", active);
  find(".bench").classList.toggle("with-panels", panels);
  find("[data-do=panels]").hidden = !active;
  setPressed(find("[data-do=focus-mode]"), active);
  setPressed(find("[data-do=panels]"), panels);
  cover(active);
}

export function toggleFocusMode() {
  state.layout.focusMode = !state.layout.focusMode;
  remember();
  apply();
  setStatus(state.layout.focusMode ? "The canvas has the window: W brings the page back, Y the panels."
    : "The page is back.");
}

export function togglePanels() {
  if (!state.layout.focusMode) return setStatus("Panels fold in focus mode (W).");
  state.layout.panels = !state.layout.panels;
  remember();
  apply();
}

export function start() {
  const { focusMode = false, panels = false } = remembered();
  state.layout = { focusMode: Boolean(focusMode), panels: Boolean(panels) };
  let open = false;
  on("image", () => {
    apply();
    if (state.image && !open) find(".bench").scrollIntoView({ block: "start" });
    open = Boolean(state.image);
  });
}
