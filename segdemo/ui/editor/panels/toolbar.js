// Buttons and sliders around the canvas. A click by mouse gives the focus back to the canvas.
const MOST_BRUSH = 400; // image pixels
const WAIT_PATIENCE = 20000; // milliseconds until waiting can be given up
const ACTIONS = {
  undo: () => takeBack("undo"), redo: () => takeBack("redo"), fit, zoom: zoomToSelection,
  help: () => openHelp(), compare: toggleCompare, shuffle, new: startInstance,
  merge: mergeSelected, delete: removeSelected, subtract: subtractSelected,
  components: () => operateOnSelected("components"), smooth: () => operateOnSelected("smooth"),
  fill_holes: () => operateOnSelected("fill_holes"), grow: () => operateOnSelected("grow"),
  shrink: () => operateOnSelected("shrink"), "start-over": startOver, propose: () => propose(),
  finish: () => finishDraft(false), "take-away": () => finishDraft(true), "step-back": stepBack,
  drop: dropDraft, checked: () => state.picture && setChecked(!state.about.checked),
  "check-next": checkAndTurn, previous: () => turnPicture(-1), next: () => turnPicture(1),
  "add-class": () => addClass(), "find-edges": () => findEdges(), "split-edges": splitByEdges,
  preview: () => preview(), "accept-all": () => acceptAll(), "reject-all": () => rejectAll(),
  "stop-waiting": () => wait(null, "No longer waiting. If an answer still comes, it is shown."),
};

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

function toggleLook(name) {
  state.look[name] = !state.look[name];
  tell("look");
}

function shuffle() {
  state.look.shuffle++;
  tell("colours");
  tell("records", []);
}

// The slider is curved, for a pixel more matters only to a small brush.
const sizeAt = (slider) => Math.round(1 + (MOST_BRUSH - 1) * (slider / 100) ** 2);
const sliderAt = (size) => 100 * Math.sqrt((size - 1) / (MOST_BRUSH - 1));

function setBrushSize(size) {
  state.brush.size = Math.max(1, Math.min(MOST_BRUSH, size));
  tell("tool");
}

function slides(selector, work) {
  find(selector).addEventListener("input", (event) => work(Number(event.target.value)));
}

slides(".size", (value) => setBrushSize(sizeAt(value)));
slides(".opacity", (value) => { state.look.opacity = value; redraw(); });
slides(".wipe-at", (value) => { state.look.wipe = value; redraw(); });
find(".mode").addEventListener("change", (event) => {
  state.brush.mode = event.target.value;
  say(`The brush paints over ${event.target.selectedOptions[0].textContent}.`);
});

follow("tool", () => {
  for (const button of findAll("[data-tool]")) press(button, button.dataset.tool === state.tool);
  const { size } = state.brush;
  if (sizeAt(Number(find(".size").value)) !== size) find(".size").value = sliderAt(size);
  find(".size-said").textContent = size + " px";
  canvas.style.cursor = state.tool === "select" ? "default" : "crosshair";
});

follow("look", () => {
  for (const button of findAll("[data-look]")) press(button, state.look[button.dataset.look]);
  press(find("[data-do=compare]"), state.look.compare);
  find(".wipe").hidden = !state.look.compare;
});

// What is being drawn, and the buttons that end it: for those without a keyboard.
follow("tool parts pixels", () => {
  const { polygon, seeds, line } = drafts, several = state.parts;
  const parts = several ? several.reduce((sum, [, { count }]) => sum + count, 0) : 0;
  find(".draft").hidden = !(several || polygon.length || seeds.length || line.length);
  find(".draft-said").textContent = several ? counted(parts, "part")
    : polygon.length ? counted(polygon.length, "corner")
    : seeds.length ? counted(seeds.length, "seed") : "";
  find("[data-do=finish]").textContent =
    several ? "Apply" : polygon.length ? "Add" : seeds.length ? "Divide" : "Cut";
  find("[data-do=finish]").disabled = Boolean(several && !several.length);
  find("[data-do=take-away]").hidden = !polygon.length || Boolean(several);
  find("[data-do=step-back]").hidden = Boolean(several) || !(polygon.length || seeds.length);
});

follow("saved", () => {
  const badge = find(".badge"), lost = saver.failures > 0 && unsent();
  const words = lost ? "Not saved" + (saver.final ? "" : " - retrying")
    : unsent() ? "Saving" : "Saved";
  const news = badge.textContent !== words;
  if (news) badge.textContent = words;
  badge.className = "badge" + (lost ? " lost" : "");
  badge.title = lost ? sentence(saver.reason) : "";
  if (lost && news) say(notSaved());
});

let patience = 0;
follow("busy", () => {
  const busy = Boolean(state.waiting || state.operating);
  for (const button of findAll("[data-asks]")) button.disabled = busy;
  find(".bench").setAttribute("aria-busy", String(busy));
  find("[data-do=stop-waiting]").hidden = true;
  clearTimeout(patience);
  if (state.waiting) {
    patience = setTimeout(() => (find("[data-do=stop-waiting]").hidden = false), WAIT_PATIENCE);
  }
});

follow("picture", () => {
  find(".bench").hidden = !state.picture;
  find(".welcome").hidden = Boolean(state.picture);
  const last = remembered("localStorage");
  find(".resume").hidden = Boolean(state.picture) || !last;
  if (!state.picture) return;
  fitNew();
  const words = `${state.about.name} with instance masks. Press ? for the keys.`;
  canvas.setAttribute("aria-label", words);
});
find(".resume").addEventListener("click", () => greet("localStorage"));
