/** The note below the form: images that links cannot contain, and upload progress. */

import { button, byId, element } from "./dom.js";
import { isAvailable } from "./uploads.js";

/** Show which images are stored in this browser only; add() adds them to the gallery. */
export function showNote(turn, gallery, add) {
  const own = turn.images.filter((image) => !image.id && isAvailable(image));
  const note = byId("note");
  note.hidden = own.length === 0;
  if (own.length === 0) return;
  const names = own.map((image) => `“${image.name}”`).join(" and ");
  note.replaceChildren(element("span", {}, `${names} is stored in this browser only, so a link to this search cannot contain it. `));
  if (gallery.can_add) note.append(button("Add to the gallery", add, { class: "link" }));
}

/** Show the progress of adding files; hide it if `total` is 0. */
export function showProgress(done, total) {
  const note = byId("note");
  note.hidden = total === 0;
  if (total) note.replaceChildren(element("progress", { value: done, max: total }), ` Adding ${done + 1} of ${total}…`);
}
