/** Message dialogs: share, token, help. */

import { beginSession } from "./api.js";
import { button, byId, element } from "./dom.js";

const dialog = () => byId("message");

function open(title, ...content) {
  dialog().replaceChildren(element("h2", { id: "message-title" }, title), ...content.filter(Boolean));
  if (!dialog().open) dialog().showModal();
}

function actionsRow(...buttons) {
  return element("div", { class: "action-row" }, ...buttons);
}

const close = () => dialog().close();

/** Show the link to the current search, copied to the clipboard if the browser allows it. */
export async function showLink(url) {
  const copied = await copy(url);
  const field = element("input", { type: "text", readOnly: true, value: url, "aria-label": "Link to this search" });
  open(
    copied ? "Link copied" : "Copy this link",
    element("p", {}, "Everyone with access to this server can open this search with it."),
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

/** Explain that a link cannot contain local images; add() adds them to the gallery first. */
export function showUnshareable(names, canAdd, add) {
  const which = names.map((name) => `“${name}”`).join(" and ");
  open(
    "A link cannot contain your image",
    element("p", {}, `This search uses ${which}, which is stored in this browser only. A link can refer to gallery images only.`),
    canAdd ? null : element("p", {}, "This server does not allow adding images. Index it with likebut index, then share."),
    actionsRow(
      canAdd ? button("Add it to the gallery and share", () => { close(); add(); }, { class: "primary" }) : null,
      button("Not now", close, { class: "quiet" }),
    ),
  );
}

let pendingToken = null;

/** Prompt for the token until it is accepted. Concurrent calls share one prompt. */
export function askForToken() {
  pendingToken ??= promptForToken().finally(() => {
    pendingToken = null;
  });
  return pendingToken;
}

function promptForToken() {
  return new Promise((resolve) => {
    const prompt = new AbortController();
    const field = element("input", { type: "password", required: true, autocomplete: "current-password", id: "token" });
    const wrong = element("p", { class: "wrong", role: "alert" });
    const form = element(
      "form",
      {},
      element("label", { for: "token" }, "Token"),
      field,
      wrong,
      actionsRow(element("button", { type: "submit", class: "primary" }, "Sign in")),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await beginSession(field.value);
        prompt.abort();
        close();
        resolve();
      } catch (error) {
        wrong.textContent = `${error.message} ${error.remedy}`;
        field.select();
      }
    });
    // Browsers close a dialog on the second Escape even if the first was prevented; it is then opened again.
    dialog().addEventListener("cancel", (event) => event.preventDefault(), { signal: prompt.signal });
    dialog().addEventListener("close", () => dialog().showModal(), { signal: prompt.signal });
    open("Token required", element("p", {}, "Enter the token that the server was started with."), form);
    field.focus();
  });
}

/** Show the help and the keyboard shortcuts. */
export function showHelp() {
  const keys = [
    ["/", "edit the text"],
    ["← → ↑ ↓", "move between images"],
    ["Enter", "more like this, but…"],
    ["i", "image details"],
    ["Esc", "close a dialog or panel"],
    ["Alt ←", "back to the previous step"],
    ["Ctrl V", "start from an image in the clipboard"],
  ];
  open(
    "How to search",
    element("p", {}, "Start from an image of your own or of the gallery, and describe what should be different: “in red”, “with longer sleeves”. Refine from any result. The steps stay at the top; click one to return to it."),
    element("p", {}, "The balance weighs the text against the image; double-click it to reset. “Without” ranks images lower that match its text."),
    element("dl", { class: "keys" }, ...keys.map(([key, does]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, does)))),
    actionsRow(button("Close", close, { class: "primary" })),
  );
}
