// The masks as they came: to go back to, and to compare with.
async function startOver() {
  if (!ready() || !(await loadStart()) || !ready()) return;
  const { map } = state.picture;
  const step = state.picture.change("Start over", () => map.writeBox(wholeBox(), state.start));
  if (!changed(step)) return say("These are the masks as they came.");
  select([], true);
  say("The masks are as they came. Undo brings your work back.");
}

async function loadStart() {
  const { picture } = state;
  if (!state.start) {
    say("Loading the masks as they came ...");
    const start = await fetchLabels(state.about.start).catch(() => null);
    if (picture !== state.picture) return false;
    if (!start) return say("The masks as they came could not be loaded."), false;
    state.start = start;
    paintStart();
  }
  return true;
}

async function toggleCompare() {
  if (!state.picture) return;
  const on = !state.look.compare;
  if (on && !(await loadStart())) return;
  state.look.compare = on;
  tell("look");
  say(on ? "Left of the line: the masks as they came. Right: as they are now." : "");
}
