/** The detail dialog: one image with its scores and metadata. */

import { imageUrl, thumbnailUrl } from "./api.js";
import { baseName, button, byId, element, icon } from "./dom.js";
import { labelOf } from "./filters.js";

const FILE_FIELDS = ["width", "height", "bytes", "taken"];
const dialog = () => byId("detail");

/**
 * Set up the dialog's event handlers.
 * @param {object} actions refine(item), addReference(item), filterBy(field, value), remove(item), items(), closed(id);
 * closed is called only if no other action was taken
 */
export function setUpDetail(actions) {
  dialog().actions = actions;
  dialog().addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    if (event.key === "ArrowRight") move(1);
    else if (event.key === "ArrowLeft") move(-1);
  });
  dialog().addEventListener("click", (event) => {
    if (event.target === dialog()) dialog().close();
  });
  dialog().addEventListener("close", () => {
    if (dialog().returnValue !== "acted") actions.closed(dialog().dataset.id);
  });
}

/**
 * Open the dialog on an item.
 * @param {object} item A hit or an image.
 * @param {object} gallery
 */
export function openDetail(item, gallery) {
  dialog().gallery = gallery;
  dialog().dataset.id = item.id;
  dialog().replaceChildren(...contentOf(item, gallery));
  dialog().returnValue = "";
  if (!dialog().open) dialog().showModal();
  dialog().querySelector(".primary").focus();
}

function move(step) {
  const items = dialog().actions.items();
  const position = items.findIndex((each) => each.id === dialog().dataset.id) + step;
  if (items[position]) openDetail(items[position], dialog().gallery);
}

function contentOf(item, gallery) {
  const items = dialog().actions.items();
  const rank = items.findIndex((each) => each.id === item.id);
  const step = (by, name, label) =>
    button(icon(name), () => move(by), { class: `step-${name} round`, "aria-label": label, disabled: !items[rank + by] });
  // The cached thumbnail is shown until the large image has loaded on top of it.
  const small = element("img", { class: "small", src: thumbnailUrl(item.id), alt: "" });
  const large = element("img", { class: "large", src: imageUrl(item.id), alt: baseName(item.path) });
  return [
    element("div", { class: "stage" }, small, large, step(-1, "left", "Previous image"), step(1, "right", "Next image")),
    element(
      "div",
      { class: "facts" },
      button(icon("close"), () => dialog().close(), { class: "quiet round shut", "aria-label": "Close" }),
      element("h2", { id: "detail-title" }, baseName(item.path)),
      scores(item, items, rank),
      choices(item, gallery),
      metadata(item),
      duplicates(item),
    ),
  ];
}

function scores(item, items, rank) {
  if (item.score === undefined) return null;
  const best = items[0].score;
  const line = (label, value) => element("div", {}, element("dt", {}, label), element("dd", {}, value));
  return element(
    "section",
    { class: "scores", "aria-label": "Scores" },
    element("meter", { min: 0, max: 1, value: Math.max(item.score, 0), "aria-label": "Similarity to the query" }),
    element(
      "dl",
      {},
      line("Similarity", item.score.toFixed(4)),
      line("Rank", `${rank + 1}`),
      line("Difference to best", (best - item.score).toFixed(4)),
    ),
  );
}

function choices(item, gallery) {
  const act = (name) => () => {
    dialog().close("acted");
    dialog().actions[name](item);
  };
  const shown = element(
    "div",
    { class: "choices-for-one" },
    button("More like this, but…", act("refine"), { class: "primary" }),
    button("Add as another reference", act("addReference"), { class: "quiet" }),
  );
  if (gallery.can_delete) shown.append(removal(item));
  return shown;
}

/** Return the delete button, which asks for confirmation. */
function removal(item) {
  const remove = button("Delete…", () => {
    if (remove.dataset.confirming) {
      dialog().close("acted");
      dialog().actions.remove(item);
      return;
    }
    remove.dataset.confirming = "yes";
    remove.textContent = "Confirm: delete from the gallery";
  }, { class: "quiet danger" });
  return remove;
}

function metadata(item) {
  const own = Object.entries(item.metadata).filter(([name]) => !FILE_FIELDS.includes(name));
  const { width, height, bytes, taken } = item.metadata;
  const fileRows = [
    ["Path", item.path],
    ["Size", `${width} × ${height} pixels, ${sizeOf(bytes)}`],
    ...(taken ? [["Taken", taken.replace("T", " ")]] : []),
    ["Id", item.id],
  ];
  const rows = [
    ...own.map(([name, value]) => row(labelOf(name), ...valuesOf(name, value))),
    ...fileRows.map(([name, value]) => row(name, element("span", {}, value))),
  ];
  return element("dl", { class: "metadata" }, ...rows);
}

function row(name, ...values) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, ...values));
}

/** Return the values of a metadata field; values that a filter can select are buttons that do so. */
function valuesOf(name, value) {
  const isChoice = typeof value === "boolean" || Array.isArray(value) || dialog().gallery.fields.some(
    (field) => field.name === name && field.values,
  );
  if (!isChoice) return [element("span", {}, String(value).replace("T00:00:00", ""))];
  const each = Array.isArray(value) ? value : [value];
  return each.map((one) => {
    const text = one === true ? "yes" : one === false ? "no" : String(one);
    const filterBy = () => {
      dialog().close("acted");
      dialog().actions.filterBy(name, typeof one === "boolean" ? one : [one]);
    };
    return button(text || "(empty)", filterBy, { class: "chip", title: `Only ${labelOf(name)} ${text}` });
  });
}

function sizeOf(bytes) {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function duplicates(item) {
  if (!item.duplicates?.length) return null;
  const images = item.duplicates.slice(0, 12).map((id) => element("img", { src: thumbnailUrl(id), alt: "" }));
  return element(
    "section",
    { class: "duplicates" },
    element("h3", {}, `${item.duplicates.length} more with the same image`),
    element("div", {}, ...images),
  );
}
