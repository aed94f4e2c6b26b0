// Edits on their way to the server, one call after the other. What has not been sent yet is kept
// as one box and sent as it is then, so a slow or lost server never holds copies of pixels.
import { boxAround } from "../core/label_map.js";
import { showQueue } from "../panels/queue.js";
import { call, packLabels } from "./payloads.js";
import { element } from "../view/page.js";
import { emit, state, timings } from "../view/state.js";

const PAUSES = [1000, 2000, 4000, 8000, 15000]; // milliseconds before another try
export const saver = {
  revision: 0, box: null, ids: new Set(), steps: [], whole: false, details: null,
  running: null, sending: false, failures: 0, reason: "", since: 0, wake: null,
  final: false, // the server refuses these edits for good
  image: 0, // counts images, so that a late answer is not taken for another one's
};

export const unsent = () => Boolean(saver.box || saver.whole || saver.details || saver.sending);

export function startSaving(revision) {
  saver.image++;
  Object.assign(saver, { revision, box: null, ids: new Set(), steps: [], whole: false });
  Object.assign(saver, { details: null, failures: 0, reason: "", since: 0, final: false });
  emit("saved");
}

export function saveStep(step) {
  if (step.records) saveDetails({ instances: recordsOf(step.ids) });
  if (!step.box) return;
  saver.box = boxAround([saver.box, step.box]);
  step.ids.forEach((id) => saver.ids.add(id));
  saver.steps.push(step.what);
  saver.since ||= performance.now();
  pump();
}

// details: {checked} replaces what waits, {classes} and {instances} add to it.
export function saveDetails(details) {
  const instances = { ...saver.details?.instances, ...details.instances };
  const classes = { ...saver.details?.classes, ...details.classes };
  saver.details = { ...saver.details, ...details };
  if (Object.keys(instances).length) saver.details.instances = instances;
  if (Object.keys(classes).length) saver.details.classes = classes;
  pump();
}

export function recordsOf(ids) {
  const present = [...ids].filter((id) => state.image.map.areas[id]);
  return Object.fromEntries(present.map((id) => [id, { ...state.image.record(id) }]));
}

export const about = (revision) => ({
  token: state.token, picture: state.about.index, lease: state.about.lease,
  ...(revision === undefined ? {} : { revision }),
});

export function pump() {
  saver.running ||= Promise.resolve().then(drain).finally(() => {
    saver.running = null;
    emit("saved");
  });
  emit("saved");
}

async function drain() {
  // pixels of an unfinished stroke must not leave: the stroke may still be dropped
  while (unsent() && !saver.final && state.image && !state.image.map.edit) {
    if (await sendNext()) {
      saver.failures = 0;
      continue;
    }
    const delay = PAUSES[Math.min(saver.failures++, PAUSES.length - 1)];
    emit("saved");
    if (saver.final) return;
    await new Promise((done) => {
      saver.wake = done;
      setTimeout(done, delay);
    });
  }
}

async function sendNext() {
  saver.sending = true;
  try {
    if (saver.whole) return await sendWhole();
    if (saver.box) return await sendPatch();
    return await sendDetails();
  } finally {
    saver.sending = false;
  }
}

function refused(answer) {
  saver.reason = answer?.error || "";
  saver.final = Boolean(answer?.final);
  return false;
}

export const sentence = (words) => words && words[0].toUpperCase() + words.slice(1).replace(/\.?$/, ".");

export function notSaved() {
  const rest = saver.final ? "Your edits stay here until this page is left."
    : "Your edits are kept here; trying again.";
  return ["Not saved.", sentence(saver.reason), rest].filter(Boolean).join(" ");
}

function taken() {
  const { box, ids, steps, since } = saver;
  Object.assign(saver, { box: null, ids: new Set(), steps: [], since: 0 });
  return { box, ids, steps, since };
}

function giveBack({ box, ids, steps, since }) {
  saver.box = boxAround([box, saver.box]);
  ids.forEach((id) => saver.ids.add(id));
  saver.steps.unshift(...steps);
  saver.since = since;
}

async function sendPatch() {
  const { image } = saver, { map } = state.image;
  const work = taken(), [x, y, right, bottom] = work.box;
  const values = map.crop(work.box), instances = recordsOf(work.ids);
  const revision = saver.revision + 1;
  const answer = await call("apply_patch", {
    ...about(revision), what: [...new Set(work.steps)].join(", "), x, y,
    width: right - x, height: bottom - y, labels: await packLabels(values), instances,
  });
  if (image !== saver.image) return true;
  if (answer?.revision === revision) {
    saver.revision = revision;
    timings.sent.push(performance.now() - work.since);
    return true;
  }
  // an unanswered patch may have arrived, and the server passes over a number it has seen
  giveBack(work);
  saver.whole = true;
  return refused(answer) || Boolean(answer?.behind);
}

async function sendWhole() {
  const { image } = saver, { map } = state.image;
  const work = taken(), values = map.labels.slice();
  const answer = await call("save_all", {
    ...about(saver.revision + 1), labels: await packLabels(values), instances: recordsOf(map.ids()),
  });
  if (image !== saver.image) return true;
  if (answer && !answer.error) {
    saver.revision = answer.revision;
    saver.whole = false;
    return true;
  }
  if (work.box) giveBack(work);
  return refused(answer);
}

async function sendDetails() {
  const { details, image } = saver;
  saver.details = null;
  const answer = await call("describe", { ...about(), ...details });
  if (image !== saver.image) return true;
  if (answer && !answer.error) {
    if (answer.queue) showQueue(answer.queue);
    return true;
  }
  const instances = { ...details.instances, ...saver.details?.instances };
  const classes = { ...details.classes, ...saver.details?.classes };
  saver.details = { ...details, ...saver.details };
  if (Object.keys(classes).length) saver.details.classes = classes;
  if (Object.keys(instances).length) saver.details.instances = instances;
  return refused(answer);
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Resolves to true once everything is on the server, to false when it cannot be taken there.
export async function settled() {
  const failures = saver.failures;
  saver.wake?.();
  while (unsent() && state.image) {
    if (saver.final) return false;
    pump();
    await Promise.race([saver.running, pause(50)]);
    if (saver.failures > failures) return false;
    // while a stroke is held nothing is sent: without a timer this would block the page
    if (unsent()) await pause(20);
  }
  return !unsent();
}

export function start() {
  addEventListener("online", () => saver.wake?.());
  addEventListener("beforeunload", (event) => {
    if (element.isConnected && state.image && unsent()) event.preventDefault();
  });
}
