// Everything is in place: show the settings, follow Python, and ask for the work of this page.
find(".opacity").value = state.look.opacity;
for (const name of ["tool", "look", "edges", "proposals", "busy", "picture"]) tell(name);
if (props.debug) element.maskEditor = { state, saver, timings, view };
watch("value", listen);
if (props.value) listen();
else greet("sessionStorage");
