/** The result grid: rows of uncropped images, navigable with the arrow keys. */

import { thumbnailUrl } from "./api.js";
import { baseName, button, byId, element, icon } from "./dom.js";

// About one row; the other thumbnails are requested after these have been drawn.
const EAGER = 6;

const grid = () => byId("grid");

/**
 * Set up the event handlers.
 * @param {object} actions pick(item), open(item)
 */
export function setUpGrid(actions) {
  grid().addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.altKey || event.ctrlKey || event.metaKey) return;
    const target = neighbour(tile, event.key);
    if (target) {
      event.preventDefault();
      focusTile(target);
    } else if (event.key === "i") {
      event.preventDefault();
      tile.querySelector(".expand").click();
    }
  });
  grid().addEventListener("focusin", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) makeTabbable(tile);
  });
  grid().addEventListener("dragstart", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) event.dataTransfer.setData("application/x-likebut-id", tile.dataset.id);
  });
  grid().actions = actions;
}

/** Show items; append them if `further`. */
export function showItems(items, further) {
  const isFirst = (position) => !further && position < EAGER;
  const tiles = items.map((item, position) => tileOf(item, isFirst(position)));
  if (further) grid().append(...tiles);
  else grid().replaceChildren(...tiles);
  const waiting = tiles.filter((tile, position) => !isFirst(position));
  requestAnimationFrame(() => setTimeout(() => waiting.forEach(loadThumbnail)));
  if (!grid().querySelector('.pick[tabindex="0"]') && grid().firstElementChild) {
    makeTabbable(grid().firstElementChild);
  }
}

/** Focus the tile of an item, or the first tile. */
export function focusItem(id) {
  const tile = [...grid().children].find((each) => each.dataset.id === id) ?? grid().firstElementChild;
  if (tile) focusTile(tile);
}

function loadThumbnail(tile) {
  tile.querySelector("img").src = thumbnailUrl(tile.dataset.id);
}

function tileOf(item, isFirst) {
  const name = baseName(item.path);
  const { width, height } = item.metadata;
  const image = element("img", {
    src: isFirst ? thumbnailUrl(item.id) : null,
    alt: "",
    loading: isFirst ? "eager" : "lazy",
    decoding: "async",
    width,
    height,
    onerror: () => tile.classList.add("gone"),
  });
  const pick = button(image, () => grid().actions.pick(item), {
    class: "pick",
    tabIndex: -1,
    "aria-label": `More like this, but…: ${name}`,
  });
  pick.append(element("span", { class: "caption", "aria-hidden": "true" }, "More like this, but…"));
  const expand = button(icon("expand"), () => grid().actions.open(item), {
    class: "expand",
    tabIndex: -1,
    "aria-label": `Details of ${name}`,
    title: "Details",
  });
  const tile = element("li", { class: "tile", dataset: { id: item.id } }, pick, expand);
  // Without bounds, very wide and very tall images would fill rows of their own.
  tile.style.setProperty("--ratio", String(Math.min(Math.max(width / height || 1, 0.5), 2.4)));
  return tile;
}

function makeTabbable(tile) {
  for (const tabbable of grid().querySelectorAll('[tabindex="0"]')) tabbable.tabIndex = -1;
  for (const part of tile.querySelectorAll("button")) part.tabIndex = 0;
}

function focusTile(tile) {
  makeTabbable(tile);
  tile.querySelector(".pick").focus();
  tile.scrollIntoView({ block: "nearest" });
}

function neighbour(tile, key) {
  switch (key) {
    case "ArrowRight":
      return tile.nextElementSibling;
    case "ArrowLeft":
      return tile.previousElementSibling;
    case "Home":
      return grid().firstElementChild;
    case "End":
      return grid().lastElementChild;
    case "ArrowDown":
      return inRow(tile, "nextElementSibling", 1);
    case "ArrowUp":
      return inRow(tile, "previousElementSibling", -1);
    default:
      return null;
  }
}

/** Return the tile in the next row, in the given direction, that is horizontally nearest. */
function inRow(tile, step, direction) {
  const middle = tile.offsetLeft + tile.offsetWidth / 2;
  const distance = (each) => Math.abs(each.offsetLeft + each.offsetWidth / 2 - middle);
  let row = null;
  let best = null;
  for (let each = tile[step]; each; each = each[step]) {
    if (direction * (each.offsetTop - tile.offsetTop) <= 0) continue;
    row ??= each.offsetTop;
    if (each.offsetTop !== row) break;
    if (!best || distance(each) < distance(best)) best = each;
  }
  return best;
}
