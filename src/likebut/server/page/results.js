/** The results of the current turn: request, cache, infinite scroll. */

import { listImages, searchImages } from "./api.js";
import { announce, byId, counted } from "./dom.js";
import { showItems } from "./grid.js";
import { clearState } from "./states.js";
import { isSearch, keyOf } from "./turns.js";

const MAX_CACHED = 30;
// Fading the old images takes CPU time from the search when browser and server share a machine.
const BUSY_AFTER_MS = 400;

/** Shows the images of one turn; earlier turns are cached, so that going back is immediate. */
export class Results {
  /** @param {(error: Error, further: boolean) => void} onError */
  constructor(onError) {
    this.items = [];
    this.onError = onError;
    this.cached = new Map();
    this.loading = null;
    this.more = false;
    this.latest = null;
    byId("more").addEventListener("click", () => this.show(this.turn, true));
    new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting) && this.more && !this.loading) this.show(this.turn, true);
    }, { rootMargin: "800px" }).observe(byId("more").parentElement);
  }

  /** Show nothing and cancel the pending request. */
  clear() {
    this.loading?.abort();
    this.loading = null;
    this.items = [];
    this.setMore(false);
    showItems([], false);
    clearState();
  }

  /** Clear the cache after the gallery has changed. */
  invalidate() {
    this.cached.clear();
  }

  /**
   * Show a turn's images; with `further`, its next page.
   * @returns {Promise<object|null>} The page; null if it failed or another turn was shown meanwhile.
   */
  async show(turn, further = false) {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    this.turn = turn;
    const busy = setTimeout(() => byId("results").setAttribute("aria-busy", "true"), BUSY_AFTER_MS);
    try {
      const page = (further ? null : this.cached.get(keyOf(turn))) ?? (await this.request(turn, further, loading.signal));
      if (this.loading !== loading) return null;
      this.take(turn, page, further);
      return page;
    } catch (error) {
      if (error.name !== "AbortError" && this.loading === loading) this.onError(error, further);
      return null;
    } finally {
      clearTimeout(busy);
      if (this.loading === loading) {
        this.loading = null;
        byId("results").removeAttribute("aria-busy");
      }
    }
  }

  async request(turn, further, signal) {
    const offset = further ? this.items.length : 0;
    const started = performance.now();
    const page = await (isSearch(turn) ? searchImages(turn, offset, signal) : listImages(turn.filter, offset, signal));
    return { ...page, milliseconds: performance.now() - started };
  }

  take(turn, page, further) {
    this.items = further ? [...this.items, ...page.items] : page.items;
    this.setMore(page.more);
    clearState();
    showItems(page.items, further);
    this.latest = { ...page, items: this.items };
    this.store(turn, this.latest);
    const count = counted(further ? page.items.length : this.items.length, "image");
    announce(`${count}${further ? " more" : ""}${page.more ? ", and more below" : ""}`);
  }

  store(turn, page) {
    this.cached.delete(keyOf(turn));
    this.cached.set(keyOf(turn), page);
    if (this.cached.size > MAX_CACHED) this.cached.delete(this.cached.keys().next().value);
  }

  setMore(more) {
    this.more = more;
    byId("more").hidden = !more;
  }
}
