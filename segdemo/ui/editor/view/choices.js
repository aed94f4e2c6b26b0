// What this browser's user chose for classes, by their names; kept for the next visit.
export class Choices {
  constructor(key) {
    this.key = key;
  }

  get all() {
    try {
      this.kept ??= JSON.parse(localStorage.getItem(this.key)) || {};
    } catch {
      this.kept = {}; // a private window, or not ours
    }
    return this.kept;
  }

  of(name) {
    return this.all[name];
  }

  set(name, value) {
    this.all[name] = value;
    try {
      localStorage.setItem(this.key, JSON.stringify(this.kept));
    } catch { /* a private window: it lasts as long as the page */ }
  }
}
