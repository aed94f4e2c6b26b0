// The list of images.
import { ask } from "../sync/messages.js";
import { counted, emit, find, make, on, setPressed, state } from "../view/state.js";

const STATES = {
  new: "new", edited: "edited", checked: "checked", damaged: "damaged", "in work": "in work",
  rejected: "sent back",
};
const MASKS_UNCOUNTED = -1;

// Only messages bring thumbnails; what else tells of the queue leaves them as they are.
export function showQueue(queue) {
  const thumbs = new Map(state.queue.map(({ index, thumb }) => [index, thumb]));
  state.queue = queue.map((one) =>
    (one.thumb?.url ? one : { ...one, thumb: thumbs.get(one.index) }));
  emit("queue");
}

function queueRow({ index, name, count, state: progress, thumb, damage, note, holder }) {
  const open = index === state.about?.index;
  const words = make("span", { className: "words" },
    make("span", { className: "name", title: name }, name),
    make("span", { className: "sub" },
      count === MASKS_UNCOUNTED ? "has masks" : counted(count, "instance")),
    make("span", { className: "sub state " + progress.replace(" ", "-"), title: damage || note || "" },
      holder ? `open: ${holder}` : STATES[progress] || ""));
  const button = make("button", { type: "button", className: "picture", "data-asks": "" },
    ...(thumb ? [make("img", { src: thumb.url, alt: "", loading: "lazy" })] : []), words);
  if (open) button.setAttribute("aria-current", "true");
  button.disabled = Boolean(state.waiting || holder);
  button.addEventListener("click", () => {
    if (!open) ask("show", { picture: index }, `Opening ${name} ...`);
  });
  return make("li", {}, button);
}

export function start() {
  on("queue", () => {
    const wanted = find(".search").value.trim().toLowerCase();
    const shown = state.project ? state.queue // the server has searched
      : state.queue.filter(({ name }) => name.toLowerCase().includes(wanted));
    const list = find(".pictures"), { scrollTop, scrollLeft } = list;
    list.replaceChildren(...shown.map(queueRow));
    Object.assign(list, { scrollTop, scrollLeft });
    setPressed(find("[data-do=checked]"), state.about?.checked);
    if (state.project) return; // its own panel tells the rest
    const place = state.queue.findIndex(({ index }) => index === state.about?.index);
    find(".place").textContent = `${place + 1} of ${state.queue.length}`;
    find(".search").hidden = state.queue.length < 6;
  });
  // The server tells of the queue only now and then; the open image's row follows each edit.
  on("pixels", () => {
    const row = state.queue.find(({ index }) => index === state.about.index);
    const count = state.image.map.ids().length;
    if (!row || (row.count === count && row.state !== "new")) return;
    const edited = state.project ? "in work" : "edited";
    Object.assign(row, { count, state: row.state === "new" ? edited : row.state });
    emit("queue");
  });
  find(".search").addEventListener("input", () => emit("queue"));
}
