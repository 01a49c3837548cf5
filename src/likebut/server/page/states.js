/** What stands in the place of pictures when there are none: what is the matter, and what to do. */

import { button, byId, element, icon } from "./dom.js";

/** Show nothing. */
export function clearState() {
  byId("state").replaceChildren();
}

/** Show an error with ways out of it, each {label, act}. */
export function showError(error, ways) {
  show("error", "lost", error.message, [element("p", {}, error.remedy ?? "Try again.")], ways);
}

/** Show that the gallery holds no picture yet. */
export function showEmptyGallery(gallery, chooseFiles) {
  const command = `likebut index FOLDER --gallery ${gallery.location}`;
  const lines = [element("p", {}, "Index a folder of pictures, then reload this page:"), element("pre", {}, command)];
  if (gallery.can_add) lines.push(element("p", {}, "Or add a few from here: drop them on the page, or choose them."));
  show("empty", "picture", "This gallery is empty", lines, gallery.can_add ? [{ label: "Add pictures", act: chooseFiles }] : []);
}

/** Show that nothing matches. */
export function showNothingFound(filtered, ways) {
  const remedy = filtered
    ? "No picture satisfies all the filters. Remove one of them."
    : "Take other words, or another picture.";
  show("empty", "picture", "Nothing found", [element("p", {}, remedy)], ways);
}

/** Show that references are not at hand: the link came from elsewhere, or the page was loaded anew. */
export function showLostUploads(names, chooseFile) {
  const remedy =
    "A link cannot carry a picture that is not in the gallery. Choose it again here, or ask the sender to add it to " +
    "the gallery before sharing.";
  const title = `This search begins with ${names.map((name) => `“${name}”`).join(" and ")}, which is not in the gallery`;
  show("empty", "lost", title, [element("p", {}, remedy)], [{ label: "Choose the picture", act: chooseFile }]);
}

function show(kind, drawing, title, lines, ways) {
  const buttons = ways.map(({ label, act }, number) => button(label, act, { class: number ? "quiet" : "primary" }));
  const view = element("div", { class: `state ${kind}` }, icon(drawing), element("h1", {}, title), ...lines);
  if (buttons.length) view.append(element("div", { class: "ways-out" }, ...buttons));
  byId("state").replaceChildren(view);
}
