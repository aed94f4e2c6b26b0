// How the photo and its masks look: brightness, contrast, opacity of one mask, colours by class.
import { adjustPhoto } from "../view/layers.js";
import { redraw } from "../view/drawing.js";
import { emit, find, on, selected, setPressed, setStatus, state } from "../view/state.js";
import { slides } from "./toolbar.js";

let frame = 0; // sliders are followed once a frame

function soon(work) {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => { work(); redraw(); });
}

function adjust(name, value) {
  state.look[name] = value;
  soon(adjustPhoto);
}

export function toggleByClass() {
  state.look.byClass = !state.look.byClass;
  setPressed(find("[data-do=by-class]"), state.look.byClass);
  emit("colours");
  emit("records", []);
}

export function resetLook() {
  Object.assign(state.look, { brightness: 1, contrast: 1, opacity: 0.55 });
  state.opacities.clear();
  showValues();
  adjustPhoto();
  emit("colours");
  setStatus("The view is as at first.");
}

function showValues() {
  for (const name of ["brightness", "contrast", "opacity"]) find("." + name).value = state.look[name];
  const [first] = selected();
  find(".one-opacity").disabled = !first;
  find(".one-opacity").value = state.opacities.get(first) ?? 1;
}

export function start() {
  slides(".brightness", (value) => adjust("brightness", value));
  slides(".contrast", (value) => adjust("contrast", value));
  slides(".one-opacity", (value) => {
    for (const id of selected()) state.opacities.set(id, value);
    soon(() => emit("colours"));
  });
  on("selection", showValues);
  on("image", () => {
    state.opacities.clear();
    showValues();
  });
}
