/** Pictures that are dropped on the page or pasted into it. */

import { byId, element } from "./dom.js";

const OWN = "application/x-likebut-id";

/**
 * Wire dropping and pasting up.
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
    if (!carriesPicture(event.dataTransfer)) return;
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
    const act = event.target.closest("[data-act]")?.dataset.act ?? usual(actions);
    leave();
    take(event.dataTransfer, act, actions);
  });
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(isPicture);
    if (!file) return;
    event.preventDefault();
    actions.begin(file);
  });
}

function take(transfer, act, actions) {
  const id = transfer.getData(OWN);
  const files = [...transfer.files].filter(isPicture);
  if (id && act !== "keep") actions[act]({ id });
  else if (files.length) actions[act](act === "keep" ? files : files[0]);
  else if (!id) actions.refuse("What was dropped is not a picture file.");
}

/** Return what becomes of a picture that is dropped beside the zones: an empty gallery has nothing to search. */
function usual(actions) {
  return actions.isEmpty() && actions.canAdd() ? "keep" : "begin";
}

function carriesPicture(transfer) {
  return transfer.types.includes("Files") || transfer.types.includes(OWN);
}

function isPicture(file) {
  return file.type.startsWith("image/");
}

function showZones(zones, actions) {
  const zone = (act, text) => element("div", { class: "zone", dataset: { act } }, text);
  const shown = usual(actions) === "begin" ? [zone("begin", "Start from this picture")] : [];
  if (actions.hasImages()) shown.push(zone("add", "Add it to the references"));
  if (actions.canAdd()) shown.push(zone("keep", "Add it to the gallery"));
  zones.replaceChildren(...shown);
  zones.hidden = false;
}
