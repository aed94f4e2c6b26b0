
// Which step is shown, and everything that follows from it.
const find = (selector) => element.querySelector(selector);
const gapsPlot = find(".gaps"), ratiosPlot = find(".ratios"), tip = find(".tip");
const said = find(".said"), follow = find(".follow");
const choice = { follow: true, timestep: null, picked: false };
let places = []; // of the pairs, in pixels
const TELL_PAUSE = 150; // milliseconds
let telling = 0, lastTold = -TELL_PAUSE;

function shownStep(run) {
  if (choice.follow || choice.timestep === null) return run.peak;
  const apart = run.timesteps.map((timestep) => Math.abs(timestep - choice.timestep));
  return apart.indexOf(Math.min(...apart));
}

// A pair stands for one of its two steps: by the paper the cleaner one.
const pairOfStep = (run, step) => {
  const pair = step - run.kept_of_pair;
  return pair >= 0 && pair < run.gaps.length ? pair : -1;
};

function draw() {
  const value = props.value;
  const some = Boolean(value && value.run && value.run.timesteps.length);
  find(".empty").hidden = some;
  find(".full").hidden = !some;
  if (!some) return;
  if (!choice.picked) { // until a person chooses, the run's settings do
    choice.follow = value.run.fixed === null;
    choice.timestep = value.run.fixed;
  }
  const run = value.run, shown = shownStep(run), pair = pairOfStep(run, shown);
  const had = gapsPlot.contains(document.activeElement);
  const focused = pair < 0 ? Math.min(shown, run.gaps.length - 1) : pair;
  places = drawGaps(gapsPlot, value, shown, pair, focused);
  if (had) gapsPlot.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  const checked = run.ratios.some((ratio) => ratio !== null);
  ratiosPlot.toggleAttribute("hidden", !checked);
  if (checked) drawRatios(ratiosPlot, value, shown);
  drawLegend(value);
  drawPictures(find, value, shown, pick, draw);
  follow.setAttribute("aria-checked", String(choice.follow));
  follow.querySelector(".state").textContent = choice.follow ? "on" : "off";
}

function drawLegend(value) {
  const entries = [["line", "this run: " + value.run.name]];
  if (value.pinned) entries.push(["line pinned", "pinned: " + value.pinned.name]);
  find(".legend").replaceChildren(
    ...entries.map(([kind, words]) => {
      const item = document.createElement("li"), sample = node("svg", { "aria-hidden": "true" });
      sample.append(node("line", { x1: 0, x2: 34, y1: 7, y2: 7, class: kind }));
      const dot = { x: 14, y: 4, width: 6, height: 6, class: "mark pinned" };
      const round = { cx: 17, cy: 7, r: 4, class: "mark" };
      sample.append(kind === "line" ? node("circle", round) : node("rect", dot));
      item.append(sample, document.createTextNode(words));
      return item;
    })
  );
}

function pick(step) {
  const run = props.value.run;
  choice.follow = false;
  choice.timestep = run.timesteps[step];
  choice.picked = true;
  draw();
  const pair = pairOfStep(run, step);
  const gap = pair < 0 ? "" : " " + pairWords(run, pair) + ".";
  said.textContent = "Timestep " + choice.timestep + " is shown and stays." + gap;
  tell();
}

// At once, but not for every step of a key held down: the last of them follows a moment later.
function tell() {
  clearTimeout(telling);
  const wait = Math.max(0, lastTold + TELL_PAUSE - performance.now());
  const send = () => {
    lastTold = performance.now();
    trigger("pick", { timestep: choice.timestep, follow: choice.follow, sent: lastTold });
  };
  if (wait) telling = setTimeout(send, wait);
  else send();
}

function pickPair(pair, focus) {
  const run = props.value.run;
  if (!run.gaps.length) return;
  const step = Math.max(0, Math.min(run.gaps.length - 1, pair)) + run.kept_of_pair;
  pick(step);
  if (focus) gapsPlot.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
}

function nearestPair(event) {
  const across = event.clientX - gapsPlot.getBoundingClientRect().left;
  const apart = places.map(([x]) => Math.abs(x - across));
  return apart.indexOf(Math.min(...apart));
}

gapsPlot.addEventListener("click", (event) => pickPair(nearestPair(event), true));
gapsPlot.addEventListener("keydown", (event) => {
  const run = props.value.run, last = run.gaps.length - 1;
  const here = Number(document.activeElement.dataset.pair);
  const target = {
    ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1,
    Home: 0, End: last, Enter: here, " ": here,
  }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  pickPair(target, true);
});
gapsPlot.addEventListener("pointermove", (event) => {
  const pair = nearestPair(event);
  if (pair < 0) return;
  tip.textContent = pairWords(props.value.run, pair);
  tip.hidden = false;
  const room = gapsPlot.clientWidth - tip.offsetWidth;
  tip.style.left = Math.max(0, Math.min(room, places[pair][0] - tip.offsetWidth / 2)) + "px";
  tip.style.top = Math.max(0, places[pair][1] - 46) + "px";
});
gapsPlot.addEventListener("pointerleave", () => { tip.hidden = true; });

follow.addEventListener("click", () => {
  const run = props.value.run;
  choice.timestep = run.timesteps[shownStep(run)];
  choice.follow = !choice.follow;
  choice.picked = true;
  draw();
  const timestep = run.timesteps[shownStep(run)];
  said.textContent = choice.follow
    ? "PeakKL's choice is shown: timestep " + timestep + "."
    : "Timestep " + timestep + " is shown and stays, whatever PeakKL chooses.";
  tell();
});

watchFrames(find, () => props.value, draw, (place) => {
  trigger("cell", { ...place, sent: performance.now() });
});

new ResizeObserver(draw).observe(find(".plots"));
let drawn = "";
watch("value", () => {
  const run = props.value?.run, now = run ? run.key + " " + run.timesteps.length : "";
  if (now !== drawn) said.textContent = ""; // a cell's attention leaves what was said of a step
  drawn = now;
  draw();
});
draw();
