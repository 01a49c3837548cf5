/** DOM helpers. Strings become text nodes, so user input and metadata are never parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  expand: "M9 3H3v6M15 3h6v6M9 21H3v-6M15 21h6v-6",
  close: "M5 5l14 14M19 5L5 19",
  plus: "M12 4v16M4 12h16",
  left: "M15 4l-8 8 8 8",
  right: "M9 4l8 8-8 8",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  text: "M5 7h14M5 12h14M5 17h8",
  lost: "M4 4l16 16M4 9v10h14M9 5h11v11",
};

/** Return the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Return a new element.
 * @param {string} tag
 * @param {object} properties "class", "on…" listeners, "dataset", DOM properties, or else attributes.
 * @param {...(Node|string|null)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return a decorative icon, hidden from screen readers: its meaning is in the adjacent text or a label. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.classList.add("icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", ICONS[name]);
  drawing.append(line);
  return drawing;
}

/** Return a button. */
export function button(label, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, label);
}

/** Announce a text to screen readers. */
export function announce(text) {
  const region = byId("announcement");
  // A repeated text is only announced if the region was empty in between.
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, 50);
}

/** Return the last part of a path. */
export function baseName(path) {
  return path.split(/[\\/]/).pop() || path;
}

/** Return a count with its noun: "1 image", "4,350 images". */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
