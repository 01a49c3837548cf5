/** Keyboard shortcuts of the whole page. */

import { showHelp } from "./dialogs.js";
import { byId } from "./dom.js";
import { openPanel } from "./filters.js";

/** Set up the event handler. */
export function setUpKeys() {
  addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.target.matches("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape") event.target.blur?.();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    byId("text").focus();
    byId("text").select();
  } else if (event.key === "?") showHelp();
  else if (event.key === "Escape" && !byId("filters").hidden) openPanel(false);
}
