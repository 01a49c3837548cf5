/** The page: holds the trail and the gallery and connects the components. */

import { deleteImage, describeGallery } from "./api.js";
import { setUpForm, showForm } from "./form.js";
import { openDetail, setUpDetail } from "./detail.js";
import { askForToken, showHelp, showLink, showUnshareable } from "./dialogs.js";
import { announce, byId } from "./dom.js";
import { setUpDropping } from "./dropping.js";
import { chooseFiles, addToGallery } from "./files.js";
import { openPanel, showChips, showFilters, withField } from "./filters.js";
import { focusItem, setUpGrid } from "./grid.js";
import { setUpKeys } from "./keys.js";
import { showNote } from "./notes.js";
import { Results } from "./results.js";
import { showEmptyGallery, showError, showLostUploads, showNothingFound } from "./states.js";
import { showTitle, titleOf } from "./titles.js";
import { showTrail } from "./trail.js";
import * as turns from "./turns.js";
import { fileOf, isAvailable, storeUpload } from "./uploads.js";

let gallery = null;
let trail = turns.emptyTrail();
const results = new Results(fail);
const current = () => turns.currentTurn(trail);
const summarise = (title, detail = "") => showTitle(title, detail, turns.isSearch(current()));

/** Make another trail the current one, as a new entry of the browser's history or replacing the current entry. */
function go(changed, { replace = false, fromPanel = false, keepsText = false } = {}) {
  trail = changed;
  const address = location.pathname + turns.encode(trail);
  if (replace) history.replaceState(trail, "", address);
  else history.pushState(trail, "", address);
  if (!replace) scrollTo({ top: 0 });
  return refresh({ fromPanel, keepsText });
}

/** Change the current turn; text that is typed but not yet submitted is kept. */
function edit(changes, options = {}) {
  return go(turns.edited(trail, changes), { keepsText: true, ...options });
}

/** Show the current turn. */
async function refresh({ fromPanel = false, keepsText = false } = {}) {
  const turn = current();
  const lost = turn.images.filter((image) => !isAvailable(image));
  // Requested first: the rest of the page is drawn while the request is pending.
  const pending = lost.length ? null : results.show(turn);
  showForm(trail, actions, keepsText);
  showTrail(trail, goBack);
  showChips(turn.filter, dropFilter);
  // A panel that is being edited keeps its focus.
  if (!fromPanel) buildPanel();
  const filters = Object.keys(turn.filter).length;
  byId("filters-open").textContent = filters ? `Filters (${filters})` : "Filters";
  byId("share").hidden = !turns.isSearch(turn) && !filters;
  showNote(turn, gallery, addUploads);
  if (lost.length) {
    results.clear();
    summarise("");
    showLostUploads(lost.map((image) => image.name), () => chooseFiles(false, ([file]) => replaceLost(file)));
    return;
  }
  const page = await pending;
  if (page) shown(turn, page);
}

/** Show the title of the results, or why there are none. */
function shown(turn, page) {
  nameKnownUploads(turn, page.references ?? []);
  if (page.items.length) {
    const hint = matchMedia("(hover: hover)").matches ? "Click an image to start from it." : "Tap an image to start from it.";
    summarise(titleOf(turn, page.total), page.timings ? `${Math.max(1, Math.round(page.milliseconds))} ms` : hint);
    return;
  }
  summarise("");
  const filtered = Object.keys(turn.filter).length > 0;
  if (gallery.images === 0) showEmptyGallery(gallery, () => chooseFiles(true, addFiles));
  else {
    const remedies = filtered ? [{ label: "Clear the filters", act: () => setFilter({}) }] : [];
    showNothingFound(filtered, [...remedies, { label: "Start over", act: startOver }]);
  }
}

/** Refer to an upload that is in the gallery by its id, so that links can contain it. */
function nameKnownUploads(turn, references) {
  const uploads = turn.images.filter((image) => !image.id);
  const ids = new Map(uploads.map((image, n) => [image.upload, references[n]]).filter(([, each]) => each?.in_gallery));
  if (ids.size === 0) return;
  renameUploads(new Map([...ids].map(([upload, each]) => [upload, each.id])));
}

function renameUploads(ids) {
  trail = turns.withIds(trail, ids);
  history.replaceState(trail, "", location.pathname + turns.encode(trail));
  results.store(current(), results.latest);
  showForm(trail, actions, true);
  showTrail(trail, goBack);
  showNote(current(), gallery, addUploads);
}

/** Show an error and its remedies. */
async function fail(error, further, repeat = null) {
  if (error.status === 401) {
    await askForToken();
    await start();
    return repeat?.();
  }
  if (!further) {
    results.clear();
    summarise("");
    byId("note").hidden = true;
  }
  const retry = () => (gallery ? (further ? results.show(current(), true) : refresh({ keepsText: true })) : start());
  const again = { label: "Try again", act: repeat ?? retry };
  const clear = { label: "Clear the filters", act: () => setFilter({}) };
  const another = { label: "Choose another image", act: () => chooseFiles(false, ([file]) => begin(file)) };
  const over = { label: "Start over", act: startOver };
  const filtered = Object.keys(current().filter).length > 0;
  const isMine = error.status === 0 || error.status >= 500 || error.status === 429;
  const remedies = isMine ? [again] : [error.code === "bad_image" || error.status === 413 ? another : null, filtered ? clear : null, over];
  showError(error, remedies.filter(Boolean));
  announce(`${error.message} ${error.remedy}`);
}

