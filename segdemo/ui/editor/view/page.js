// What Gradio gives the component's script. Set once, before the other modules start.
export let element, props, server, trigger, watch;

export function attach(host) {
  ({ element, props, server, trigger, watch } = host);
}
