// A search across the files of all ranks, with what is found in the order of time.

const MOST_HITS = 5000;

class Search {
  constructor(source, open) {
    this.source = source;
    this.open = open;
    byId("search-form").addEventListener("submit", (event) => { event.preventDefault(); this.begin(); });
    byId("search-stop").addEventListener("click", () => this.end("stopped"));
  }

  begin() {
    this.running?.();
    this.hits = [];
    this.notes = [];
    byId("search-hits").replaceChildren();
    byId("search-note").textContent = "";
    byId("search-stop").hidden = false;
    byId("search-state").textContent = "searching…";
    const ask = { text: byId("search-text").value, ranks: byId("search-ranks").value, regex: byId("search-regex").checked, case: byId("search-case").checked };
    this.began = performance.now();
    this.running = this.source.search(ask, {
      hits: (hits) => { this.hits.push(...hits); this.draw(); },
      progress: ({ bytes, total }) => { byId("search-state").textContent = `${count(this.hits.length, "line")}; ${size(bytes)} of ${size(total)}`; },
      note: (text) => { this.notes.push(text); byId("search-note").textContent = this.notes.join(" "); },
      over: ({ bytes }) => this.end(`in ${size(bytes)}, ${((performance.now() - this.began) / 1000).toFixed(2)} s`),
      refused: (text) => { byId("search-note").textContent = text; this.end("not searched"); },
      failed: (text) => { byId("search-note").textContent = text; this.end("not searched"); },
    });
  }

  end(words) {
    this.running?.();
    this.running = null;
    byId("search-stop").hidden = true;
    byId("search-state").textContent = `${count(this.hits.length, "line")} found ${words}`;
    this.draw();
  }

  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      // Ranks are looked through side by side; what is known of time puts them in order.
      this.hits.sort((a, b) => (a.time ?? Infinity) - (b.time ?? Infinity) || a.rank - b.rank || a.start - b.start);
      byId("search-hits").replaceChildren(...this.hits.slice(0, MOST_HITS).map((hit) => this.row(hit)));
    });
  }

  row(hit) {
    const text = el("span", "text", plain(hit.before), el("mark", "", plain(hit.found)), plain(hit.after));
    const chip = button("chip", String(hit.rank), () => this.open(hit));
    chip.setAttribute("aria-label", `rank ${hit.rank} ${hit.stream}: open its log here`);
    const time = el("time", "", clock(hit.time));
    return el("div", `row${hit.stream === "stderr" ? " err" : ""}`, time, chip, text);
  }
}
