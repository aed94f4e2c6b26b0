// Classes: which one an instance has, and their names, colours and keys.
import { CLASS_KEYS, keysOf } from "../core/class_keys.js";
import { formatLabels, parseLabels } from "../core/labels_file.js";
import { changed, ready, setClassOfSelected, takeClasses } from "../input/actions.js";
import { setCurrentClass } from "../input/prompting.js";
import { className, classLabel, counted, emit, find, make, on, selected, setStatus, state }
  from "../view/state.js";
import { Choices } from "../view/choices.js";
import { classColour, classColours } from "../view/palette.js";

const LONGEST_NAME = 60;
const chosenKeys = new Choices("segdemo-class-keys");

const classNumbers = () => Object.keys(state.classes).map(Number).sort((a, b) => a - b);
const nextNumber = (classes) => Math.max(0, ...Object.keys(classes).map(Number)) + 1;
const classKeys = () => keysOf(classNumbers(), (kind) => chosenKeys.of(className(kind)));
const numberOf = (name) => classNumbers().find((kind) => state.classes[kind] === name);

// With nothing selected, a class is that of the next instance.
function give(kind) {
  if (selected().length) setClassOfSelected(kind);
  else setCurrentClass(kind);
  showClass();
}

export function chooseClassByKey(key) {
  const [kind] = [...classKeys()].find(([, its]) => its === key) ?? [];
  if (kind === undefined) return setStatus(`No class has the key ${key}: add one with R.`);
  give(kind);
}

// All keys stay from now on as they are; the class that had this one gets the other's.
function chooseKey(kind, key) {
  const keys = classKeys();
  const [owner] = [...keys].find(([, its]) => its === key) ?? [];
  if (key && owner !== undefined) keys.set(owner, keys.get(kind) ?? "");
  keys.set(kind, key);
  for (const [each, its] of keys) chosenKeys.set(className(each), its);
  emit("classes");
  find(`.class-key[data-kind="${kind}"]`).focus();
  const other = key && owner !== undefined ? `, ${className(owner)} ${keys.get(owner) || "none"}` : "";
  setStatus(`${className(kind)} has the key ${key || "none"} now${other}.`);
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
  classColours.set(name, colour);
  if (chosenKeys.of(before) !== undefined) chosenKeys.set(name, chosenKeys.of(before));
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

function keyChoice(kind, key) {
  const choice = make("select", { className: "class-key", title: "Key that gives this class" },
    make("option", { value: "" }, "-"),
    ...CLASS_KEYS.map((each) => make("option", { value: each }, each)));
  choice.dataset.kind = kind;
  choice.value = key;
  choice.setAttribute("aria-label", `Key of ${className(kind)}`);
  choice.addEventListener("change", () => chooseKey(kind, choice.value));
  return choice;
}

function classRow(kind, key) {
  const name = className(kind);
  const colour = make("input", { type: "color", value: classColour(kind) });
  colour.setAttribute("aria-label", `Colour of ${name}`);
  colour.addEventListener("change", () => {
    classColours.set(name, colour.value);
    emit("colours");
    emit("records", []);
  });
  const text = make("input", { type: "text", value: name, maxLength: LONGEST_NAME });
  text.setAttribute("aria-label", `Name of class ${kind}`);
  text.addEventListener("change", () => rename(kind, text.value.trim()));
  const use = make("button", { type: "button", title: "Give this class" }, "Use");
  use.setAttribute("aria-label", `Use: give the class ${name}`);
  use.addEventListener("click", () => give(kind));
  const gone = make("button", { type: "button", title: "Delete this class" }, "✕");
  gone.setAttribute("aria-label", `Delete the class ${name}`);
  gone.addEventListener("click", () => remove(kind));
  return make("li", { className: "class-item" }, colour, text, keyChoice(kind, key), use, gone);
}

function fillClasses() {
  const kinds = classNumbers(), keys = classKeys();
  const options = kinds.map((kind) => {
    const key = keys.has(kind) ? `${keys.get(kind)}: ` : "";
    return make("option", { value: String(kind) }, key + classLabel(kind));
  });
  find(".class-choice").replaceChildren(make("option", { value: "" }, "none"), ...options,
    make("option", { value: "new" }, "Add a class ..."));
  find(".classes").replaceChildren(...kinds.map((kind) => classRow(kind, keys.get(kind) ?? "")));
  find(".classes-said").textContent = `(${kinds.length})`;
}

function showClass() {
  if (!state.image) return;
  const kinds = new Set(selected().length ? selected().map((id) => state.image.record(id).class ?? "")
    : [state.currentClass ?? ""]);
  find(".class-choice").value = kinds.size === 1 ? String([...kinds][0]) : "";
}

async function readLabels(file) {
  if (!ready()) return;
  const read = parseLabels(await file.text(), LONGEST_NAME);
  const classes = { ...state.classes }, known = new Set(Object.values(classes));
  let added = 0, keyed = 0;
  for (const { number, name, key } of read.classes) {
    if (key && chosenKeys.of(name) !== key) {
      chosenKeys.set(name, key);
      keyed++;
    }
    if (known.has(name)) continue;
    const free = number !== null && !(number in classes);
    classes[free ? number : nextNumber(classes)] = name;
    known.add(name);
    added++;
  }
  if (!added && !keyed) return setStatus(`${file.name} names no class that is not here: one name a line.`);
  if (added) changeClasses("Labels file", classes);
  else emit("classes");
  const keys = keyed ? ` ${counted(keyed, "key")} set.` : "";
  const rest = read.cut ? " Only its first lines were read." : "";
  setStatus(`${added === 1 ? "1 class" : `${added} classes`} added from ${file.name}.${keys}${rest}`);
}

function saveLabels() {
  const text = formatLabels(classNumbers().map((number) => {
    const name = className(number);
    return { number, name, key: chosenKeys.of(name) };
  }));
  const link = make("a", { download: "labels.txt", href: URL.createObjectURL(new Blob([text])) });
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
