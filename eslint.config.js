import js from "@eslint/js";
import globals from "globals";

const gradio = Object.fromEntries(
  ["element", "props", "server", "trigger", "upload", "watch"].map((name) => [name, "readonly"]));

export default [
  { ignores: [".venv/", "node_modules/", "out/", "runs/", "test-results/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      eqeqeq: "error",
      "no-shadow": "error",
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["segdemo/ui/editor/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["segdemo/ui/editor/core/*.js"], languageOptions: { globals: {} } },
  {
    // the body of a function that Gradio calls once the component is on the page
    files: ["segdemo/ui/**/*.js"],
    ignores: ["segdemo/ui/editor/**"],
    languageOptions: { sourceType: "script", globals: { ...globals.browser, ...gradio, top: "off" } },
    rules: { "no-redeclare": ["error", { builtinGlobals: false }], "no-shadow": "off" },
  },
  {
    // joined to one script
    files: ["segdemo/ui/**/trace_view/*.js"],
    rules: { "no-undef": "off", "no-unused-vars": ["error", { varsIgnorePattern: "^(draw|watch)" }] },
  },
  { files: ["tests/editor/*.js"], languageOptions: { globals: globals.node } },
];
