/** The filter panel, built from the types of the gallery's fields. Filters have the form of POST /v1/search. */

import { button, byId, element, icon } from "./dom.js";

const DEBOUNCE_MS = 350;
const LABELS = { bytes: "File size in bytes", width: "Width in pixels", height: "Height in pixels", path: "Path", taken: "Taken" };
const PARTS = { text: textPart, labels: choicePart, number: rangePart, date: rangePart, truth: truthPart };

/** Return the display name of a field. */
export function labelOf(name) {
  return LABELS[name] ?? name;
}

/**
 * Build the panel.
 * @param {object} gallery The description from /v1/galleries.
 * @param {object} filter The current one.
 * @param {object} actions set(name, condition or null), clear(), close()
 */
export function showFilters(gallery, filter, actions) {
  const fields = gallery.fields.filter((field) => field.images > 0);
  const own = fields.filter((field) => !field.built_in || field.name === "taken");
  const fileFields = fields.filter((field) => field.built_in && field.name !== "taken");
  const part = (field) => partOf(field, filter[field.name], (wanted) => actions.set(field.name, wanted));
  const fileOpen = fileFields.some((field) => field.name in filter);
  byId("filters").replaceChildren(
    element(
      "div",
      { class: "panel-head" },
      element("h2", {}, "Filters"),
      button("Clear", () => { cancelPending(); actions.clear(); }, { class: "link" }),
      button(icon("close"), actions.close, { class: "quiet round", "aria-label": "Close filters" }),
    ),
    element(
      "div",
      { class: "panel-body" },
      ...own.map(part),
      own.length ? null : element("p", { class: "hint" }, "These images have no metadata. likebut index reads it from a CSV or JSONL file next to them."),
      element("details", { open: fileOpen }, element("summary", {}, "File"), ...fileFields.map(part)),
    ),
    element("div", { class: "panel-foot" }, button("Show images", actions.close, { class: "primary" })),
  );
}

/** Open or close the panel. */
export function openPanel(open) {
  byId("filters").hidden = !open;
  byId("filters-open").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("filtering", open);
  const target = open ? byId("filters").querySelector("button, input") : byId("filters-open");
  target.focus();
}

/** Return the filter with a field's condition replaced; null removes it. */
export function withField(filter, name, wanted) {
  const { [name]: _, ...others } = filter;
  return wanted === null ? others : { ...others, [name]: wanted };
}

/** Show the conditions of a filter as buttons that remove them. */
export function showChips(filter, onRemove) {
  const chips = Object.entries(filter).map(([name, wanted]) =>
    button(element("span", {}, `${labelOf(name)}: ${phrase(wanted)}`), () => onRemove(name), {
      class: "chip",
      "aria-label": `Remove the filter ${labelOf(name)}: ${phrase(wanted)}`,
    }),
  );
  for (const chip of chips) chip.append(icon("close"));
  byId("chips").replaceChildren(...chips);
}

function phrase(wanted) {
  if (isAllOf(wanted)) return wanted.map(phrase).join(" and ");
  if (Array.isArray(wanted)) return wanted.join(" or ");
  if (wanted === true) return "yes";
  if (wanted === false) return "no";
  if (wanted === null || typeof wanted !== "object") return String(wanted);
  return Object.entries(wanted)
    .map(([operator, value]) => `${{ ">=": "from", "<=": "to" }[operator] ?? operator} ${String(value).replace("T23:59:59", "")}`)
    .join(" ");
}

/** Return whether a condition is a list of conditions that must all hold, which only links contain. */
function isAllOf(wanted) {
  return Array.isArray(wanted) && wanted.some((each) => each !== null && typeof each === "object");
}

function partOf(field, wanted, change) {
  const build = PARTS[field.type];
  const shown = isAllOf(wanted) ? undefined : wanted; // shown as a chip only: no control here can express it
  return element("fieldset", {}, element("legend", {}, labelOf(field.name)), ...build(field, shown, change));
}

function textPart(field, wanted, change) {
  if (field.values?.length) return choicePart(field, wanted, change);
  const value = wanted && typeof wanted === "object" ? (wanted.contains ?? "") : "";
  const input = element("input", { type: "search", value, placeholder: "contains…", "aria-label": `${labelOf(field.name)} contains` });
  input.addEventListener("input", later(() => change(input.value.trim() ? { contains: input.value.trim() } : null)));
  return [input];
}

function choicePart(field, wanted, change) {
  if (!field.values?.length) return exactPart(field, wanted, change);
  const chosen = new Set(Array.isArray(wanted) ? wanted : typeof wanted === "string" ? [wanted] : []);
  const boxes = field.values.map(({ value, images }) => {
    const box = element("input", { type: "checkbox", checked: chosen.has(value) });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(value);
      else chosen.delete(value);
      change(chosen.size ? [...chosen] : null);
    });
    const text = element("span", { class: "value" }, value === "" ? "(empty)" : value);
    return element("label", {}, box, text, element("span", { class: "count" }, images.toLocaleString("en")));
  });
  return [element("div", { class: boxes.length > 8 ? "choices long" : "choices" }, ...boxes)];
}

function exactPart(field, wanted, change) {
  const value = Array.isArray(wanted) ? wanted.join(", ") : typeof wanted === "string" ? wanted : "";
  const input = element("input", { type: "search", value, placeholder: "label, label…", "aria-label": labelOf(field.name) });
  const labels = () => input.value.split(",").map((label) => label.trim()).filter(Boolean);
  input.addEventListener("input", later(() => change(labels().length ? labels() : null)));
  return [input];
}

function rangePart(field, wanted, change) {
  const isDate = field.type === "date";
  const bounds = wanted && typeof wanted === "object" && !Array.isArray(wanted) ? wanted : {};
  const shown = (value) => (isDate ? String(value ?? "").slice(0, 10) : String(value ?? ""));
  const input = (operator, label, end) =>
    element("input", {
      type: isDate ? "date" : "number",
      step: isDate ? null : "any",
      value: shown(bounds[operator]),
      placeholder: shown(end),
      "aria-label": `${labelOf(field.name)} ${label}`,
    });
  const [from, to] = [input(">=", "from", field.least), input("<=", "to", field.most)];
  const update = later(() => {
    const range = {};
    if (from.value) range[">="] = isDate ? from.value : Number(from.value);
    // The range includes the whole last day.
    if (to.value) range["<="] = isDate ? `${to.value}T23:59:59` : Number(to.value);
    change(Object.keys(range).length ? range : null);
  });
  for (const each of [from, to]) each.addEventListener("input", update);
  return [element("div", { class: "range" }, from, element("span", { "aria-hidden": "true" }, "–"), to)];
}

function truthPart(field, wanted, change) {
  const options = [["any", null], ["yes", true], ["no", false]].map(([label, value]) => {
    const radio = element("input", { type: "radio", name: `filter-${field.name}`, checked: (wanted ?? null) === value });
    radio.addEventListener("change", () => change(value));
    return element("label", {}, radio, element("span", {}, label));
  });
  return [element("div", { class: "segments" }, ...options)];
}

// The timers of what was typed and does not count yet.
const pending = new Set();

function later(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    pending.delete(timer);
    timer = setTimeout(() => {
      pending.delete(timer);
      act();
    }, DEBOUNCE_MS);
    pending.add(timer);
  };
}

/** Cancel changes that are still debounced. */
function cancelPending() {
  for (const timer of pending) clearTimeout(timer);
  pending.clear();
}
