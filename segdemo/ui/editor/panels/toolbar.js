// Buttons and sliders around the canvas. A click by mouse gives the focus back to the canvas.
import {
  checkAndStep, mergeSelected, operateOnSelected, removeSelected, setChecked, startInstance,
  subtractSelected, stepHistory, stepImage,
} from "../input/actions.js";
import { copySelected, pasteFromLast } from "../input/copying.js";
import { startOver, toggleCompare } from "../input/imported.js";
import { separatePieces, splitByEdges } from "../input/splits.js";
import { dropDraft, finishDraft, setTool, stepBack } from "../input/tools.js";
import { findEdges, toggleEdges } from "./edges.js";
import { toggleFocusMode, togglePanels } from "./focus_mode.js";
import { openHelp } from "./help.js";
import { addClass } from "./classes.js";
import { propose, selectListed } from "./instances.js";
import { resetLook, toggleByClass } from "./look.js";
import { acceptAll, preview, rejectAll } from "./proposals.js";
import { acceptCurrent, rejectCurrent, stepProposal } from "./review.js";
import { greet, remembered, wait } from "../sync/messages.js";
import { notSaved, saver, sentence, unsent } from "../sync/saving.js";
import { drafts, redraw } from "../view/drawing.js";
import { element } from "../view/page.js";
import { counted, emit, find, findAll, on, selected, setPressed, setStatus, state } from "../view/state.js";
import { canvas, fit, fitNew, zoomToSelection } from "../view/viewport.js";

const MOST_BRUSH = 400; // image pixels
const WAIT_PATIENCE = 20000; // milliseconds until waiting can be given up
const ACTIONS = {
  undo: () => stepHistory("undo"), redo: () => stepHistory("redo"), fit, zoom: zoomToSelection,
  help: () => openHelp(), compare: toggleCompare, shuffle, new: startInstance,
  merge: mergeSelected, delete: removeSelected, subtract: subtractSelected,
  components: separatePieces, smooth: () => operateOnSelected("smooth"),
  fill_holes: () => operateOnSelected("fill_holes"), grow: () => operateOnSelected("grow"),
  shrink: () => operateOnSelected("shrink"), "start-over": startOver, propose: () => propose(),
  finish: () => finishDraft(false), "take-away": () => finishDraft(true), "step-back": stepBack,
  drop: dropDraft, checked: () => state.image && setChecked(!state.about.checked),
  "check-next": checkAndStep, previous: () => stepImage(-1), next: () => stepImage(1),
  "add-class": () => addClass(), "find-edges": () => findEdges(), "split-edges": splitByEdges,
  preview: () => preview(), "accept-all": () => acceptAll(), "reject-all": () => rejectAll(),
  accept: () => acceptCurrent(), reject: () => rejectCurrent(),
  "proposal-before": () => stepProposal(-1), "proposal-after": () => stepProposal(1),
  "select-listed": () => selectListed(), "by-class": () => toggleByClass(),
  "reset-look": () => resetLook(), copy: copySelected, "from-last": pasteFromLast,
  "focus-mode": toggleFocusMode, panels: togglePanels,
  "stop-waiting": () => wait(null, "No longer waiting. If an answer still comes, it is shown."),
};

export function toggleLook(name) {
  state.look[name] = !state.look[name];
  emit("look");
}

function shuffle() {
  state.look.shuffle++;
  emit("colours");
  emit("records", []);
}

// The slider is curved, for a pixel more matters only to a small brush.
const sizeAt = (slider) => Math.round(1 + (MOST_BRUSH - 1) * (slider / 100) ** 2);
const sliderAt = (size) => 100 * Math.sqrt((size - 1) / (MOST_BRUSH - 1));

export function setBrushSize(size) {
  state.brush.size = Math.max(1, Math.min(MOST_BRUSH, size));
  emit("tool");
}

export function slides(selector, work) {
  find(selector).addEventListener("input", (event) => work(Number(event.target.value)));
}

let patience = 0;

