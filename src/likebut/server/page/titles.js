/** The title of the results and of the window. */

import { byId, counted } from "./dom.js";
import { isSearch } from "./turns.js";

/** Return the title of a turn's results; without a query, the number of images. */
export function titleOf(turn, total) {
  if (!isSearch(turn)) {
    const some = Object.keys(turn.filter).length ? ` ${total === 1 ? "matches" : "match"} the filters` : "";
    return `${counted(total, "image")}${some}`;
  }
  const text = turn.text.trim();
  const without = turn.negative.trim() ? `, without ${turn.negative.trim()}` : "";
  if (!turn.images.length) return `“${text}”${without}`;
  const like = turn.images.length > 1 ? "Like these" : "Like this";
  return text ? `${like}, but ${text}${without}` : `${like}${without}`;
}

/** Show the title and the timing; the window's title names a search too. */
export function showTitle(title, detail, searched) {
  byId("summary").textContent = title;
  byId("summary").hidden = title === "";
  byId("timing").textContent = detail;
  document.title = title && searched ? `${title} – likebut` : "likebut";
}
