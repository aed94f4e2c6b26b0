// Colours that people with any colour vision can tell apart (Okabe and Ito), in three shades.
import { MOST_ID } from "../core/label_map.js";
import { Choices } from "./choices.js";
import { state } from "./state.js";

const HUES = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00"];
const SHADES = [0, 0.35, -0.3]; // towards white or black

export const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function shaded(hex, shade) {
  const end = shade > 0 ? 255 : 0;
  return channels(hex).map((value) => Math.round(value + (end - value) * Math.abs(shade)));
}

export const PALETTE = SHADES.flatMap((shade) => HUES.map((hue) => shaded(hue, shade)));

export const APART = HUES.length; // the first colours, told apart at a glance

const NO_CLASS = [150, 156, 166];
export const classColours = new Choices("segdemo-class-colours");

export const classColour = (kind) => classColours.of(state.classes[kind])
  || "#" + PALETTE[kind % PALETTE.length].map((one) => one.toString(16).padStart(2, "0")).join("");

export function colourOf(id) {
  if (state.look.byClass) {
    const kind = state.image.records.get(id)?.class ?? null;
    return kind === null ? NO_CLASS : channels(classColour(kind));
  }
  const { shuffle } = state.look;
  return PALETTE[(id - 1 + shuffle * (1 + Math.floor(id / 3)) * 5) % PALETTE.length];
}

export const cssColour = (id) => `rgb(${colourOf(id).join(" ")})`;

// One colour as the four bytes of a pixel.
export const packed = ([red, green, blue], alpha = 255) =>
  ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

// The colour of every id; 0 and hidden ones are clear.
export function colourTable() {
  const table = new Uint32Array(MOST_ID + 1);
  for (const id of state.image.map.ids()) {
    if (!state.image.record(id).hidden) table[id] = packed(colourOf(id), Math.round(255 * (state.opacities.get(id) ?? 1)));
  }
  return table;
}
