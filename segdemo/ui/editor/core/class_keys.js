// Which of the keys 1 to 9 gives which class.
export const CLASS_KEYS = [..."123456789"];

// Returns the key of each class that has one. kinds: numbers of the classes, in their order.
// chosen: by number, a key or "" for none; the other classes have what is left, in their order.
export function keysOf(kinds, chosen) {
  const keys = new Map(), taken = new Set();
  for (const kind of kinds) {
    const key = chosen(kind);
    if (!key || taken.has(key)) continue;
    keys.set(kind, key);
    taken.add(key);
  }
  const free = CLASS_KEYS.filter((key) => !taken.has(key));
  for (const kind of kinds) {
    if (keys.has(kind) || chosen(kind) === "") continue;
    const key = free.shift();
    if (key) keys.set(kind, key);
  }
  return keys;
}
