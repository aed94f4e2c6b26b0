// The work that this browser knows: open, name, delete it, link to it, begin another one.
import { forgetSession, greetToken, knownSessions, leave } from "../sync/messages.js";
import { call } from "../sync/payloads.js";
import { counted, find, make, on, setStatus, state } from "../view/state.js";

const titleOf = ({ title, first }) => title || first || "No photos yet";

function act(words, label, work) {
  const button = make("button", { type: "button" }, words);
  button.setAttribute("aria-label", label);
  button.addEventListener("click", work);
  return button;
}

async function rename(session) {
  const title = prompt("What this work is called", titleOf(session));
  if (title === null) return;
  const answer = await call("rename_session", { token: session.token, title });
  setStatus(answer?.error || (answer ? "Renamed." : "Not renamed: the server does not answer."));
  await refresh();
}

async function remove(session) {
  const words = `Delete ${titleOf(session)} with all its masks? This cannot be undone.`;
  if (!session.gone) {
    if (!confirm(words)) return;
    const answer = await call("delete_session", { token: session.token });
    if (!answer || answer.error) {
      return setStatus(answer?.error || "Not deleted: the server does not answer.");
    }
  }
  if (session.token === state.token) await leave();
  forgetSession(session.token);
  await refresh();
}

function row(session) {
  const name = titleOf(session), open = session.token === state.token;
  const about = session.gone ? "not on this server now"
    : `${counted(session.count, "photo")}, ${new Date(session.used * 1000).toLocaleString()}`;
  const words = make("span", { className: "words" },
    make("span", { className: "name", title: name }, session.gone ? "Earlier work" : name),
    make("span", { className: "sub" }, open ? about + ", open" : about));
  const acts = session.gone ? [act("Forget", "Forget earlier work", () => remove(session))] : [
    act("Continue", `Continue ${name}`, () => greetToken(session.token)),
    act("Rename", `Rename ${name}`, () => rename(session)),
    act("Remove", `Remove the work ${name}`, () => remove(session))];
  return make("li", { className: "session" },
    ...(session.thumb ? [make("img", { src: session.thumb, alt: "" })] : []), words, ...acts);
}

async function refresh() {
  const answer = await call("list_sessions", { tokens: knownSessions() });
  if (!answer?.sessions) return setStatus("The list of your work could not be loaded.");
  find(".sessions").replaceChildren(...answer.sessions.map(row));
}

export async function removeImage() {
  if (!state.image) return;
  const { name, index } = state.about, { token } = state;
  if (!confirm(`Remove ${name} with its masks? This cannot be undone.`)) return;
  const answer = await call("remove_image", { token, picture: index });
  if (!answer || answer.error) {
    return setStatus(answer?.error || "Not removed: the server does not answer.");
  }
  greetToken(token);
}

async function copyLink() {
  if (!state.token) return setStatus("There is no work to link to yet: open photos first.");
  const link = new URL(location.href);
  link.hash = "work=" + state.token;
  try {
    await navigator.clipboard.writeText(link.href);
    setStatus("The link is copied. Who has it can change this work.");
  } catch {
    prompt("Link to this work; who has it can change it", link.href);
  }
}

export function start() {
  const panel = find(".sessions-panel");
  panel.addEventListener("toggle", () => panel.open && refresh());
  find(".new-session").addEventListener("click", leave);
  find(".link-session").addEventListener("click", copyLink);
  find(".remove-image").addEventListener("click", removeImage);
  on("image", () => {
    find(".remove-image").hidden = !state.image || Boolean(state.project);
    find(".link-session").hidden = Boolean(state.project); // it would be this annotator's name
    if (panel.open) refresh();
  });
}
