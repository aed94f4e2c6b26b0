// The pictures of a trace: photo or another step, the shown step, the strips, and a cell's attention.
const PHOTO = "photo";
let beside = PHOTO; // what is left of the shown step: the photo, "run 3" or "pinned 3"
const shownRuns = { run: null, pinned: null }; // whose buttons the strips hold

function show(image, url, aspect) {
  image.style.aspectRatio = aspect;
  if (image.getAttribute("src") !== url) image.setAttribute("src", url);
}

// value: what Python sent. shown: index of the step. pick: called with the index of a step.
// redraw: called where something else is to stand beside it.
function drawPictures(find, value, shown, pick, redraw) {
  const { run, pinned } = value, strip = find(".strip"), held = find(".held-strip");
  fillStrip(strip, run, "run", (step) => pick(step));
  find(".held").hidden = !pinned || !pinned.pictures.length;
  if (pinned) {
    find(".held-name").textContent = "Pinned: " + pinned.name;
    fillStrip(held, pinned, "pinned", (step) => {
      beside = "pinned " + step;
      redraw(); // of what is shown by then
    });
  }
  [...strip.children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === shown));
    const peak = i === run.peak && run.peak_pair >= 0;
    button.querySelector(".badge").textContent = peak ? "◆ peak" : "";
  });
  // scrollIntoView would move the page as well
  const button = strip.children[shown], middle = button.offsetLeft + button.offsetWidth / 2;
  strip.scrollLeft = middle - strip.clientWidth / 2;
  const large = find(".large"), words = "timestep " + run.timesteps[shown];
  show(large, run.pictures[shown].url, String(run.aspect));
  large.alt = "Attention at " + words + " as colours, one square a cell";
  const peak = shown === run.peak && run.peak_pair >= 0;
  find(".large-caption").textContent = "Attention at " + words + (peak ? " ◆ PeakKL's choice" : "");
  drawLeft(find, value, shown);
}

function fillStrip(strip, run, kind, pressed) {
  if (shownRuns[kind] !== run.key) {
    strip.replaceChildren();
    shownRuns[kind] = run.key;
  }
  for (let i = strip.children.length; i < run.pictures.length; i++) {
    const button = stripButton(run, i);
    button.addEventListener("click", () => pressed(i));
    strip.append(button);
  }
}

function stripButton(run, i) {
  const button = document.createElement("button");
  button.type = "button";
  for (const picture of [run.pictures[i], run.edges[i]]) {
    if (!picture) continue;
    const image = document.createElement("img");
    image.alt = "";
    show(image, picture.url, String(run.aspect));
    button.append(image);
  }
  const badge = document.createElement("span");
  badge.className = "badge";
  button.append(document.createTextNode("t = " + run.timesteps[i]), badge);
  return button;
}

// What can stand beside the shown step: [value, words, url, aspect].
function choices(value) {
  const steps = (name, one, words) => one.pictures.map((picture, i) =>
    [name + " " + i, words + "t = " + one.timesteps[i], picture.url, one.aspect]);
  return [
    [PHOTO, "Photo", value.run.photo.url, value.run.aspect],
    ...steps("run", value.run, ""),
    ...(value.pinned ? steps("pinned", value.pinned, "pinned: ") : []),
  ];
}

function drawLeft(find, value, shown) {
  const all = choices(value), menu = find(".beside"), key = all.map(([, words]) => words).join();
  if (menu.dataset.key !== key) {
    menu.dataset.key = key;
    menu.replaceChildren(...all.map(([name, words]) => new Option(words, name)));
  }
  const chosen = all.find(([name]) => name === beside) || all[0];
  beside = chosen[0];
  menu.value = beside;
  const photo = find(".photo");
  show(photo, chosen[2], String(chosen[3]));
  photo.classList.toggle("pixels", beside !== PHOTO);
  photo.alt = beside === PHOTO ? "The photo" : "Attention as colours, " + chosen[1];
  drawCell(find, value, value.run.timesteps[shown]);
}

// The photo is darkened where the marked cell does not look. timestep: the one that is shown.
function drawCell(find, value, timestep) {
  const cell = value.cell, canvas = find(".attention");
  const fits = Boolean(cell) && cell.timestep === timestep;
  const over = fits && beside === PHOTO;
  canvas.toggleAttribute("hidden", !over);
  find(".cell-words").textContent = over ? "Bright: where the marked cell looks" : "";
  const large = find(".large");
  for (const frame of large.closest(".pictures").querySelectorAll(".frame")) {
    const mark = frame.querySelector(".cell");
    mark.hidden = !cell;
    if (!cell || !large.naturalWidth) continue;
    const wide = 100 / large.naturalWidth, tall = 100 / large.naturalHeight;
    mark.style.left = wide * Math.floor(cell.place[0] * large.naturalWidth) + "%";
    mark.style.top = tall * Math.floor(cell.place[1] * large.naturalHeight) + "%";
    Object.assign(mark.style, { width: wide + "%", height: tall + "%" });
  }
  if (!over) return;
  const attention = Uint8Array.from(atob(cell.attention), (letter) => letter.charCodeAt(0));
  canvas.width = cell.columns;
  canvas.height = cell.rows;
  const picture = new ImageData(cell.columns, cell.rows);
  attention.forEach((amount, i) => {
    // the square root: most of a cell's attention stays with itself
    picture.data.set([15, 23, 42, 215 * (1 - Math.sqrt(amount / 255))], 4 * i);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Clicks and keys mark a cell. value: returns what Python sent. tell: takes { x, y }.
function watchFrames(find, value, draw, tell) {
  const large = find(".large"), menu = find(".beside");
  const middle = (x, y) => ({
    x: (Math.floor(x * large.naturalWidth) + 0.5) / large.naturalWidth,
    y: (Math.floor(y * large.naturalHeight) + 0.5) / large.naturalHeight,
  });
  const mark = (x, y) => {
    beside = PHOTO;
    tell(middle(Math.max(0, Math.min(x, 0.9999)), Math.max(0, Math.min(y, 0.9999))));
  };
  for (const frame of large.closest(".pictures").querySelectorAll(".frame")) {
    frame.addEventListener("click", (event) => {
      const box = frame.getBoundingClientRect();
      mark((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
  }
  large.closest(".frame").addEventListener("keydown", (event) => {
    const cell = value().cell;
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Enter") mark(0.5, 0.5);
    else if (event.key === "Escape" && cell) tell({ x: null, y: null });
    else if (move[event.key] && cell) {
      const [across, down] = move[event.key];
      mark(cell.place[0] + across / large.naturalWidth, cell.place[1] + down / large.naturalHeight);
    } else return;
    event.preventDefault();
  });
  large.addEventListener("load", draw); // whose cells are counted once it is there
  menu.addEventListener("change", () => {
    beside = menu.value;
    draw();
  });
}
