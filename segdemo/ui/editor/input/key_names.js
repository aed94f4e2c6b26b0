// What a key says, on any keyboard layout.
const LETTER = /^\p{L}$/u, LATIN = /\p{Script=Latin}/u;
const PLACES = { BracketLeft: "[", BracketRight: "]", Backquote: "`" };

// Returns the sign on the key, letters in lower case: Z is where the keyboard has its Z, also on
// QWERTZ and AZERTY. Where a layout has other letters (Cyrillic, Greek) or no bracket without AltGr,
// the place on a US keyboard decides; digits are found there as well, for AZERTY needs Shift for
// them. `known` says which signs mean something.
export function keyName({ key, code }, known) {
  const name = key.length === 1 ? key.toLowerCase() : key;
  if (known(name)) return name;
  if (LETTER.test(name) && !LATIN.test(name) && /^Key[A-Z]$/.test(code)) return code[3].toLowerCase();
  return PLACES[code] || /^Digit([1-9])$/.exec(code)?.[1] || name;
}
