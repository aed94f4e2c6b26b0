// Draws the two plots of a trace: gaps of pairs, and the instance check of steps. No events here.
const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 56, right: 16, top: 30, bottom: 38 };
const TICK_ROOM = 38; // pixels a timestep's number needs

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ticksUpTo(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    values.push([k * step, (k * step).toFixed(digits)]);
  }
  return values;
}

// Returns where a timestep lies from left (noisy) to right (clean), for all runs that are drawn.
function timestepScale(grids, width) {
  const all = grids.flat();
  const first = Math.max(...all), last = Math.min(...all);
  const room = width - MARGIN.left - MARGIN.right - 16;
  return (timestep) => MARGIN.left + 8 + (room * (first - timestep)) / (first - last || 1);
}

function middles(run) {
  return run.gaps.map((gap, i) => (run.timesteps[i] + run.timesteps[i + 1]) / 2);
}

function frame(svg, x, grid, low, high, title, below) {
  const width = svg.clientWidth, height = svg.clientHeight;
  const y = (value) =>
    height - MARGIN.bottom - ((height - MARGIN.top - MARGIN.bottom) * (value - low)) / (high - low);
  const axes = node("g", { "aria-hidden": "true" });
  axes.append(node("text", { x: 0, y: 14 }, title));
  for (const [value, words] of ticksUpTo(low, high)) {
    const sides = { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) };
    axes.append(node("line", { ...sides, class: "grid" }));
    axes.append(
      node("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, words)
    );
  }
  let free = -Infinity;
  for (const timestep of grid) {
    if (x(timestep) < free) continue;
    free = x(timestep) + TICK_ROOM;
    const place = { x: x(timestep), y: height - MARGIN.bottom + 16, "text-anchor": "middle" };
    axes.append(node("text", place, timestep));
  }
  const place = { x: width - MARGIN.right, y: height - 4, "text-anchor": "end" };
  axes.append(node("text", place, below));
  svg.replaceChildren(axes);
  return y;
}

function path(points) {
  return points.map(([across, up]) => across + "," + up).join(" ");
}

function diamond(across, up, radius) {
  return path([[across, up - radius], [across + radius, up], [across, up + radius],
    [across - radius, up]]);
}

function addLine(svg, points, pinned) {
  const kind = pinned ? " pinned" : "";
  const group = node("g", { "aria-hidden": "true" });
  group.append(node("polyline", { points: path(points), class: "line" + kind }));
  for (const [across, up] of pinned ? points : []) {
    const box = { x: across - 3, y: up - 3, width: 6, height: 6, class: "mark pinned" };
    group.append(node("rect", box));
  }
  svg.append(group);
}

function addBand(svg, across) {
  const ends = { y1: MARGIN.top, y2: svg.clientHeight - MARGIN.bottom };
  const line = node("line", { x1: across, x2: across, ...ends, class: "band" });
  line.setAttribute("aria-hidden", "true");
  svg.append(line);
}

// value: what Python sent. shown: index of the step; chosenPair: of the pair, or -1.
function drawGaps(svg, value, shown, chosenPair, focusedPair) {
  const { run, pinned } = value;
  const x = timestepScale(pinned ? [run.grid, pinned.timesteps] : [run.grid], svg.clientWidth);
  const most = Math.max(1e-12, ...run.gaps, ...(pinned ? pinned.gaps : []));
  const y = frame(svg, x, run.grid, 0, most * 1.12, "gap in nats", "timestep: noisy → clean");
  if (run.timesteps.length) addBand(svg, x(run.timesteps[shown]));
  if (pinned) addLine(svg, middles(pinned).map((t, i) => [x(t), y(pinned.gaps[i])]), true);
  const points = middles(run).map((t, i) => [x(t), y(run.gaps[i])]);
  addLine(svg, points, false);
  points.forEach(([across, up], i) => {
    const peak = i === run.peak_pair;
    const group = node("g", {
      class: "pair" + (peak ? " peak" : "") + (i === chosenPair ? " chosen" : ""),
      role: "option", tabindex: i === focusedPair ? 0 : -1, "data-pair": i,
      "aria-selected": i === chosenPair, "aria-label": pairWords(run, i),
    });
    group.append(node("circle", { cx: across, cy: up, r: 11, class: "ring" }));
    const round = { cx: across, cy: up, r: 5, class: "mark" };
    const pointed = { points: diamond(across, up, 8), class: "mark" };
    group.append(peak ? node("polygon", pointed) : node("circle", round));
    if (peak) {
      const anchor = across > svg.clientWidth - 110 ? "end" : "start";
      const shift = anchor === "end" ? -12 : 12;
      const place = { x: across + shift, y: Math.max(up - 6, 16), "text-anchor": anchor };
      group.append(node("text", { ...place, class: "peak-name" }, "PeakKL: " + run.peak_timestep));
    }
    svg.append(group);
  });
  return points;
}

function pairWords(run, i) {
  const pair = run.timesteps[i] + " → " + run.timesteps[i + 1];
  const choice = i === run.peak_pair ? ", PeakKL's choice" : "";
  return pair + ": gap " + Number(run.gaps[i].toPrecision(4)) + " nats" + choice;
}

function drawRatios(svg, value, shown) {
  const { run, pinned } = value;
  const x = timestepScale(pinned ? [run.grid, pinned.timesteps] : [run.grid], svg.clientWidth);
  const known = (line) =>
    line.ratios.map((ratio, i) => [line.timesteps[i], ratio]).filter(([, ratio]) => ratio !== null);
  const mine = known(run), theirs = pinned ? known(pinned) : [];
  const all = [...mine, ...theirs].map(([, ratio]) => ratio);
  const low = Math.min(0.9, ...all), high = Math.max(1.1, ...all);
  const title = "instance check: attention to the own instance / to others as far away";
  const narrow = "instance check: own / other attention";
  const y = frame(svg, x, run.grid, low - (high - low) * 0.08, high + (high - low) * 0.12,
    svg.clientWidth < 480 ? narrow : title, "timestep: noisy → clean");
  addBand(svg, x(run.timesteps[shown]));
  const right = svg.clientWidth - MARGIN.right;
  svg.append(node("line", { x1: MARGIN.left, x2: right, y1: y(1), y2: y(1), class: "one" }));
  if (theirs.length) addLine(svg, theirs.map(([t, ratio]) => [x(t), y(ratio)]), true);
  addLine(svg, mine.map(([t, ratio]) => [x(t), y(ratio)]), false);
  for (const [timestep, ratio] of mine) {
    const box = { x: x(timestep) - 4.5, y: y(ratio) - 4.5, width: 9, height: 9, class: "mark" };
    svg.append(node("rect", box));
  }
  const place = { x: right, y: y(1) + 16, "text-anchor": "end", class: "over" };
  svg.append(node("text", place, "1.0: no preference"));
  const words = mine.map(([timestep, ratio]) => timestep + ": " + ratio.toFixed(2)).join(", ");
  svg.setAttribute("aria-label", "Own / other attention by timestep. " + words);
}
