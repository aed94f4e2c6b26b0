// An image's instances: pixels, class and flags of each id; undo and redo.
import { LabelMap, MOST_ID } from "./label_map.js";

const UNDO_BYTES = 96e6;

class History {
  constructor(budget) {
    Object.assign(this, { budget, undo: [], redo: [] });
  }

  get bytes() {
    return [...this.undo, ...this.redo].reduce((sum, step) => sum + step.bytes, 0);
  }

  push(step) {
    this.redo = [];
    this.undo.push(step);
    let { bytes } = this;
    while (bytes > this.budget && this.undo.length > 1) bytes -= this.undo.shift().bytes;
  }
}

export class EditedImage {
  constructor(width, height, labels, records = {}, highest = 0, budget = UNDO_BYTES) {
    this.map = new LabelMap(width, height, labels);
    this.history = new History(budget);
    this.records = new Map();
    this.classes = {}; // names by number, of all images: a change of them is a step as well
    for (const id of Object.keys(records)) this.setRecord(Number(id), records[id]);
    for (const id of this.map.ids()) this.record(id);
    this.highest = Math.max(highest, ...this.map.ids());
  }

  // Steps that the server kept: {undo, redo}, each {what, box, place}; values: their pixels in a row.
  restoreHistory(history, values) {
    for (const way of ["undo", "redo"]) {
      this.history[way] = history[way].map(({ what, box, place }) => {
        const size = (box[2] - box[0]) * (box[3] - box[1]);
        const pixels = values.slice(place, place + size);
        return { what, box, ids: new Set(), pixels, outcomes: [], bytes: pixels.byteLength };
      });
    }
  }

  record(id) {
    if (!this.records.has(id)) this.setRecord(id);
    return this.records.get(id);
  }

  setRecord(id, { class: kind = null, hidden = false, locked = false } = {}) {
    this.records.set(id, { class: kind, hidden, locked });
  }

  get locked() {
    return this.map.ids().filter((id) => this.record(id).locked);
  }

  // A number never used in this image, so that undo cannot meet it; else the lowest without a pixel.
  newId(like) {
    let id = this.highest + 1;
    if (id > MOST_ID) id = this.map.areas.indexOf(0, 1);
    if (id < 1) throw new RangeError("All 65535 numbers are in use: merge or delete instances.");
    this.highest = Math.max(this.highest, id);
    this.setRecord(id, { class: like ? this.record(like).class : null });
    return id;
  }

  // The last new number was not needed after all.
  dropId(id) {
    if (id !== this.highest || this.map.areas[id]) return;
    this.records.delete(id);
    this.highest--;
  }

  // Runs `work` as one step that can be taken back; returns the step, or null for no change.
  change(what, work) {
    this.map.begin(what);
    work();
    return this.keep(this.map.finish());
  }

  // outcomes: what else the page has to turn with the step, both ways.
  keep(step) {
    if (step) this.history.push(Object.assign(step, { outcomes: [] }));
    return step;
  }

  undo() {
    return this.turn(this.history.undo, this.history.redo, "Undo");
  }

  redo() {
    return this.turn(this.history.redo, this.history.undo, "Redo");
  }

  turn(from, to, verb) {
    const step = from.pop();
    if (!step) return null;
    const back = step.records ? this.swapRecords(step) : this.map.swap(step);
    if (!back) return this.turn(from, to, verb); // it changes nothing any more
    back.outcomes = step.outcomes;
    to.push(back);
    return { ...back, what: verb + ": " + step.what };
  }

  swapRecords(step) {
    const before = new Map([...step.records.keys()].map((id) => [id, { ...this.record(id) }]));
    for (const [id, record] of step.records) this.records.set(id, { ...record });
    if (!step.classes) return { ...step, records: before };
    const { classes } = this;
    this.classes = step.classes;
    return { ...step, records: before, classes };
  }

  setClass(ids, kind) {
    const records = new Map(ids.map((id) => [id, { ...this.record(id) }]));
    for (const id of ids) this.record(id).class = kind;
    return this.keep({ what: "Class", ids: new Set(ids), box: null, records, bytes: 64 });
  }

  // The work's classes become `classes`, and the class of some instances `kind`, as one step.
  changeClasses(what, classes, ids, kind) {
    const records = new Map(ids.map((id) => [id, { ...this.record(id) }])), before = this.classes;
    for (const id of ids) this.record(id).class = kind;
    this.classes = classes;
    return this.keep({ what, ids: new Set(ids), box: null, records, classes: before, bytes: 64 });
  }

  merge([first, ...others]) {
    return this.change("Merge", () => others.forEach((id) => this.map.replace(id, first)));
  }

  remove(ids) {
    return this.change("Delete", () => ids.forEach((id) => this.map.replace(id, 0)));
  }

  // splits: [id, what partsOf returned] of each instance. Returns the step and the new ids.
  split(what, splits) {
    const made = [];
    const step = this.change(what, () => {
      for (const [id, { box, grid, count }] of splits) {
        const ids = [0, id];
        for (let part = 2; part <= count; part++) ids.push(this.newId(id));
        made.push(...ids.slice(2));
        this.writeParts(box, grid, ids);
      }
    });
    return { step, made };
  }

  writeParts([left, top, right, bottom], grid, ids) {
    for (let row = top, p = 0; row < bottom; row++) {
      for (let x = left; x < right; ) {
        const part = grid[p];
        let to = x;
        while (to < right && grid[p] === part) (to++, p++);
        if (part > 1) this.map.writeSpan(row, x, to, ids[part]);
        x = to;
      }
    }
  }

  // Applies pixels and records that were made elsewhere, as one step.
  take(what, box, values, records) {
    for (const id of Object.keys(records)) this.setRecord(Number(id), records[id]);
    this.highest = Math.max(this.highest, ...Object.keys(records).map(Number));
    return this.change(what, () => this.map.writeBox(box, values));
  }
}
