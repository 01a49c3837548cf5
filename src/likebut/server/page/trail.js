/** The steps of a multi-turn search across the top. */

import { preview } from "./form.js";
import { button, byId, element, icon } from "./dom.js";
import { isSearch } from "./turns.js";

/** Show the steps; a click calls onReturn with the step's number. */
export function showTrail(trail, onReturn) {
  const nav = byId("trail");
  const steps = trail.turns.map((turn, number) => step(turn, number, trail.at, onReturn));
  nav.hidden = !trail.turns.some(isSearch);
  nav.querySelector("ol").replaceChildren(...steps);
  const current = nav.querySelector("[aria-current]");
  // scrollIntoView would scroll the page as well.
  if (current) nav.scrollLeft = current.offsetLeft - nav.clientWidth / 2 + current.offsetWidth / 2;
}

function step(turn, number, at, onReturn) {
  const text = textOf(turn);
  const images = turn.images.slice(0, 2).map(preview);
  const further = turn.images.length > 2 ? element("span", { class: "count" }, `+${turn.images.length - 2}`) : null;
  const shown = button(
    element("span", { class: "images" }, ...(images.length ? images : [icon("text")]), further),
    () => onReturn(number),
    {
      class: number > at ? "step later" : "step",
      "aria-label": `Step ${number + 1}: ${turn.images.length ? "like an image" : "a description"}${text ? `, ${text}` : ""}`,
      "aria-current": number === at ? "step" : null,
    },
  );
  shown.append(element("span", { class: "label" }, text || "more like this"));
  return element("li", {}, shown);
}

function textOf(turn) {
  const negative = turn.negative.trim() ? `without ${turn.negative.trim()}` : "";
  return [turn.text.trim(), negative].filter(Boolean).join(", ");
}
