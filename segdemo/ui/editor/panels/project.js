// A project: its list in pages, how far it is, the next image, sending back, and who works here.
import { ask, enterProject, remembered } from "../sync/messages.js";
import { call } from "../sync/payloads.js";
import { about, saver, settled } from "../sync/saving.js";
import { element, props } from "../view/page.js";
import { emit, find, on, setStatus, state } from "../view/state.js";
import { canvas } from "../view/viewport.js";

export const NAME_KEY = "segdemo-annotator";
const KEEP = 40000; // milliseconds between two messages that the open image is still in work
const AT_ONCE = 10; // thumbnails asked for together
const MOST_THUMBS = 400; // kept, by index
const TYPING = 300; // milliseconds after the last key until the search begins

const thumbs = new Map();
let asked = 0, typing = 0;

const inProject = () => Boolean(state.project && state.image);

export function stepInProject(step) {
  const words = step === "next" ? "Looking for the next image ..." : "Opening another image ...";
  return ask("show", { picture: state.about.index, step }, words);
}

// page: its number, or undefined for the one that the open image is on.
async function list(page) {
  if (!inProject()) return;
  const number = ++asked, { token } = state;
  const answer = await call("list_images", { token, picture: state.about.index, page,
    state: find(".project-filter").value, search: find(".search").value.trim() });
  if (number !== asked || !inProject()) return;
  if (!answer || answer.error) {
    return setStatus(answer?.error || "The list of images could not be loaded.");
  }
  Object.assign(state.project, { counts: answer.counts, page: answer.page, pages: answer.pages });
  state.queue = answer.rows.map((row) => ({ ...row, thumb: thumbs.get(row.index) }));
  emit("queue");
  await fetchThumbs(number, token);
}

async function fetchThumbs(number, token) {
  const missing = state.queue.filter(({ index }) => !thumbs.has(index)).map(({ index }) => index);
  for (let first = 0; first < missing.length; first += AT_ONCE) {
    const answer = await call("thumbnails", { token, pictures: missing.slice(first, first + AT_ONCE) });
    if (number !== asked || !inProject() || !answer?.thumbs) return;
    for (const [index, url] of Object.entries(answer.thumbs)) thumbs.set(Number(index), { url });
    while (thumbs.size > MOST_THUMBS) thumbs.delete(thumbs.keys().next().value);
    state.queue = state.queue.map((row) => ({ ...row, thumb: thumbs.get(row.index) }));
    emit("queue");
  }
}

function showProgress() {
  const { project } = state;
  find(".project-tools").hidden = find(".project-foot").hidden = !project;
  find(".pager").hidden = !project || !(project.pages > 1);
  if (!project) return;
  const { counts, page, pages } = project;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  find(".place").textContent = `${counts.checked} of ${total} done`;
  find(".project-bar").max = total;
  find(".project-bar").value = counts.checked;
  find(".pager-said").textContent = `${(page ?? 0) + 1} / ${pages ?? 1}`;
  find("[data-page=back]").disabled = !(page > 0);
  find("[data-page=on]").disabled = !(page < pages - 1);
  for (const option of find(".project-filter").options) {
    const count = option.value ? counts[option.value] : total;
    option.textContent = `${option.dataset.says} (${count})`;
  }
  find(".reviewer-said").textContent = project.note ? `Sent back: ${project.note}` : "";
}

async function keepLease() {
  if (!element.isConnected || !inProject() || saver.final) return;
  const { image } = state;
  const answer = await call("keep_lease", about());
  if (image !== state.image || !answer?.final) return;
  Object.assign(saver, { final: true, reason: answer.error });
  setStatus(answer.error);
}

async function sendBack() {
  if (!inProject() || state.waiting) return; // another image is on its way
  const note = prompt("What is to be changed? The next annotator reads it.");
  if (!note?.trim()) return;
  if (!(await settled())) return setStatus("The last changes are not saved yet: try again.");
  const answer = await call("send_back", { ...about(), note });
  if (!answer || answer.error) return setStatus(answer?.error || "The server does not answer.");
  state.about.checked = false;
  Object.assign(state.project, { note: answer.note, counts: answer.counts });
  setStatus("Sent back.");
  list(state.project.page);
}

// What the server tells of the project with an answer to an edit.
export function followProject(told) {
  if (!inProject() || !told) return;
  Object.assign(state.project, told);
  const row = state.queue.find(({ index }) => index === state.about.index);
  if (row) Object.assign(row, { state: told.state, note: told.note });
  emit("queue");
}

function askName() {
  const form = find(".enter");
  form.hidden = Boolean(state.image) || !props.project;
  find(".welcome ol").hidden = !form.hidden;
  if (form.hidden) return;
  find(".project-name").textContent = `${props.project.name}: ${props.project.count} images`;
  find(".enter-name").hidden = !props.project.ask;
  find(".annotator").value ||= remembered("localStorage", NAME_KEY) || "";
}

export function start() {
  setInterval(keepLease, KEEP);
  on("image", () => {
    askName();
    showProgress();
    list();
    // what was pressed is gone with the name's form: the tools' keys work at once
    if (inProject() && document.activeElement === document.body) canvas.focus({ preventScroll: true });
  });
  on("queue", showProgress);
  find(".project-filter").addEventListener("change", () => list(0));
  find(".search").addEventListener("input", () => {
    clearTimeout(typing);
    if (state.project) typing = setTimeout(() => list(0), TYPING);
  });
  find("[data-page=back]").addEventListener("click", () => list(state.project.page - 1));
  find("[data-page=on]").addEventListener("click", () => list(state.project.page + 1));
  find(".next-open").addEventListener("click", () => inProject() && stepInProject("next"));
  find(".send-back").addEventListener("click", sendBack);
  find(".enter").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = find(".annotator").value.trim();
    if (props.project.ask && !name) return setStatus("Say your name first.");
    enterProject(name);
  });
}
