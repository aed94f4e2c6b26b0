// Classes: which one an instance has, and their names, colours and keys.
import { changed, ready, setClassOfSelected, takeClasses } from "../input/actions.js";
import { setCurrentClass } from "../input/prompting.js";
import { className, classLabel, counted, emit, find, make, on, selected, setStatus, state }
  from "../view/state.js";
import { classColour, setClassColour } from "../view/palette.js";

const MOST_CLASSES = 1000; // that a file may bring
const LONGEST_NAME = 60;

const classNumbers = () => Object.keys(state.classes).map(Number).sort((a, b) => a - b);
const nextNumber = (classes) => Math.max(0, ...Object.keys(classes).map(Number)) + 1;
const numberOf = (name) => classNumbers().find((kind) => state.classes[kind] === name);

// With nothing selected, a class is that of the next instance.
function give(kind) {
  if (selected().length) setClassOfSelected(kind);
  else setCurrentClass(kind);
  showClass();
}

export function chooseNthClass(place) {
  const kind = classNumbers()[place - 1];
  if (kind === undefined) return setStatus(`There is no class ${place} yet: add one with R.`);
  give(kind);
}

function changeClasses(what, classes, ids = [], kind = null) {
  changed(state.image.changeClasses(what, classes, ids, kind));
  takeClasses();
  if (ids.length) emit("records", ids);
}

export function addClass() {
  const name = find(".class-name").value.trim();
  if (!name) return setStatus("Give the class a name.");
  if (!ready()) return;
  const kind = numberOf(name) ?? nextNumber(state.classes);
  find(".class-name").value = "";
  find(".class-new").hidden = true;
  if (state.classes[kind] !== name) {
    changeClasses("New class", { ...state.classes, [kind]: name });
  }
  give(kind);
  find(".class-choice").focus();
}

function rename(kind, name) {
  if (name === state.classes[kind]) return;
  if (!name || numberOf(name) !== undefined) {
    setStatus(name ? `There is a class ${name} already.` : "A class needs a name.");
    return emit("classes");
  }
  if (!ready()) return emit("classes");
  const before = className(kind), colour = classColour(kind);
  changeClasses("Rename class", { ...state.classes, [kind]: name });
  setClassColour(name, colour);
  setStatus(`${before} is called ${name} now, on all photos of this work.`);
}

function remove(kind) {
  if (!ready()) return;
  const name = className(kind), classes = { ...state.classes };
  delete classes[kind];
  const ids = state.image.map.ids().filter((id) => state.image.record(id).class === kind);
  if (state.currentClass === kind) state.currentClass = null;
  changeClasses("Delete class", classes, ids, null);
  const others = state.queue.length > 1 ? ` On other photos it shows as class ${kind}.` : "";
  setStatus(`${name} is deleted; ${counted(ids.length, "instance")} here lost it.${others} Undo brings it back.`);
}

function classRow(kind, place) {
  const name = className(kind), key = place < 9 ? String(place + 1) : "Use";
  const colour = make("input", { type: "color", value: classColour(kind) });
  colour.setAttribute("aria-label", `Colour of ${name}`);
  colour.addEventListener("change", () => {
    setClassColour(name, colour.value);
    emit("colours");
    emit("records", []);
  });
  const text = make("input", { type: "text", value: name, maxLength: LONGEST_NAME });
  text.setAttribute("aria-label", `Name of class ${kind}`);
  text.addEventListener("change", () => rename(kind, text.value.trim()));
  const use = make("button", { type: "button", title: `Give this class (${key})` }, key);
  use.setAttribute("aria-label", `${key}: give the class ${name}`);
  use.addEventListener("click", () => give(kind));
  const gone = make("button", { type: "button" }, "Delete");
  gone.setAttribute("aria-label", `Delete the class ${name}`);
  gone.addEventListener("click", () => remove(kind));
  return make("li", { className: "class-item" }, colour, text, use, gone);
}

function fillClasses() {
  const kinds = classNumbers();
  const options = kinds.map((kind, place) => {
    const key = place < 9 ? `${place + 1}: ` : "";
    return make("option", { value: String(kind) }, key + classLabel(kind));
  });
  find(".class-choice").replaceChildren(make("option", { value: "" }, "none"), ...options,
    make("option", { value: "new" }, "Add a class ..."));
  find(".classes").replaceChildren(...kinds.map(classRow));
  find(".classes-said").textContent = `(${kinds.length})`;
}

function showClass() {
  if (!state.image) return;
  const kinds = new Set(selected().length ? selected().map((id) => state.image.record(id).class ?? "")
    : [state.currentClass ?? ""]);
  find(".class-choice").value = kinds.size === 1 ? String([...kinds][0]) : "";
}

// A labels file has one name a line, with its number before it or none: "3: cat".
async function readLabels(file) {
  if (!ready()) return;
  const lines = (await file.text()).split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  const classes = { ...state.classes }, known = new Set(Object.values(classes));
  let added = 0;
  for (const line of lines.slice(0, MOST_CLASSES)) {
    const [, number, rest] = /^(?:(\d{1,9})\s*:\s*)?(.*)$/.exec(line), name = rest.slice(0, LONGEST_NAME);
    if (!name || known.has(name)) continue;
    const free = number !== undefined && !(number in classes);
    classes[free ? Number(number) : nextNumber(classes)] = name;
    known.add(name);
    added++;
  }
  if (!added) return setStatus(`${file.name} names no class that is not here: one name a line.`);
  changeClasses("Labels file", classes);
  const rest = lines.length > MOST_CLASSES ? ` Only the first ${MOST_CLASSES} lines were read.` : "";
  setStatus(`${counted(added, "class").replace(/classs$/, "classes")} added from ${file.name}.${rest}`);
}

function saveLabels() {
  const lines = classNumbers().map((kind) => `${kind}: ${className(kind)}\n`);
  const link = make("a", { download: "labels.txt", href: URL.createObjectURL(new Blob(lines)) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function start() {
  on("records classes", () => { fillClasses(); showClass(); });
  on("selection", showClass);
  on("classes records", () => state.look.byClass && state.image && emit("colours"));
  find(".class-choice").addEventListener("change", (event) => {
    const { value } = event.target;
    find(".class-new").hidden = value !== "new";
    if (value === "new") return find(".class-name").focus();
    give(value === "" ? null : Number(value));
  });
  find(".class-name").addEventListener("keydown", (event) => {
    if (event.key === "Enter") addClass();
    if (event.key !== "Escape") return;
    find(".class-new").hidden = true;
    showClass();
  });
  find(".open-labels").addEventListener("click", () => find(".labels-file").click());
  find(".save-labels").addEventListener("click", saveLabels);
  find(".labels-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) readLabels(file);
  });
}
