/** The note below the form: local images, truncated texts, upload progress. */

import { button, byId, element } from "./dom.js";
import { isAvailable } from "./uploads.js";

/**
 * Show what limits the current search: images that are stored in this browser only, and texts that the model truncated.
 * @param {object} turn
 * @param {object} gallery
 * @param {function} add Adds the images to the gallery.
 * @param {string[]} truncated "text" and "negative", if the model read only their beginning.
 */
export function showNote(turn, gallery, add, truncated = []) {
  const lines = truncated.map((name) =>
    element("span", {}, `The ${name === "negative" ? "negative text" : "text"} is longer than the model reads; its end was ignored. `),
  );
  const own = turn.images.filter((image) => !image.id && isAvailable(image));
  if (own.length) {
    const names = own.map((image) => `“${image.name}”`).join(" and ");
    lines.push(element("span", {}, `${names} is stored in this browser only, so a link to this search cannot contain it. `));
    if (gallery.can_add) lines.push(button("Add to the gallery", add, { class: "link" }));
  }
  const note = byId("note");
  note.hidden = lines.length === 0;
  if (lines.length) note.replaceChildren(...lines);
}

/** Show the progress of adding files; hide it if `total` is 0. */
export function showProgress(done, total) {
  const note = byId("note");
  note.hidden = total === 0;
  if (total) note.replaceChildren(element("progress", { value: done, max: total }), ` Adding ${done + 1} of ${total}…`);
}
