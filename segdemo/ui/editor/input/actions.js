// What buttons and keys do. Every action says in the status line what it did or why it did not.
follow("pixels", (step) => {
  if (!step.box) return;
  for (const id of step.ids) anchors.delete(id);
  layers.colours = colourTable();
  paintFill(step.box);
  state.parts = null;
  turnProposals(step);
  tell("parts");
});

function changed(step, words) {
  if (!step) return false;
  saveStep(step);
  tell("pixels", step);
  if (words) say(words);
  return true;
}

// A stroke that is still held ends here, for only one change can be under way.
function ready() {
  if (!state.picture) return false;
  endGesture();
  if (state.operating) say("One moment: the server is working on these masks.");
  else if (!mayEdit()) say("One moment: the server is busy.");
  else return true;
  return false;
}

// The selected instances, or none where they cannot be changed now.
function editable(action) {
  return ready() ? unlockedSelection(action) : [];
}

function takeBack(way) {
  if (gesture.kind) return cancelGesture();
  if (!ready()) return;
  const step = state.picture[way]();
  if (!step) return say(`There is nothing to ${way}.`);
  changed(step, step.what + ".");
  if (step.records) tell("records", [...step.ids]);
  select(selected().filter((id) => state.picture.map.areas[id]), true);
}

function mergeSelected() {
  const ids = editable("Shift-click others and press M");
  if (!ids.length) return;
  if (ids.length < 2) return say("Select two or more instances to merge (Shift adds).");
  changed(state.picture.merge(ids));
  select([ids[0]], true);
  say(`Merged ${ids.join(", ")} into ${nameOf(ids[0])}.`);
}

function removeSelected() {
  const ids = editable("press Delete");
  if (!ids.length) return;
  changed(state.picture.remove(ids));
  select([], true);
  say(`Deleted ${ids.join(", ")}.`);
}

// The new instance is painted first; what was selected stays selected for the mode "inside".
function startInstance() {
  if (!ready()) return;
  try {
    const inside = state.brush.mode === "inside" ? selected() : [];
    const id = state.picture.newId(selected()[0]);
    select([id, ...inside], true);
    if (!["brush", "polygon"].includes(state.tool)) setTool("brush");
    say(`Instance ${id} is new: paint it.`);
  } catch (problem) {
    say(problem.message);
  }
}

const SERVER_OPERATIONS = {
  components: ["press C", "Looking for components", {}],
  fill_holes: ["press H", "Filling holes", {}],
  smooth: ["press S", "Smoothing", { radius: 2 }],
  grow: ["press +", "Growing", { radius: 2 }],
  shrink: ["press -", "Shrinking", { radius: 2 }],
};

function operateOnSelected(operation) {
  const [key, words, options] = SERVER_OPERATIONS[operation];
  const ids = editable(key);
  if (!ids.length) return;
  return operate("operate", { operation, ids, options }, words + " ...");
}

function subtractSelected() {
  const ids = editable("Shift-click the one to take away");
  if (!ids.length) return;
  if (ids.length !== 2) return say("Select two: the first loses what is near the second.");
  const request = { operation: "subtract", ids, options: { radius: 2 } };
  return operate("operate", request, "Subtracting ...");
}

async function divideBySeeds() {
  const ids = editable("draw seeds in it (G)");
  if (!ids.length) return;
  if (drafts.seeds.length < 2) return say("Draw at least two seeds, one in each object (G).");
  const strokes = drafts.seeds.map((stroke) => stroke.map((point) => point.map(Math.round)));
  const options = { strokes, size: state.brush.size / 2 };
  const request = { operation: "seeds", ids: ids.slice(0, 1), options };
  if (await operate("operate", request, "Dividing by the random walk ...")) dropDrafts();
}

function setClassOfSelected(kind) {
  const ids = editable("choose its class (R)");
  if (!ids.length) return;
  changed(state.picture.setClass(ids, kind));
  tell("records", ids);
  say(`${ids.join(", ")}: ${className(kind) || "no class"}.`);
}

// flag: "hidden" or "locked". These are ways of looking and working, so they are not undone.
function toggleFlag(ids, flag) {
  if (!state.picture || !ids.length) return;
  const on = !ids.every((id) => state.picture.record(id)[flag]);
  for (const id of ids) state.picture.record(id)[flag] = on;
  saveDetails({ instances: recordsOf(ids) });
  tell("records", ids);
  if (flag === "hidden") tell("colours");
  say(`${nameOf(ids[0])} is ${on ? flag : "no longer " + flag}.`);
}

function setChecked(checked) {
  state.about.checked = checked;
  saveDetails({ checked });
  tell("queue");
  say(checked ? "Checked." : "No longer marked as checked.");
}

function turnPicture(by) {
  if (!state.picture) return;
  const place = state.queue.findIndex(({ index }) => index === state.about.index);
  const next = state.queue[place + by];
  if (!next) return say(by > 0 ? "This is the last picture." : "This is the first picture.");
  return ask("show", { picture: next.index }, `Opening ${next.name} ...`);
}

function checkAndTurn() {
  if (!state.picture) return;
  setChecked(true);
  return turnPicture(1);
}

function turnInstance(by) {
  if (!state.picture) return;
  const ids = state.picture.map.ids().filter((id) => !state.picture.record(id).hidden);
  if (!ids.length) return say("There is no instance to go to.");
  const place = ids.indexOf(selected()[0]);
  const next = place < 0 ? (by > 0 ? 0 : ids.length - 1) : (place + by + ids.length) % ids.length;
  select([ids[next]]);
  zoomToSelection();
}

async function flush() {
  if (!state.picture) return;
  endGesture();
  say((await settled()) ? "All changes are saved." : notSaved());
}
