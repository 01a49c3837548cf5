/** The steps of the search across the top; each can be returned to. */

import { preview } from "./ask.js";
import { button, byId, element, icon } from "./dom.js";
import { isSearch } from "./turns.js";

/** Show the trail; going back calls onReturn with the step's number. */
export function showTrail(trail, onReturn) {
  const nav = byId("trail");
  const steps = trail.turns.map((turn, number) => step(turn, number, trail.at, onReturn));
  nav.hidden = !trail.turns.some(isSearch);
  nav.querySelector("ol").replaceChildren(...steps);
  const current = nav.querySelector("[aria-current]");
  // Only the trail itself may scroll: scrollIntoView would move the page too.
  if (current) nav.scrollLeft = current.offsetLeft - nav.clientWidth / 2 + current.offsetWidth / 2;
}

function step(turn, number, at, onReturn) {
  const words = wordsOf(turn);
  const pictures = turn.images.slice(0, 2).map(preview);
  const further = turn.images.length > 2 ? element("span", { class: "count" }, `+${turn.images.length - 2}`) : null;
  const shown = button(
    element("span", { class: "pictures" }, ...(pictures.length ? pictures : [icon("words")]), further),
    () => onReturn(number),
    {
      class: number > at ? "step later" : "step",
      "aria-label": `Step ${number + 1}: ${turn.images.length ? "like a picture" : "a description"}${words ? `, ${words}` : ""}`,
      "aria-current": number === at ? "step" : null,
    },
  );
  shown.append(element("span", { class: "said" }, words || "more like this"));
  return element("li", {}, shown);
}

function wordsOf(turn) {
  const negative = turn.negative.trim() ? `without ${turn.negative.trim()}` : "";
  return [turn.text.trim(), negative].filter(Boolean).join(", ");
}
