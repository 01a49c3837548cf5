/** Drag and drop, and paste, of images. */

import { byId, element } from "./dom.js";

const GALLERY_ID = "application/x-likebut-id";

/**
 * Set up the event handlers.
 * @param {object} actions hasImages(), isEmpty(), canAdd(), begin(image or file), add(image or file), keep(files),
 *   refuse(message)
 */
export function setUpDropping(actions) {
  const zones = byId("drop");
  let depth = 0;
  const leave = () => {
    depth = 0;
    zones.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!carriesImage(event.dataTransfer)) return;
    depth += 1;
    if (zones.hidden) showZones(zones, actions);
  });
  addEventListener("dragover", (event) => {
    if (!zones.hidden) event.preventDefault();
  });
  addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) leave();
  });
  addEventListener("drop", (event) => {
    if (zones.hidden) return;
    event.preventDefault();
    const act = event.target.closest("[data-act]")?.dataset.act ?? defaultAction(actions);
    leave();
    take(event.dataTransfer, act, actions);
  });
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(isImageFile);
    if (!file) return;
    event.preventDefault();
    actions.begin(file);
  });
}

function take(transfer, act, actions) {
  const id = transfer.getData(GALLERY_ID);
  const files = [...transfer.files].filter(isImageFile);
  if (id && act !== "keep") actions[act]({ id });
  else if (files.length) actions[act](act === "keep" ? files : files[0]);
  else if (!id) actions.refuse("The dropped item is not an image file.");
}

/** Return the action for a drop outside the zones; an empty gallery has nothing to search. */
function defaultAction(actions) {
  return actions.isEmpty() && actions.canAdd() ? "keep" : "begin";
}

function carriesImage(transfer) {
  return transfer.types.includes("Files") || transfer.types.includes(GALLERY_ID);
}

function isImageFile(file) {
  return file.type.startsWith("image/");
}

function showZones(zones, actions) {
  const zone = (act, text) => element("div", { class: "zone", dataset: { act } }, text);
  const shown = defaultAction(actions) === "begin" ? [zone("begin", "Start from this image")] : [];
  if (actions.hasImages()) shown.push(zone("add", "Add as another reference"));
  if (actions.canAdd()) shown.push(zone("keep", "Add to the gallery"));
  zones.replaceChildren(...shown);
  zones.hidden = false;
}