function startOver() {
  go(turns.emptyTrail());
}

/** Go to another step. Its button is rebuilt, so it is focused again. */
function goBack(at) {
  go(turns.returned(trail, at));
  byId("trail").querySelector("[aria-current]")?.focus();
}

function setFilter(filter, fromPanel = false) {
  edit({ filter }, { replace: true, fromPanel });
}

function dropFilter(name) {
  setFilter(withField(current().filter, name, null));
  byId("filters-open").focus();
}

function asImage(source) {
  return source instanceof File ? storeUpload(source) : source;
}

function begin(source) {
  go(turns.begun(asImage(source)));
  focusText();
}

function addReference(source) {
  const image = asImage(source);
  const images = current().images.filter((each) => !each.id || each.id !== image.id);
  edit({ images: [...images, image].slice(-gallery.limits.references) });
  focusText();
}

function refine(item) {
  go(turns.refined(trail, { id: item.id }));
  focusText();
}

/** Replace the first missing image by a file; the next missing one is requested then. */
function replaceLost(file) {
  const [lost, found] = [current().images.findIndex((image) => !isAvailable(image)), storeUpload(file)];
  edit({ images: current().images.map((image, number) => (number === lost ? found : image)) }, { replace: true });
}

/** Focus the text field, except on touch screens, where the keyboard would cover the images. */
function focusText() {
  if (matchMedia("(hover: hover)").matches) byId("text").focus();
}

/** Add the trail's uploads to the gallery. */
async function addUploads() {
  const uploads = turns.uploadsOf(trail).filter(isAvailable);
  const { images, error } = await addToGallery(uploads.map(fileOf), gallery.limits.upload_bytes);
  const added = uploads.map((each, number) => [each.upload, images[number]?.id]).filter(([, id]) => id);
  if (added.length) {
    galleryChanged();
    renameUploads(new Map(added));
  }
  if (error) fail(error, true, addUploads);
  return !error;
}

/** Add files to the gallery and refresh the results. */
async function addFiles(files) {
  const { images, error } = await addToGallery(files, gallery.limits.upload_bytes);
  if (images.some(Boolean)) {
    await galleryChanged();
    await refresh({ keepsText: true });
  }
  const rest = files.filter((_, number) => !images[number]);
  if (error) fail(error, true, () => addFiles(rest));
}

async function removeFromGallery(item) {
  try {
    await deleteImage(item.id);
    announce("Deleted.");
    await galleryChanged();
    refresh({ keepsText: true });
  } catch (error) {
    fail(error, true);
  }
}

async function galleryChanged() {
  results.invalidate();
  gallery = await describeGallery();
}

async function share() {
  const uploads = turns.uploadsOf(trail);
  if (!uploads.length) {
    showLink(location.href);
    return;
  }
  showUnshareable(uploads.map((image) => image.name), gallery.can_add && uploads.some(isAvailable), async () => {
    if (await addUploads()) showLink(location.href);
  });
}

function buildPanel() {
  showFilters(gallery, current().filter, {
    set: (name, wanted) => setFilter(withField(current().filter, name, wanted), true),
    clear: () => setFilter({}),
    close: () => openPanel(false),
  });
}

const actions = {
  hasImages: () => current().images.length > 0,
  search: (changes) => edit(changes),
  weigh: (weight) => edit({ weight }, { replace: true }),
  remove: (position) => edit({ images: current().images.filter((_, n) => n !== position) }),
  chooseFile: () => chooseFiles(false, ([file]) => begin(file)),
  chooseFurtherFile: () => chooseFiles(false, ([file]) => addReference(file)),
};

function setUp() {
  setUpForm(actions);
  setUpGrid({ pick: refine, open: (item) => openDetail(item, gallery) });
  setUpDetail({
    refine,
    addReference: (item) => addReference({ id: item.id }),
    filterBy: (name, wanted) => setFilter(withField(current().filter, name, wanted)),
    remove: removeFromGallery,
    items: () => results.items,
    closed: focusItem,
  });
  setUpDropping({
    begin,
    add: addReference,
    keep: addFiles,
    hasImages: actions.hasImages,
    isEmpty: () => gallery.images === 0,
    canAdd: () => gallery.can_add,
    refuse: (message) => fail({ status: 422, code: "bad_image", message, remedy: "Give a JPEG, PNG or WebP file." }, true),
  });
  byId("share").addEventListener("click", share);
  byId("help-open").addEventListener("click", showHelp);
  byId("filters-open").addEventListener("click", () => openPanel(byId("filters").hidden));
  byId("home").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    startOver();
  });
  // Following the link would change the URL and lose images that are in this tab only.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("results").focus();
  });
  addEventListener("popstate", (event) => {
    trail = event.state ?? turns.decode(location.search);
    refresh();
  });
  setUpKeys();
  // The filter panel starts below the form, whose height varies.
  new ResizeObserver(() => document.body.style.setProperty("--top", `${byId("top").offsetHeight}px`)).observe(byId("top"));
}

async function start() {
  const isFirst = gallery === null;
  try {
    gallery = await describeGallery();
  } catch (error) {
    fail(error, false);
    return;
  }
  if (isFirst) setUp();
  trail = history.state ?? turns.decode(location.search);
  history.replaceState(trail, "", location.pathname + turns.encode(trail));
  await refresh();
}

start();
