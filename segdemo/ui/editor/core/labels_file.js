// A labels file: one class a line, "cat" or "3: cat", behind a tab its key where one was chosen.
const MOST_CLASSES = 1000; // that a file may bring
const LINE = /^(?:(\d{1,9})\s*:\s*)?(.*?)\s*(?:\tkey ([1-9]))?$/;

// Returns {classes: [{number or null, name, key or null}], cut: whether there were more lines}.
export function parseLabels(text, longestName) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  const classes = lines.slice(0, MOST_CLASSES).map((line) => {
    const [, number, name, key] = LINE.exec(line);
    return { number: number === undefined ? null : Number(number),
      name: name.slice(0, longestName), key: key ?? null };
  });
  return { classes: classes.filter(({ name }) => name), cut: lines.length > MOST_CLASSES };
}

export const formatLabels = (classes) => classes
  .map(({ number, name, key }) => `${number}: ${name}${key ? `\tkey ${key}` : ""}\n`).join("");
