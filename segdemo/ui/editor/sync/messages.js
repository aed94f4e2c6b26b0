// Messages of the server, and the events that ask for them.
import { LabelMap, boxAround } from "../core/label_map.js";
import { colourApart, neighbours } from "../core/colouring.js";
import { EditedImage } from "../core/edited_image.js";
import { rememberLeft } from "../input/copying.js";
import { cancelGesture, endGesture } from "../input/tools.js";
import { showQueue } from "../panels/queue.js";
import { call, fetchBytes, fetchLabels, fetched, unpackLabels } from "./payloads.js";
import { about, notSaved, pump, saver, settled, startSaving, unsent } from "./saving.js";
import { layers, newImage } from "../view/layers.js";
import { element, props, trigger } from "../view/page.js";
import { APART } from "../view/palette.js";
import { anchors } from "../view/outlines.js";
import { counted, emit, select, selected, setStatus, state, timings } from "../view/state.js";

const TOKEN_KEY = "segdemo-refine", PICTURE_KEY = "segdemo-refine-picture";
const SESSIONS_KEY = "segdemo-sessions", MOST_SESSIONS = 100;
const SERVER_CHECK = 5000; // milliseconds
const GENTLE = new Set(["edges", "preview"]); // editing goes on while the server works on these

// Private windows may refuse storage; the work then lasts as long as the page.
export function remembered(storage, key = TOKEN_KEY) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

function remember(token, picture) {
  for (const storage of ["sessionStorage", "localStorage"]) {
    try {
      for (const [key, value] of [[TOKEN_KEY, token], [PICTURE_KEY, picture]]) {
        if (token) window[storage].setItem(key, value);
        else window[storage].removeItem(key);
      }
    } catch {
      return;
    }
  }
}

// Tokens of all work that this browser has opened, the latest first.
export function knownSessions() {
  let known = [];
  try {
    known = JSON.parse(remembered("localStorage", SESSIONS_KEY)) || [];
  } catch { /* not a list: begin another one */ }
  const last = [state.token, remembered("localStorage")];
  return [...new Set([...last, ...(Array.isArray(known) ? known : [])])].filter(Boolean);
}

function keepSessions(tokens) {
  try {
    localStorage.setItem(SESSIONS_KEY, JSON.stringify(tokens.slice(0, MOST_SESSIONS)));
  } catch { /* a private window: the work lasts as long as the page */ }
}

export function forgetSession(token) {
  keepSessions(knownSessions().filter((known) => known !== token));
  if (remembered("localStorage") === token) localStorage.removeItem(TOKEN_KEY);
}

export function wait(name, words) {
  state.waiting = name;
  if (words) setStatus(words);
  emit("busy");
}

export function greet(storage) {
  const linked = /^#work=([\w-]{22})$/.exec(location.hash)?.[1];
  const token = linked || remembered(storage);
  if (!token) return close({ token: "" }); // nothing to ask for
  if (!linked) return hello(token, Number(remembered(storage, PICTURE_KEY)));
  history.replaceState(null, "", location.pathname + location.search);
  keepSessions([linked, ...knownSessions()]);
  return hello(linked, 0);
}

function hello(token, picture) {
  wait("hello");
  state.due = ++state.greeting;
  trigger("hello", { token, picture, greeting: state.greeting });
}

// The answer to a greeting can arrive after what was opened since. It is not shown, but has changed
// what the page remembers of the server's session, so that is set to what is open.
function ignoreStale() {
  if (state.waiting === "hello") return; // the answer to a later greeting sets it
  const { token, picture } = state.latest;
  trigger("opened", { token: token || "", picture: picture?.index ?? 0 });
}

export async function greetToken(token) {
  if (state.waiting || state.operating) return setStatus("One moment: the server is busy.");
  endGesture();
  if (!(await settled())) return setStatus(blocked());
  hello(token, 0);
}

// Begin without photos; the work that was open stays on the server, and in the list.
export async function leave() {
  if (state.image && !(await settled()) && !saver.final) return setStatus(blocked());
  keepSessions(knownSessions());
  remember(null);
  state.token = "";
  hello("", 0);
}

// Gradio asks for ever whether a server that is away has finished; so ask whether it is there.
async function watchServer() {
  if (!element.isConnected || !state.waiting) return;
  const { waiting } = state;
  const answer = await call("list_sessions", { tokens: [] });
  if (!answer && state.waiting === waiting) refused();
}

// Gradio says of an event only that it failed: a full queue, or no server.
function refused() {
  if (!element.isConnected || !state.waiting) return;
  wait(null, "The server did not take this: it is busy or away. Try again.");
}

export function start() {
  document.addEventListener("segdemo-refused", refused);
  setInterval(watchServer, SERVER_CHECK);
}

const blocked = () => (saver.final ? notSaved()
  : "The last changes are not saved yet, so this has to wait. Trying again.");

export async function ask(name, details, words) {
  if (!state.image || state.waiting || state.operating) return;
  endGesture();
  wait(name, words);
  if (!(await settled())) return wait(null, blocked());
  const request = { token: state.token, ...details };
  if (name === "show") trigger("show", request);
  else if (name === "edges") trigger("edges", { ...request, picture: state.about.index });
  else if (name === "preview") trigger("preview", { ...request, ...about(saver.revision) });
  else trigger("propose", { ...request, ...about(saver.revision) });
}

