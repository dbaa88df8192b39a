// A list of any length, of which the document holds the part that is looked at.
//
// `source.load({ after | before | at | end, most })` promises `{ items, start, end }`: items in order, each
// with `from` and `to`, keys that follow each other, and whether the list starts or ends with them.

const MOST_ROWS = 600;
const LOAD_ROWS = 200;

class Scroller {
  constructor(box, source, draw) {
    Object.assign(this, { box, source, draw, items: [], start: true, end: true, follow: false, busy: null });
    box.addEventListener("scroll", () => this.scrolled());
    box.addEventListener("keydown", (event) => this.key(event));
  }

  /** One after the other, and what is asked for meanwhile of the same kind only once. */
  async load(ask, take) {
    const round = (this.round ??= 0);
    if (this.busy) { this.again = true; return; }
    this.busy = this.source.load({ most: LOAD_ROWS, ...ask });
    try {
      const page = await this.busy;
      if (round === this.round) take(page);
    } catch (error) {
      this.box.replaceChildren(el("div", "row note", `cannot be read: ${error.message}`));
    } finally {
      this.busy = null;
    }
    if (this.again) { this.again = false; this.poke(); }
  }

  /** Another list. */
  reset(source) {
    this.source = source;
    this.round = (this.round ?? 0) + 1;
    this.busy = null;
    this.items = [];
    this.box.replaceChildren();
  }

  fill(page) {
    Object.assign(this, page);
    this.box.replaceChildren(...page.items.map((item) => this.draw(item)));
  }

  toEnd() {
    return this.load({ end: true }, (page) => { this.fill(page); this.box.scrollTop = this.box.scrollHeight; });
  }

  toStart() {
    return this.load({ after: null }, (page) => { this.fill(page); this.box.scrollTop = 0; });
  }

  /** Shows the item at a key, marked, with what is before it. */
  async to(key, mark = true) {
    await this.load({ at: key }, (page) => {
      this.fill(page);
      const at = Math.max(0, page.items.findIndex((item) => item.to > key));
      const target = this.box.children[at];
      if (!target) return;
      if (mark) target.classList.add("target");
      this.box.scrollTop = target.offsetTop - this.box.offsetTop - this.box.clientHeight / 3;
    });
    if (!this.start && this.box.scrollTop < 200) await this.earlier();
  }

  /** There may be more at the end. */
  poke() {
    if (!this.end && !this.follow) return;
    if (this.follow) return this.load({ end: true }, (page) => this.append(page, true));
    if (this.items.length < MOST_ROWS) return this.later();
  }

  /** Takes a page that ends the list, keeping the rows that are in it already. */
  append(page, toEnd) {
    const last = this.items[this.items.length - 1];
    const known = last ? page.items.findIndex((item) => item.from >= last.to) : 0;
    const joins = last && page.items[0] && page.items[0].from <= last.to;
    if (!joins) this.fill(page);
    else {
      const fresh = known < 0 ? [] : page.items.slice(known);
      const grown = page.items.find((item) => item.from === last.from && item.to > last.to);
      if (grown) {
        this.items[this.items.length - 1] = grown;
        this.box.lastElementChild?.replaceWith(this.draw(grown));
      }
      this.items.push(...fresh);
      this.box.append(...fresh.map((item) => this.draw(item)));
      this.end = page.end;
      this.trim(true);
    }
    if (toEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  trim(front) {
    const surplus = this.items.length - MOST_ROWS;
    if (surplus <= 0) return;
    if (front) {
      const height = this.box.scrollHeight;
      this.items.splice(0, surplus);
      for (let n = 0; n < surplus; n++) this.box.firstElementChild.remove();
      this.box.scrollTop -= height - this.box.scrollHeight;
      this.start = false;
    } else {
      this.items.splice(-surplus);
      for (let n = 0; n < surplus; n++) this.box.lastElementChild.remove();
      this.end = false;
    }
  }

  earlier() {
    if (this.start || !this.items.length) return;
    return this.load({ before: this.items[0].from }, (page) => {
      const height = this.box.scrollHeight;
      const top = this.box.scrollTop;
      this.items.unshift(...page.items);
      this.box.prepend(...page.items.map((item) => this.draw(item)));
      this.box.scrollTop = top + this.box.scrollHeight - height;
      this.start = page.start;
      this.trim(false);
    });
  }

  later() {
    const last = this.items[this.items.length - 1];
    return this.load({ after: last ? last.to : null }, (page) => {
      this.items.push(...page.items);
      this.box.append(...page.items.map((item) => this.draw(item)));
      this.end = page.end;
      this.trim(true);
    });
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const below = scrollHeight - scrollTop - clientHeight;
    // Who scrolls away from the end wants to read.
    if (this.follow && below > 60 && scrollTop < (this.lastTop ?? 0)) this.unfollow?.();
    this.lastTop = scrollTop;
    if (scrollTop < 400) this.earlier();
    else if (below < 400 && !this.end) this.later();
    this.moved?.(this.first());
  }

  /** The first item in sight. */
  first() {
    const top = this.box.scrollTop + this.box.offsetTop;
    let [low, high] = [0, this.items.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const child = this.box.children[middle];
      if (child && child.offsetTop + child.offsetHeight > top) high = middle; else low = middle + 1;
    }
    return this.items[low];
  }

  key(event) {
    if (event.target !== this.box || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Home") { event.preventDefault(); this.unfollow?.(); this.toStart(); }
    if (event.key === "End") { event.preventDefault(); this.toEnd(); }
  }
}
