// Mouse, pen and fingers on the canvas. One finger draws; two move and zoom.
import {
  beginGesture, cancelGesture, endGesture, finishDraft, gesture, moveGesture,
} from "./tools.js";
import { endHover } from "./prompting.js";
import { drafts, redraw } from "../view/drawing.js";
import { find, nameOf, state } from "../view/state.js";
import { canvas, imageAt, pan, placeOf, view, zoomAt } from "../view/viewport.js";

const pointers = new Map();
export const held = { space: false, photo: false };
let panning = null, pinch = null;

function pinched() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { middle: [(ax + bx) / 2, (ay + by) / 2], apart: Math.hypot(ax - bx, ay - by) };
}

function release(event, finish) {
  pointers.delete(event.pointerId);
  panning = null;
  if (pinch) {
    if (!pointers.size) pinch = null; // a finger that stays does not begin to draw
    return;
  }
  if (gesture.kind) finish();
  redraw();
}

function hover(event) {
  const tip = find(".tip"), id = state.image.map.at(...imageAt(event));
  tip.hidden = !id || event.pointerType === "touch";
  if (tip.hidden) return;
  const [x, y] = placeOf(event), area = state.image.map.areas[id];
  tip.textContent = `${nameOf(id)}, ${area.toLocaleString("en")} px`;
  const left = Math.min(x + 14, view.width - tip.offsetWidth - 4);
  tip.style.translate = `${Math.max(0, left)}px ${Math.min(y + 16, view.height - 28)}px`;
}

export function start() {
  canvas.addEventListener("pointerdown", (event) => {
    if (!state.image) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeOf(event));
    drafts.cursor = null;
    if (pointers.size === 2) {
      cancelGesture();
      pinch = pinched();
    } else if (event.button === 1 || (event.button === 0 && held.space)) {
      panning = placeOf(event);
      event.preventDefault();
    } else if (pointers.size === 1
      && (event.button === 0 || (event.button === 2 && ["prompt", "seeds"].includes(state.tool)))) {
      beginGesture(imageAt(event), event);
      redraw(event);
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!state.image) return;
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, placeOf(event));
    if (pinch) {
      if (pointers.size !== 2) return;
      const now = pinched();
      pan(now.middle[0] - pinch.middle[0], now.middle[1] - pinch.middle[1]);
      zoomAt(...now.middle, now.apart / (pinch.apart || 1));
      pinch = now;
    } else if (panning) {
      const place = placeOf(event);
      pan(place[0] - panning[0], place[1] - panning[1]);
      panning = place;
    } else {
      const events = event.getCoalescedEvents?.() || [];
      moveGesture((events.length ? events : [event]).map(imageAt), event);
      if (gesture.kind || state.tool !== "select") redraw(gesture.kind ? event : null);
      if (!gesture.kind) hover(event);
    }
  });

  canvas.addEventListener("pointerup", (event) => release(event, endGesture));
  canvas.addEventListener("pointercancel", (event) => release(event, cancelGesture));
  canvas.addEventListener("lostpointercapture", (event) => {
    if (pointers.has(event.pointerId)) release(event, endGesture);
  });
  canvas.addEventListener("pointerleave", () => {
    Object.assign(drafts, { pointer: null, reach: [] });
    endHover();
    find(".tip").hidden = true;
    redraw();
  });
  canvas.addEventListener("dblclick", () => {
    if (drafts.outline?.closes) finishDraft(false);
  });
  canvas.addEventListener("wheel", (event) => {
    if (!state.image) return;
    event.preventDefault();
    const lines = event.deltaMode ? 33 : 1; // some browsers count in lines
    zoomAt(...placeOf(event), Math.exp(-event.deltaY * lines * 0.0015));
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}