export const mayEdit = () => !state.operating && (!state.waiting || GENTLE.has(state.waiting));

export async function listen() {
  const message = props.value;
  if (!message || message.key === state.key) return;
  if (message.greeting < state.due) return ignoreStale();
  state.key = message.key;
  if (message.message === "place") return setStatus(message.text); // the answer is yet to come
  if (message.message === "picture" || message.message === "empty") {
    state.latest = message;
    state.due = state.greeting + 1;
  }
  const work = { picture: openImage, edges: takeEdges, proposals: takeProposals, empty: close };
  try {
    await work[message.message]?.(message);
    if (message.queue) showQueue(message.queue);
    if (message.message === "note") setStatus(message.text);
    else if (message.note) setStatus(message.note);
  } catch (problem) {
    setStatus("This could not be shown: " + problem.message);
  }
  if (state.key !== message.key) return;
  state.waiting = null;
  emit("busy");
}

async function openImage(message) {
  const started = performance.now();
  endGesture();
  if (state.image && message.token === state.token) await settled();
  const sent = message.picture, { edges } = sent;
  const [photo, labels, values] = await Promise.all([
    fetched(sent.image).then(createImageBitmap), fetchLabels(sent.labels),
    edges && fetchBytes(edges.file),
  ]);
  const steps = sent.history?.file && await fetchLabels(sent.history.file);
  if (state.key !== message.key) return;
  cancelGesture();
  if (state.image && state.about.index !== sent.index) rememberLeft();
  layers.photo?.close();
  layers.photo = photo;
  Object.assign(state, { token: message.token, classes: message.classes || {},
    stuff: new Set(message.stuff), about: sent });
  Object.assign(state, { image: new EditedImage(sent.width, sent.height, labels,
    sent.instances, sent.highest) });
  state.image.classes = state.classes;
  if (steps) state.image.restoreHistory(sent.history, steps);
  Object.assign(state, { parts: null, proposals: null, start: null, selection: [] });
  state.edges = edges && { source: edges.source, label: edges.label, values };
  Object.assign(state.look, { compare: false, photoOnly: false });
  remember(state.token, sent.index);
  keepSessions(knownSessions());
  startSaving(sent.revision);
  anchors.clear();
  newImage();
  for (const name of ["image", "queue", "classes", "selection", "edges", "look"]) emit(name);
  const count = state.image.map.ids().length;
  setStatus(`${sent.name}: ${sent.width} x ${sent.height}, ${counted(count, "instance")}.`);
  timings.load.push(performance.now() - started);
}

async function takeEdges(message) {
  const values = await fetchBytes(message.edges.file);
  if (!state.image || message.picture !== state.about.index) return;
  state.edges = { source: message.edges.source, label: message.edges.label, values };
  state.parts = null;
  state.edgeLook.shown = true;
  emit("edges");
  emit("look");
  setStatus(message.edges.label + ": move the threshold and look at the cuts of a selected instance.");
}

async function takeProposals(message) {
  const labels = await fetchLabels(message.preview);
  if (!state.image || message.picture !== state.about.index) return;
  const map = new LabelMap(state.image.map.width, state.image.map.height, labels);
  const list = message.proposals.map((proposal) => ({ ...proposal, state: "open" }));
  const boxes = map.ids().map((id) => map.box(id));
  const box = boxAround(boxes), { width } = map;
  const colours = box && colourApart(map.ids(), neighbours(labels, width, box), APART);
  state.proposals = { list, labels, box, colours, shown: null, current: 0, reviewed: list.length > 0 };
  emit("proposals");
  emit("proposed");
  setStatus(list.length ? `${counted(list.length, "proposal")}: A accepts, R rejects, arrows go on; Esc to edit.`
    : "RIP proposes no change with these settings.");
}

// The token stays in the browser: a server that has lost a folder may get it back.
function close(message) {
  Object.assign(state, { image: null, about: null, token: message.token, queue: [], proposals: null });
  layers.fill = null;
  emit("image");
}

// A computation on the server that changes pixels; its answer is one step here.
export async function operate(name, request, words) {
  if (!mayEdit()) return;
  endGesture();
  state.operating = true;
  setStatus(words);
  emit("busy");
  try {
    if (!(await settled())) return setStatus(blocked());
    const answer = await call(name, { ...about(saver.revision), ...request });
    if (!answer) {
      saver.whole = true; // it may have been done there all the same
      return setStatus("Not done: the server does not answer. Your edits are kept here.");
    }
    if (answer.error) {
      if (answer.behind) saver.whole = true;
      return setStatus(answer.error);
    }
    return { step: await takeOver(answer) };
  } finally {
    state.operating = false;
    emit("busy");
    if (unsent()) pump();
  }
}

async function takeOver({ revision, what, x, y, width, height, labels, instances, note: words }) {
  const values = await unpackLabels(labels), box = [x, y, x + width, y + height];
  saver.revision = revision;
  const step = state.image.take(what, box, values, instances);
  if (step) emit("pixels", step);
  select(selected().filter((id) => state.image.map.areas[id]), true);
  setStatus(words || what + ".");
  return step;
}
