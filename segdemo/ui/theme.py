"""Colours, spacing and what else the page is served with."""

from __future__ import annotations

import gradio as gr

# blue-700 and blue-600 under white text pass WCAG AA in both modes; Gradio's orange does not
THEME = gr.themes.Default(
    primary_hue=gr.themes.colors.blue,
    secondary_hue=gr.themes.colors.blue,
    neutral_hue=gr.themes.colors.slate,
    # the system's own, so that text looks the same before and after any font has loaded
    font=["ui-sans-serif", "system-ui", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_700",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
    block_label_text_color="*neutral_700",
    button_large_text_weight="600",
    button_medium_text_weight="500",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)

CSS = """
.gradio-container {
  width: 100% !important; max-width: clamp(1240px, 81vw, 1560px) !important;
  margin: 0 auto !important;
}
/* photos want room: an open editor has the window's width, and in focus mode all of it */
.gradio-container:has([role="tabpanel"]:not([style*="none"]) .bench:not([hidden])) {
  &, & > .fillable { max-width: none !important; }
}
.skip-to-photo {
  position: fixed; top: 6px; left: 6px; z-index: 1000; padding: 8px 12px; border-radius: 6px;
  color: white; background: #1d4ed8;
}
.skip-to-photo:is([hidden], :not(:focus)) { opacity: 0; pointer-events: none; }
.skip-to-photo[hidden] { display: none; }
html:has(.mask-editor.focus-mode) { overflow: hidden; }
#header h1 { font-size: 1.6rem; font-weight: 650; line-height: 1.2; margin: 0; }
#header p {
  margin: 0.2rem 0 0; color: var(--neutral-600); font-size: 0.9rem; text-wrap: pretty;
}
.dark #header p { color: var(--neutral-300); }
.gallery:has(> .gallery-item) {
  display: grid !important; grid-template-columns: repeat(6, minmax(0, 81px)); gap: 8px !important;
}
.gallery-item .container.gallery {
  width: 100% !important; max-width: none !important; height: auto; aspect-ratio: 4 / 3;
}
.gallery-item .container.gallery img {
  width: 100% !important; max-width: none !important; height: 100%; object-fit: cover;
}
#trace-edges h2 { font-size: 1.05rem; margin: 0; }
@media (min-width: 1000px) { #trace-curves { position: sticky; top: 8px; align-self: flex-start; } }
#run-status { min-height: 1.6rem; }
#run-status p { margin: 0; font-variant-numeric: tabular-nums; }
button:not(.label-wrap) { min-height: 32px; min-width: 32px; }
button.label-wrap { min-height: 32px; align-items: center; }
.block:has(> button.label-wrap:not(.open)) { padding-block: 4px; }
#cutout img {
  width: auto; height: auto; max-width: 100%; max-height: 100%; margin: auto;
  background: repeating-conic-gradient(#d6d6d6 0 25%, #f6f6f6 0 50%) 0 0 / 20px 20px;
}
#batch-table { --font-mono: var(--font); }
#batch-table :is(th, td) * { font-size: 0.82rem; }
:is(
  #trace-view, #trace-status, #edge-chart, #painter, #refine-report, #export-report
) > .html-container { padding: 0; }
@media (max-width: 480px) {
  #photo, #compare, #mask, #edge, #cutout, #uncertainty { height: 270px !important; }
  .gallery:has(> .gallery-item) { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  #results button[role="tab"] { padding-inline: 4px; font-size: 0.78rem; flex: none; }
  #results .tab-container { overflow-x: auto; }
}
button[role="tab"].selected { color: var(--primary-700) !important; }
.dark button[role="tab"].selected { color: var(--primary-300) !important; }
footer, footer button, footer a { color: var(--neutral-600) !important; }
.dark footer, .dark footer button, .dark footer a { color: var(--neutral-300) !important; }
"""

# A status line is read out when it changes, and what Gradio names wrongly or not at all gets the
# name that its visible words give it; Gradio has no property for either.
HELP_READERS = """
() => {
  const name = () => {
    for (const button of document.querySelectorAll("button.gallery-item:not([aria-label])")) {
      const file = button.querySelector("img")?.src.split("/").pop();
      if (file) button.setAttribute("aria-label", "Example photo " + decodeURIComponent(file));
    }
    for (const button of document.querySelectorAll("button[aria-dropeffect][aria-label]")) {
      button.removeAttribute("aria-label");
    }
    for (const empty of document.querySelectorAll(".empty[aria-label]:not([role])")) {
      empty.setAttribute("role", "img");
    }
    for (const icon of document.querySelectorAll("footer img:not([alt=''])")) icon.alt = "";
  };
  name();
  document.getElementById("header")?.addEventListener("click", (event) => {
    if (!event.target.closest('a[href="#help"]')) return;
    event.preventDefault();
    [...document.querySelectorAll('button[role="tab"]')]
      .find((tab) => tab.textContent.trim() === "Help")?.click();
  });
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  for (const id of ["run-status", "batch-status"]) {
    const line = document.getElementById(id);
    line?.setAttribute("role", "status");
    line?.setAttribute("aria-live", "polite");
  }
}
"""
