// Where edges come from, how they look, and at which strength they cut.
import { moveThreshold } from "../input/splits.js";
import { slides } from "./toolbar.js";
import { ask } from "../sync/messages.js";
import { redraw } from "../view/drawing.js";
import { props } from "../view/page.js";
import { emit, find, findAll, make, on, setPressed, state } from "../view/state.js";

export function findEdges() {
  const [source] = find(".source").selectedOptions;
  return ask("edges", { source: source.value }, `Looking for ${source.textContent} ...`);
}

export function toggleEdges(name) {
  state.edgeLook[name] = !state.edgeLook[name];
  emit("edges");
}

let moving = 0; // the threshold is followed once a frame

export function start() {
  find(".source").append(...props.sources.map(([value, label]) => make("option", { value }, label)));
  const sayInFull = () => {
    find(".source-said").textContent = find(".source").selectedOptions[0]?.textContent ?? "";
  };
  find(".source").addEventListener("change", sayInFull);
  sayInFull(); // the list is too narrow for it
  slides(".threshold", (value) => {
    find(".threshold-said").textContent = (value / 255).toFixed(2);
    cancelAnimationFrame(moving);
    moving = requestAnimationFrame(() => moveThreshold(value));
  });
  slides(".edge-opacity", (value) => { state.edgeLook.opacity = value; redraw(); });
  find(".edge-colour").addEventListener("change", (event) => {
    state.edgeLook.colour = event.target.value;
    emit("edges");
  });

  on("edges", () => {
    const { edges, edgeLook } = state;
    find(".with-edges").hidden = !edges;
    find(".no-edges").hidden = Boolean(edges);
    find(".edges-said").textContent = edges ? `(${edges.label})` : "";
    for (const button of findAll("[data-edges]")) setPressed(button, edgeLook[button.dataset.edges]);
    find(".threshold").value = edgeLook.threshold;
    find(".threshold-said").textContent = (edgeLook.threshold / 255).toFixed(2);
    find(".edge-opacity").value = edgeLook.opacity;
    find(".edge-colour").value = edgeLook.colour;
  });
}
