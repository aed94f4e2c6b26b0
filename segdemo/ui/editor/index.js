// The mask editor. Starts its parts in order, then asks for the work of this page.
import * as actions from "./input/actions.js";
import * as keyboard from "./input/keyboard.js";
import * as outlining from "./input/outlining.js";
import * as pointer from "./input/pointer.js";
import * as prompting from "./input/prompting.js";
import * as splits from "./input/splits.js";
import * as classes from "./panels/classes.js";
import * as edges from "./panels/edges.js";
import * as focusMode from "./panels/focus_mode.js";
import * as help from "./panels/help.js";
import * as instances from "./panels/instances.js";
import * as look from "./panels/look.js";
import * as proposals from "./panels/proposals.js";
import * as queue from "./panels/queue.js";
import * as review from "./panels/review.js";
import * as reach from "./panels/reach.js";
import * as sessions from "./panels/sessions.js";
import * as toolbar from "./panels/toolbar.js";
import * as messages from "./sync/messages.js";
import * as saving from "./sync/saving.js";
import * as drawing from "./view/drawing.js";
import { attach } from "./view/page.js";
import { emit, find, reset, state, timings } from "./view/state.js";
import * as viewport from "./view/viewport.js";

const PARTS = [viewport, drawing, saving, actions, splits, prompting, outlining, pointer, keyboard, toolbar, queue,
  instances, classes, look, edges, proposals, review, focusMode, help, reach, sessions, messages];

// host: {element, props, server, trigger, watch} of Gradio's component.
export function start(host) {
  attach(host);
  reset();
  for (const part of PARTS) part.start();
  find(".opacity").value = state.look.opacity;
  for (const name of ["tool", "look", "edges", "proposals", "busy", "image"]) emit(name);
  const { element, props, watch } = host;
  if (props.debug) element.maskEditor = { state, saver: saving.saver, timings, view: viewport.view };
  watch("value", messages.listen);
  if (props.value) messages.listen();
  else messages.greet("sessionStorage");
}