export function start() {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || button.disabled) return;
    const { tool, look, edges, do: action } = button.dataset;
    if (tool) setTool(tool);
    else if (look) toggleLook(look);
    else if (edges) toggleEdges(edges);
    else if (action) ACTIONS[action]();
    else return;
    // detail counts clicks of a pointer; it is 0 for Enter and Space, whose focus stays
    const leaves = ["help", "add-class"].includes(action);
    if (event.detail && !leaves && button.closest(".stage")) canvas.focus({ preventScroll: true });
  });

  slides(".size", (value) => setBrushSize(sizeAt(value)));
  slides(".opacity", (value) => { state.look.opacity = value; redraw(); });
  slides(".wipe-at", (value) => { state.look.wipe = value; redraw(); });
  find(".mode").value = state.brush.mode;
  find(".mode").addEventListener("change", (event) => {
    state.brush.mode = event.target.value;
    setStatus(`What the brush paints over: ${event.target.selectedOptions[0].textContent}.`);
  });

  on("tool", () => {
    for (const button of findAll("[data-tool]")) setPressed(button, button.dataset.tool === state.tool);
    const { size } = state.brush;
    if (sizeAt(Number(find(".size").value)) !== size) find(".size").value = sliderAt(size);
    find(".size-said").textContent = size + " px";
    canvas.style.cursor = state.tool === "select" ? "default" : "crosshair";
  });

  on("look", () => {
    for (const button of findAll("[data-look]")) setPressed(button, state.look[button.dataset.look]);
    setPressed(find("[data-do=compare]"), state.look.compare);
    find(".wipe").hidden = !state.look.compare;
  });

  // What is being drawn, and the buttons that end it: for those without a keyboard.
  on("tool parts pixels", () => {
    const { outline, seeds, line, prompt } = drafts, several = state.parts;
    const parts = several ? several.reduce((sum, [, { count }]) => sum + count, 0) : 0;
    find(".draft").hidden = !(several || outline || seeds.length || line.length || prompt);
    find(".draft-said").textContent = several ? counted(parts, "part")
      : outline ? counted(outline.nodes.length, "corner")
      : seeds.length ? counted(seeds.length, "seed")
      : prompt ? [prompt.box && "box", prompt.clicks.length && counted(prompt.clicks.length, "click")]
        .filter(Boolean).join(", ") : "";
    find("[data-do=finish]").textContent =
      several ? "Apply" : outline ? "Add" : seeds.length ? (selected().length ? "Divide" : "Make")
        : prompt ? "Take" : "Cut";
    find("[data-do=finish]").disabled =
      Boolean(several ? !several.length : prompt && prompt.score === null);
    find("[data-do=take-away]").hidden = !outline || Boolean(several);
    find("[data-do=step-back]").hidden = Boolean(several)
      || !(outline || seeds.length || prompt);
  });

  on("saved", () => {
    const badge = find(".badge"), lost = saver.failures > 0 && unsent();
    const words = lost ? "Not saved" + (saver.final ? "" : " - retrying")
      : unsent() ? "Saving" : "Saved";
    const news = badge.textContent !== words, recovered = badge.classList.contains("lost") && !unsent();
    if (news) badge.textContent = words;
    badge.className = "badge" + (lost ? " lost" : "");
    badge.title = lost ? sentence(saver.reason) : "";
    if (lost && news) setStatus(notSaved());
    else if (recovered && state.image) setStatus("All changes are saved.");
  });
  on("busy", () => {
    const busy = Boolean(state.waiting || state.operating);
    for (const button of findAll("[data-asks]")) button.disabled = busy;
    find(".bench").setAttribute("aria-busy", String(busy));
    find("[data-do=stop-waiting]").hidden = true;
    clearTimeout(patience);
    if (state.waiting) {
      patience = setTimeout(() => (find("[data-do=stop-waiting]").hidden = false), WAIT_PATIENCE);
    }
  });

  on("image", () => {
    find(".bench").hidden = !state.image;
    find(".welcome").hidden = Boolean(state.image);
    const last = remembered("localStorage");
    find(".resume").hidden = Boolean(state.image) || !last;
    if (!state.image) return;
    fitNew();
    const words = `${state.about.name} with instance masks. Press ? for the keys.`;
    canvas.setAttribute("aria-label", words);
  });
  find(".resume").addEventListener("click", () => greet("localStorage"));
}
