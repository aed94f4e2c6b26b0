// Deciding on proposals one after the other: beside the canvas, by keys or in the bar below it.
import { boxAround } from "../core/label_map.js";
import { accept, open, reject } from "./proposals.js";
import { emit, find, on, setStatus, state } from "../view/state.js";
import { canvas, fit, reveal } from "../view/viewport.js";

const reviewing = () => Boolean(state.proposals?.reviewed && open().length);

// The one to decide on: what was pointed at, else the next that is open.
function currentIndex() {
  const { current } = state.proposals, waiting = open();
  return waiting.find((i) => i >= current) ?? waiting[0];
}

function look(index) {
  Object.assign(state.proposals, { current: index, shown: null });
  const { inputs, text } = state.proposals.list[index];
  const box = boxAround(inputs.map((id) => state.image.map.box(id)));
  if (box) reveal(box);
  emit("proposals");
  setStatus(`${text}: A accepts, R rejects.`);
}

export function stepProposal(by) {
  const waiting = open(), place = waiting.indexOf(currentIndex());
  look(waiting[(place + by + waiting.length) % waiting.length]);
}

export async function acceptCurrent() {
  const index = currentIndex();
  await accept([index]);
  goOn(index);
}

export function rejectCurrent() {
  const index = currentIndex();
  reject(state.proposals.list[index]);
  goOn(index);
}

function goOn(index) {
  if (!state.proposals) return;
  state.proposals.current = index;
  if (reviewing()) return look(currentIndex());
  emit("proposals");
  setStatus("All proposals are decided.");
}

// Another tool was taken: keys mean what they always do.
export function leaveReview() {
  if (!state.proposals?.reviewed) return;
  state.proposals.reviewed = false;
  emit("proposals");
}

function endReview() {
  leaveReview();
  setStatus("Back to editing; the proposals stay in their list.");
}

const KEYS = {
  a: acceptCurrent, r: rejectCurrent, Escape: endReview,
  ArrowDown: () => stepProposal(1), ArrowRight: () => stepProposal(1),
  ArrowUp: () => stepProposal(-1), ArrowLeft: () => stepProposal(-1),
};

// What a key means while proposals wait, or nothing.
export const reviewKey = (name) => (reviewing() ? KEYS[name] : undefined);

function showInPanel() {
  const side = find(".side"), item = find(".proposals li.current") || find(".proposals-panel");
  const top = item.offsetTop - side.offsetTop, bottom = top + item.offsetHeight;
  if (bottom > side.scrollTop + side.clientHeight) side.scrollTop = bottom - side.clientHeight + 8;
  if (top < side.scrollTop) side.scrollTop = top - 8;
}

export function start() {
  on("proposals image", () => {
    const waiting = state.proposals ? open() : [];
    find(".review").hidden = !reviewing();
    if (!reviewing()) return;
    const index = currentIndex();
    state.proposals.current = index;
    const place = waiting.indexOf(index) + 1;
    find(".review-said").textContent = `${place} of ${waiting.length}: ${state.proposals.list[index].text}`;
    showInPanel();
  });
  on("proposed", () => {
    if (!reviewing()) return;
    find(".proposals-panel").open = true;
    find(".side").scrollTop = find(".proposals-panel").offsetTop - find(".side").offsetTop;
    find(".board").scrollIntoView({ block: "nearest" });
    fit();
    canvas.focus({ preventScroll: true });
  });
  find(".proposals").addEventListener("keydown", (event) => {
    const work = !event.ctrlKey && !event.metaKey && !event.altKey && reviewKey(event.key);
    if (!work) return;
    event.preventDefault();
    work();
  });
}
