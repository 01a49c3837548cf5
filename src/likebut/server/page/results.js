/** Asking for the current turn's pictures and showing them, page after page. */

import { listImages, searchImages } from "./api.js";
import { announce, byId, counted } from "./dom.js";
import { showItems } from "./grid.js";
import { clearState } from "./states.js";
import { isSearch, keyOf } from "./turns.js";

const MOST_KEPT = 30;
// Fading the old pictures takes the processor from the search that is waited for, where both are one machine.
const BUSY_AFTER = 400;

/** The pictures of one turn at a time; those of former turns are kept, so that going back is immediate. */
export class Results {
  /** @param {(error: Error, further: boolean) => void} onError */
  constructor(onError) {
    this.items = [];
    this.onError = onError;
    this.kept = new Map();
    this.loading = null;
    this.more = false;
    this.latest = null;
    byId("more").addEventListener("click", () => this.show(this.turn, true));
    new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting) && this.more && !this.loading) this.show(this.turn, true);
    }, { rootMargin: "800px" }).observe(byId("more").parentElement);
  }

  /** Show nothing, and stop what is under way. */
  clear() {
    this.loading?.abort();
    this.loading = null;
    this.items = [];
    this.setMore(false);
    showItems([], false);
    clearState();
  }

  /** Forget former turns: the gallery has changed. */
  forget() {
    this.kept.clear();
  }

  /**
   * Show a turn's pictures, or `further` ones of it.
   * @returns {Promise<object|null>} The answer; null if there was none, or another turn came in between.
   */
  async show(turn, further = false) {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    this.turn = turn;
    const busy = setTimeout(() => byId("results").setAttribute("aria-busy", "true"), BUSY_AFTER);
    try {
      const page = (further ? null : this.kept.get(keyOf(turn))) ?? (await this.ask(turn, further, loading.signal));
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

  async ask(turn, further, signal) {
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
    this.keep(turn, this.latest);
    const count = counted(further ? page.items.length : this.items.length, "picture");
    announce(`${count}${further ? " more" : ""}${page.more ? ", and further ones below" : ""}`);
  }

  keep(turn, page) {
    this.kept.delete(keyOf(turn));
    this.kept.set(keyOf(turn), page);
    if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
  }

  setMore(more) {
    this.more = more;
    byId("more").hidden = !more;
  }
}
