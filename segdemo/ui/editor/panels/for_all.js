// For all images of a project: what programs prepare behind the annotators, and what waits.
import { call } from "../sync/payloads.js";
import { element } from "../view/page.js";
import { counted, find, make, on, setStatus, state } from "../view/state.js";

const LOOK = 5000; // milliseconds between two looks at what waits, while something does
const WORDS = { edges: "Edges", propose: "First masks", boxes: "Masks of boxes", rip: "Splits and merges" };
let busy = false;

function line([kind, { waiting, done, failed, seen }]) {
  const parts = [[waiting, "to do"], [done, "ready for you"], [seen, "seen"], [failed, "failed"]];
  const words = parts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`);
  return make("li", {}, `${WORDS[kind]}: ${words.join(", ") || "none"}`);
}

function show(answer) {
  if (!answer?.tasks) return;
  const entries = Object.entries(answer.tasks);
  busy = entries.some(([, { waiting }]) => waiting);
  find(".tasks").replaceChildren(...entries.map(line), ...answer.failures.map((said) =>
    make("li", { className: "hint" }, said)));
  const ready = entries.reduce((sum, [, { done }]) => sum + done, 0);
  find(".for-all-said").textContent = busy ? "(working)" : ready ? `(${ready} ready)` : "";
  find(".stop-all").hidden = !busy;
}

async function look(always) {
  if (!element.isConnected || !state.project || !(always || busy)) return;
  show(await call("tasks", { token: state.token }));
}

async function begin() {
  const kind = find(".for-all-kind").value;
  const answer = await call("start_all", { token: state.token, kind, source: find(".source").value,
    method: find(".method").value, preset: find(".preset").value });
  if (!answer || answer.error) return setStatus(answer?.error || "The server does not answer.");
  setStatus(answer.added ? `${WORDS[kind]}: ${counted(answer.added, "image")} in the background. `
    + "What is ready appears when an image is opened." : "Nothing to add: all of them have it.");
  show(answer);
}

export function start() {
  setInterval(look, LOOK);
  on("image", () => {
    find(".for-all").hidden = !state.project;
    look(true);
  });
  find(".start-all").addEventListener("click", begin);
  find(".stop-all").addEventListener("click", async () => {
    show(await call("stop_all", { token: state.token }));
    setStatus("Stopped. What is ready stays.");
  });
}
