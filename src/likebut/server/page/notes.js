/** The line below the form: what the person should know of the present search. */

import { button, byId, element } from "./dom.js";
import { isAtHand } from "./uploads.js";

/** Say that a picture is only in this browser, if one is; add() puts it into the gallery. */
export function showNote(turn, gallery, add) {
  const own = turn.images.filter((image) => !image.id && isAtHand(image));
  const note = byId("note");
  note.hidden = own.length === 0;
  if (own.length === 0) return;
  const names = own.map((image) => `“${image.name}”`).join(" and ");
  note.replaceChildren(element("span", {}, `${names} is only in this browser, so a link to this search cannot carry it. `));
  if (gallery.can_add) note.append(button("Add it to the gallery", add, { class: "link" }));
}

/** Say how far adding is; nothing if there is nothing to add. */
export function showProgress(done, total) {
  const note = byId("note");
  note.hidden = total === 0;
  if (total) note.replaceChildren(element("progress", { value: done, max: total }), ` Adding ${done + 1} of ${total}…`);
}
