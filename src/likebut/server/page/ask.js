/** The form: reference pictures, what should be different, what not, and the balance of the two. */

import { thumbnailUrl } from "./api.js";
import { button, byId, element, icon } from "./dom.js";
import { BALANCED, currentTurn, isSearch } from "./turns.js";
import { isAtHand, uploadUrl } from "./uploads.js";

const MOST_REFERENCES = 4;
const WEIGHT_PAUSE = 250;

/**
 * Wire the form up.
 * @param {object} actions hasImages(), ask(changes), weigh(weight)
 */
export function setUpForm(actions) {
  const [text, negative] = [byId("text"), byId("negative")];
  let timer = 0;
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!actions.hasImages() && !text.value.trim() && negative.value.trim()) {
      text.setCustomValidity("Say what to look for as well: “without” alone finds nothing.");
      text.reportValidity();
      return;
    }
    clearTimeout(timer);
    actions.ask({ text: text.value, negative: negative.value, weight: Number(byId("weight").value) });
  });
  text.addEventListener("input", () => text.setCustomValidity(""));
  byId("weight").addEventListener("input", () => {
    describeWeight();
    clearTimeout(timer);
    timer = setTimeout(() => actions.weigh(Number(byId("weight").value)), WEIGHT_PAUSE);
  });
  byId("weight").addEventListener("dblclick", () => {
    byId("weight").value = String(BALANCED);
    describeWeight();
    actions.weigh(BALANCED);
  });
}

/**
 * Show the current turn in the form.
 * @param {object} trail
 * @param {object} actions remove(position), chooseFile(), chooseFurtherFile()
 * @param {boolean} keepsWords Whether what is typed stays, though it was not asked for yet.
 */
export function showForm(trail, actions, keepsWords = false) {
  const turn = currentTurn(trail);
  const hasImages = turn.images.length > 0;
  document.body.classList.toggle("searching", isSearch(turn));
  document.body.classList.toggle("with-images", hasImages);
  if (!keepsWords) {
    byId("text").value = turn.text;
    byId("negative").value = turn.negative;
  }
  byId("text-label").textContent = hasImages ? "but" : "Describe a picture";
  byId("text-label").className = hasImages ? "" : "unseen";
  byId("text").placeholder = hasImages ? "in red, with longer sleeves…" : "Describe a picture";
  byId("balance").hidden = !(hasImages && turn.text.trim());
  byId("weight").value = String(turn.weight);
  describeWeight();
  showReferences(turn, actions);
}

function describeWeight() {
  const weight = Number(byId("weight").value);
  const words = weight === BALANCED ? "even" : weight < BALANCED ? "more words" : "more picture";
  byId("weight").setAttribute("aria-valuetext", `${words}, ${Math.round(100 * weight)} % picture`);
}

function showReferences(turn, actions) {
  const shown = turn.images.map((image, position) => reference(image, position, actions));
  if (shown.length === 0) shown.push(emptyPlace(actions));
  else if (shown.length < MOST_REFERENCES) shown.push(furtherPlace(actions));
  byId("references").replaceChildren(
    ...(turn.images.length ? [element("span", { class: "like" }, "Like")] : []),
    ...shown,
  );
}

function reference(image, position, actions) {
  const name = image.name ?? "picture of the gallery";
  const remove = button(icon("close"), () => actions.remove(position), {
    class: "remove",
    "aria-label": `Remove reference ${position + 1}: ${name}`,
  });
  return element("div", { class: isAtHand(image) ? "reference" : "reference lost", title: name }, preview(image), remove);
}

/** Return the picture of an image in small. */
export function preview(image) {
  if (!isAtHand(image)) return icon("lost");
  const src = image.id ? thumbnailUrl(image.id) : uploadUrl(image);
  const shown = element("img", { src, alt: image.name ?? "Reference", onerror: () => shown.replaceWith(icon("lost")) });
  return shown;
}

function emptyPlace(actions) {
  const text = element(
    "span",
    {},
    element("strong", {}, "Start from a picture"),
    element("span", { class: "ways with-mouse" }, "drop it here, paste it, or choose a file"),
    element("span", { class: "ways with-finger" }, "choose or take a photo"),
  );
  return button(icon("picture"), actions.chooseFile, { class: "place" }).appendChild(text).parentElement;
}

function furtherPlace(actions) {
  return button(icon("plus"), actions.chooseFurtherFile, {
    class: "further",
    "aria-label": "Add another reference picture",
    title: "Add another reference picture",
  });
}
