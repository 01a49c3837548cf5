/** Short conversations: sharing, the token, help. */

import { beginSession } from "./api.js";
import { button, byId, element } from "./dom.js";

const dialog = () => byId("message");

function open(title, ...content) {
  dialog().replaceChildren(element("h2", { id: "message-title" }, title), ...content.filter(Boolean));
  if (!dialog().open) dialog().showModal();
}

function actionsRow(...buttons) {
  return element("div", { class: "ways-out" }, ...buttons);
}

const close = () => dialog().close();

/** Show the link to the current search, copied if the browser lets us. */
export async function showLink(url) {
  const copied = await copy(url);
  const field = element("input", { type: "text", readOnly: true, value: url, "aria-label": "Link to this search" });
  open(
    copied ? "Link copied" : "Copy this link",
    element("p", {}, "Whoever can open this server sees the same search with it."),
    field,
    actionsRow(button("Done", close, { class: "primary" })),
  );
  field.select();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Say that a link would lack pictures; add() puts them into the gallery first. */
export function showUnshareable(names, canAdd, add) {
  const which = names.map((name) => `“${name}”`).join(" and ");
  open(
    "A link cannot carry your picture",
    element("p", {}, `This search uses ${which}, which is only in this browser. A link can name pictures of the gallery only.`),
    canAdd ? null : element("p", {}, "This server does not let pictures be added. Index it with likebut index, then share."),
    actionsRow(
      canAdd ? button("Add it to the gallery and share", () => { close(); add(); }, { class: "primary" }) : null,
      button("Not now", close, { class: "quiet" }),
    ),
  );
}

let asked = null;

/** Ask for the token until it is right; asked for again meanwhile, it is the same question. */
export function askForToken() {
  asked ??= ask().finally(() => {
    asked = null;
  });
  return asked;
}

function ask() {
  return new Promise((resolve) => {
    const asking = new AbortController();
    const field = element("input", { type: "password", required: true, autocomplete: "current-password", id: "token" });
    const wrong = element("p", { class: "wrong", role: "alert" });
    const form = element(
      "form",
      {},
      element("label", { for: "token" }, "Token"),
      field,
      wrong,
      actionsRow(element("button", { type: "submit", class: "primary" }, "Enter")),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await beginSession(field.value);
        asking.abort();
        close();
        resolve();
      } catch (error) {
        wrong.textContent = `${error.message} ${error.remedy}`;
        field.select();
      }
    });
    // A browser closes a dialog that is told to close twice, whatever becomes of the first; then it is opened again.
    dialog().addEventListener("cancel", (event) => event.preventDefault(), { signal: asking.signal });
    dialog().addEventListener("close", () => dialog().showModal(), { signal: asking.signal });
    open("This server asks for its token", element("p", {}, "Whoever started it knows it."), form);
    field.focus();
  });
}

/** Show what the page can do and its keys. */
export function showHelp() {
  const keys = [
    ["/", "to the words"],
    ["← → ↑ ↓", "among the pictures"],
    ["Enter", "more like this one, but…"],
    ["i", "details of a picture"],
    ["Esc", "close what is open"],
    ["Alt ←", "back to the step before"],
    ["Ctrl V", "start from a copied picture"],
  ];
  open(
    "How to search",
    element("p", {}, "Start from a picture, yours or one of the gallery, and say what should be different: “in red”, “with longer sleeves”. Go on from any hit. The steps stay at the top; click one to go back to it."),
    element("p", {}, "The balance says how much the words count against the picture; double-click it for even. “Without” lowers what it names."),
    element("dl", { class: "keys" }, ...keys.map(([key, does]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, does)))),
    actionsRow(button("Close", close, { class: "primary" })),
  );
}
