/** The query form: reference images, modification text, negative text, and the balance of image and text. */

import { thumbnailUrl } from "./api.js";
import { button, byId, element, icon } from "./dom.js";
import { BALANCED, currentTurn, isSearch } from "./turns.js";
import { isAvailable, uploadUrl } from "./uploads.js";

const MAX_REFERENCES = 4;
const WEIGHT_DEBOUNCE_MS = 250;

/**
 * Set up the form's event handlers.
 * @param {object} actions hasImages(), search(changes), weigh(weight)
 */
export function setUpForm(actions) {
  const [text, negative] = [byId("text"), byId("negative")];
  let timer = 0;
  byId("query").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!actions.hasImages() && !text.value.trim() && negative.value.trim()) {
      text.setCustomValidity("Enter a text as well: a search needs a text or an image besides “without”.");
      text.reportValidity();
      return;
    }
    clearTimeout(timer);
    actions.search({ text: text.value, negative: negative.value, weight: Number(byId("weight").value) });
  });
  text.addEventListener("input", () => text.setCustomValidity(""));
  byId("weight").addEventListener("input", () => {
    describeWeight();
    clearTimeout(timer);
    timer = setTimeout(() => actions.weigh(Number(byId("weight").value)), WEIGHT_DEBOUNCE_MS);
  });
  byId("weight").addEventListener("dblclick", () => {
    byId("weight").value = String(BALANCED);
    describeWeight();
    actions.weigh(BALANCED);
  });
}

/**
 * Fill the form from the current turn.
 * @param {object} trail
 * @param {object} actions remove(position), chooseFile(), chooseFurtherFile()
 * @param {boolean} keepsText Whether text that is typed but not yet submitted is kept.
 */
export function showForm(trail, actions, keepsText = false) {
  const turn = currentTurn(trail);
  const hasImages = turn.images.length > 0;
  document.body.classList.toggle("searching", isSearch(turn));
  document.body.classList.toggle("with-images", hasImages);
  if (!keepsText) {
    byId("text").value = turn.text;
    byId("negative").value = turn.negative;
  }
  byId("text-label").textContent = hasImages ? "but" : "Describe an image";
  byId("text-label").className = hasImages ? "" : "unseen";
  byId("text").placeholder = hasImages ? "in red, with longer sleeves…" : "Describe an image";
  byId("balance").hidden = !(hasImages && turn.text.trim());
  byId("weight").value = String(turn.weight);
  describeWeight();
  showReferences(turn, actions);
}

function describeWeight() {
  const weight = Number(byId("weight").value);
  const balance = weight === BALANCED ? "balanced" : weight < BALANCED ? "more text" : "more image";
  byId("weight").setAttribute("aria-valuetext", `${balance}, ${Math.round(100 * weight)} % image`);
}

function showReferences(turn, actions) {
  const shown = turn.images.map((image, position) => reference(image, position, actions));
  if (shown.length === 0) shown.push(emptyReference(actions));
  else if (shown.length < MAX_REFERENCES) shown.push(addReferenceButton(actions));
  byId("references").replaceChildren(
    ...(turn.images.length ? [element("span", { class: "like" }, "Like")] : []),
    ...shown,
  );
}

function reference(image, position, actions) {
  const name = image.name ?? "gallery image";
  const remove = button(icon("close"), () => actions.remove(position), {
    class: "remove",
    "aria-label": `Remove reference ${position + 1}: ${name}`,
  });
  return element("div", { class: isAvailable(image) ? "reference" : "reference lost", title: name }, preview(image), remove);
}

/** Return a small preview of a turn's image. */
export function preview(image) {
  if (!isAvailable(image)) return icon("lost");
  const src = image.id ? thumbnailUrl(image.id) : uploadUrl(image);
  const shown = element("img", { src, alt: image.name ?? "Reference", onerror: () => shown.replaceWith(icon("lost")) });
  return shown;
}

function emptyReference(actions) {
  const text = element(
    "span",
    {},
    element("strong", {}, "Start from an image"),
    element("span", { class: "hint-line mouse-only" }, "drop it here, paste it, or choose a file"),
    element("span", { class: "hint-line touch-only" }, "choose or take a photo"),
  );
  return button(icon("image"), actions.chooseFile, { class: "place" }).appendChild(text).parentElement;
}

function addReferenceButton(actions) {
  return button(icon("plus"), actions.chooseFurtherFile, {
    class: "further",
    "aria-label": "Add another reference image",
    title: "Add another reference image",
  });
}
