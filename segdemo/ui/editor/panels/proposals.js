// Repair by edges (RIP or region merging): parameters, and proposals to accept or reject.
import { ready } from "../input/actions.js";
import { ask, operate } from "../sync/messages.js";
import { redraw } from "../view/drawing.js";
import { paintProposals } from "../view/layers.js";
import { props } from "../view/page.js";
import { emit, find, make, on, select, selected, setStatus, state } from "../view/state.js";
import { zoomToSelection } from "../view/viewport.js";

const fields = new Map(); // name -> input, of the algorithm of the preset
let basePreset; // the preset that the parameters were changed from

function ripField({ name, label, help, low, high, unit, step, value }) {
  const input = make("input", { type: "number", min: low, max: high, step, value });
  input.setAttribute("aria-describedby", "mask-editor-rip-" + name);
  input.addEventListener("input", () => (find(".preset").value = ""));
  fields.set(name, input);
  const text = unit ? `${help} Unit: ${unit}.` : help;
  return make("label", { className: "field" }, make("span", {}, label), input,
    make("small", { id: "mask-editor-rip-" + name }, text));
}

function setPreset(name) {
  if (!name) return;
  basePreset = name;
  find(".preset-said").textContent = `Runs ${props.preset_titles[name]}.`;
  fields.clear();
  find(".fields").replaceChildren(...props.rip_presets[name].map(ripField));
}

export function preview() {
  const wrong = [...fields.values()].find((input) => !input.value || !input.checkValidity());
  if (wrong) {
    find(".more").open = true;
    wrong.reportValidity();
    return setStatus(`A parameter is outside ${wrong.min} to ${wrong.max}.`);
  }
  if (state.image && !state.edges) return setStatus("Proposals need edges: find some under Edges first.");
  const given = [...fields].map(([name, input]) => [name, Number(input.value)]);
  state.proposals = null;
  emit("proposals");
  const settings = Object.fromEntries(given);
  return ask("preview", { preset: basePreset, settings }, "Looking for splits and merges ...");
}

export const open = () =>
  (state.proposals?.list || []).flatMap((one, i) => (one.state === "open" ? [i] : []));

// A proposal is about masks as they were; once these change it can no longer be accepted. Its step
// keeps the state that undo gives back, and then the one that redo does.
export function turnProposals({ ids, outcomes }) {
  for (const outcome of outcomes) {
    const { proposal, state: other } = outcome;
    outcome.state = proposal.state;
    proposal.state = other;
  }
  const turned = new Set(outcomes.map(({ proposal }) => proposal));
  for (const proposal of state.proposals?.list || []) {
    const touched = proposal.inputs.some((id) => ids.has(id));
    if (proposal.state !== "open" || !touched || turned.has(proposal)) continue;
    outcomes.push({ proposal, state: "open" });
    proposal.state = "changed";
  }
  if (outcomes.length) emit("proposals");
}

export async function accept(wanted) {
  const { proposals } = state;
  if (!wanted.length || !ready()) return;
  const indices = wanted.filter((i) => proposals.list[i].state === "open");
  if (!indices.length) return setStatus("These masks have changed since: press Preview again.");
  const chosen = indices.map((i) => proposals.list[i]);
  for (const proposal of chosen) proposal.state = "accepted";
  const done = await operate("accept", { proposals: indices }, "Accepting ...");
  for (const proposal of chosen) {
    if (done) done.step?.outcomes.push({ proposal, state: "open" });
    else proposal.state = "open";
  }
  proposals.shown = null;
  emit("proposals");
}

export const acceptAll = () => accept(open());

export function rejectAll() {
  for (const i of open()) state.proposals.list[i].state = "rejected";
  state.proposals.shown = null;
  emit("proposals");
  setStatus("All proposals are rejected.");
}

function point(index) {
  if (!state.proposals || state.proposals.shown === index) return;
  state.proposals.shown = index;
  paintProposals();
  redraw();
}

export function reject(proposal) {
  proposal.state = "rejected";
  state.proposals.shown = null;
  emit("proposals");
  setStatus(`Rejected: ${proposal.text}.`);
}

const OUTCOMES = { accepted: "accepted", rejected: "rejected", changed: "masks changed since" };

function proposalRow(proposal, index) {
  const { current, reviewed } = state.proposals;
  const area = `${proposal.pixels.toLocaleString("en")} px`;
  const text = make("button", { type: "button", className: "proposal" },
    make("span", {}, proposal.text), make("span", { className: "sub" }, area));
  text.addEventListener("click", () => showProposal(proposal, index));
  const item = make("li", { className: proposal.state }, text);
  if (reviewed && index === current) item.classList.add("current");
  if (proposal.state === "open") {
    const yes = make("button", { type: "button", className: "yes" }, "Accept");
    const no = make("button", { type: "button", className: "no" }, "Reject");
    yes.setAttribute("aria-label", "Accept: " + proposal.text);
    no.setAttribute("aria-label", "Reject: " + proposal.text);
    yes.addEventListener("click", () => accept([index]));
    no.addEventListener("click", () => reject(proposal));
    item.append(yes, no);
    for (const name of ["pointerenter", "focusin"]) item.addEventListener(name, () => point(index));
    for (const name of ["pointerleave", "focusout"]) item.addEventListener(name, () => point(null));
  } else {
    item.append(make("span", { className: "sub outcome" }, OUTCOMES[proposal.state]));
  }
  return item;
}

function showProposal({ inputs }, index) {
  select(inputs.filter((id) => state.image.map.areas[id]), true);
  if (selected().length) zoomToSelection();
  if (state.proposals.list[index].state === "open") {
    Object.assign(state.proposals, { current: index, shown: null, reviewed: true });
    emit("proposals");
  }
}

export function start() {
  find(".preset").append(
    ...Object.keys(props.rip_presets).map((name) =>
      make("option", { value: name }, "preset " + name)),
    make("option", { value: "" }, "own settings"));
  find(".preset").addEventListener("change", () => setPreset(find(".preset").value));
  setPreset(find(".preset").value);

  on("proposals image", () => {
    const { list } = state.proposals || { list: [] }, waiting = open().length;
    const focused = find(".proposals").contains(document.activeElement);
    find(".proposals").replaceChildren(...list.map(proposalRow));
    if (focused) find(".proposals li:is(.current, .open) button")?.focus({ preventScroll: true });
    find(".all").hidden = !waiting;
    find("[data-do=accept-all]").textContent = `Accept all (${waiting})`;
    find(".proposals-hint").hidden = list.length > 0;
    find(".proposals-hint").textContent = state.proposals
      ? "No change is proposed with these settings."
      : "Splits and merges are proposed by the edges. Nothing changes before you accept.";
  });
}
