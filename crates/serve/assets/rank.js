// A rank's log, read by offset from its file: as quick in gigabytes as in a page.

class RankLog {
  constructor(source) {
    this.source = source;
    this.chosen = { rank: 0, stream: "stdout", launch: null };
    this.size = 0;
    this.list = new Scroller(byId("rank-log"), { load: (ask) => this.page(ask) }, (item) => this.row(item));
    this.list.unfollow = () => this.setFollow(false);
    this.list.moved = (item) => this.where(item);
    byId("rank-choice").addEventListener("submit", (event) => event.preventDefault());
    byId("rank-number").addEventListener("change", () => this.choose());
    byId("rank-stream").addEventListener("change", () => this.choose());
    byId("rank-start").addEventListener("click", () => { this.setFollow(false); this.list.toStart(); });
    byId("rank-end").addEventListener("click", () => this.list.toEnd());
    byId("rank-place").addEventListener("change", () => {
      this.setFollow(false);
      this.list.to(Math.floor((this.size * byId("rank-place").value) / 1000), false);
    });
    byId("rank-follow").addEventListener("change", (event) => { this.setFollow(event.target.checked); if (event.target.checked) this.list.toEnd(); });
  }

  setFollow(follow) {
    this.list.follow = byId("rank-follow").checked = follow;
  }

  choose() {
    this.chosen = { rank: Number(byId("rank-number").value), stream: byId("rank-stream").value, launch: null };
    this.list.reset(this.list.source);
    this.setFollow(true);
    return this.list.toEnd();
  }

  /** Shows a line: `start` is its offset; or what was said from a `time` on. */
  async show({ rank, stream, launch, start, time }) {
    this.chosen = { rank, stream, launch: launch ?? null };
    byId("rank-number").value = rank;
    byId("rank-stream").value = stream;
    this.list.reset(this.list.source);
    this.setFollow(false);
    let key = start;
    if (key === undefined && time !== undefined) {
      const page = await this.source.lines({ ...this.chosen, time, most: 1 });
      key = page.items[0]?.from ?? page.size;
    }
    this.shown = true;
    return key === undefined ? this.list.toEnd() : this.list.to(key);
  }

  /** It is looked at: at the end, unless somebody chose a place. */
  open() {
    if (!this.shown) { this.shown = true; this.setFollow(true); this.list.toEnd(); }
  }

  async page(ask) {
    const page = await this.source.lines({ ...this.chosen, ...ask });
    this.size = page.size;
    this.where(page.items[0]);
    return page;
  }

  where(item) {
    const at = item ? item.from : 0;
    byId("rank-where").textContent = this.size ? `byte ${at.toLocaleString("en")} of ${size(this.size)}` : "said nothing here";
    if (document.activeElement !== byId("rank-place")) byId("rank-place").value = this.size ? Math.round((at * 1000) / this.size) : 0;
  }

  row(item) {
    if (item.gone !== undefined) {
      return el("div", "row plain note", el("span", "", ""), el("span", "text", `${count(item.to - item.from, "byte")} missing: ${item.gone}`));
    }
    const text = paintLine(el("span", "text"), item.text);
    if (item.continued) text.prepend(el("span", "muted", "… "));
    if (item.open) text.append(el("span", "muted", " …"));
    const time = el("time", "", clock(item.time));
    time.title = `byte ${item.from.toLocaleString("en")}${item.time ? `, ${date(item.time)}` : ""}`;
    return el("div", "row plain", time, text);
  }
}
