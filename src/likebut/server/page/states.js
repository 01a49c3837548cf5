/** Messages in place of results: what is wrong or empty, and what to do. */

import { button, byId, element, icon } from "./dom.js";

/** Remove the message. */
export function clearState() {
  byId("state").replaceChildren();
}

/** Show an error and its actions, each {label, act}. */
export function showError(error, actions) {
  show("error", "lost", error.message, [element("p", {}, error.remedy ?? "Try again.")], actions);
}

/** Show that the gallery is empty. */
export function showEmptyGallery(gallery, chooseFiles) {
  const command = `likebut index FOLDER --gallery ${gallery.location}`;
  const lines = [element("p", {}, "Index a folder of images, then reload this page:"), element("pre", {}, command)];
  if (gallery.can_add) lines.push(element("p", {}, "Or add images here: drop them on the page, or choose files."));
  show("empty", "image", "This gallery is empty", lines, gallery.can_add ? [{ label: "Add images", act: chooseFiles }] : []);
}

/** Show that nothing was found. */
export function showNothingFound(filtered, actions) {
  const remedy = filtered
    ? "No image satisfies all filters. Remove one of them."
    : "Change the text or the image.";
  show("empty", "image", "Nothing found", [element("p", {}, remedy)], actions);
}

/** Show that reference images are missing: the link is from another browser, or the page was reloaded. */
export function showLostUploads(names, chooseFile) {
  const remedy =
    "A link cannot contain an image that is not in the gallery. Choose the file again, or ask the sender to add it to " +
    "the gallery before sharing.";
  const title = `This search uses ${names.map((name) => `“${name}”`).join(" and ")}, which is not in the gallery`;
  show("empty", "lost", title, [element("p", {}, remedy)], [{ label: "Choose the image", act: chooseFile }]);
}

function show(kind, drawing, title, lines, actions) {
  const buttons = actions.map(({ label, act }, number) => button(label, act, { class: number ? "quiet" : "primary" }));
  const view = element("div", { class: `state ${kind}` }, icon(drawing), element("h1", {}, title), ...lines);
  if (buttons.length) view.append(element("div", { class: "action-row" }, ...buttons));
  byId("state").replaceChildren(view);
}
