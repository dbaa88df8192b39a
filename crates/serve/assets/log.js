// The folded log: entries as the console has them, with who said what.

/** How many entries the page keeps; the ranks' files have all. */
const MOST_ENTRIES = 20000;

/** A row of an entry: when, who, what. `when` says a time, `open(place)` shows a line in its rank's log. */
function entryRow(entry, when, open) {
  if (entry.note) return el("div", "row plain note", el("span", "", ""), el("span", "text", entry.note));
  const row = el("div", `row${entry.stream === "stderr" ? " err" : ""}`);
  const time = el("time", "", when(entry));
  time.title = clock(entry.time);
  const text = paintLine(el("span", "text"), entry.text);
  if (entry.partial) text.append(el("span", "muted", " ⏎ not written"));
  row.append(time, chip(entry, row, open), text);
  return row;
}

function chip(entry, row, open) {
  const few = entry.ranks.length <= 22;
  const ranks = [...ranksOf(entry.ranks)].length;
  const label = entry.except ? `all but ${entry.except}` : few ? entry.ranks : `${entry.ranks.slice(0, 12)}… (${ranks})`;
  if (!entry.folded) {
    const made = button("chip", label, () => open(entry.first));
    made.setAttribute("aria-label", `rank ${entry.ranks}: open its log here`);
    made.title = `rank ${entry.ranks}, ${entry.stream}: open its log here`;
    return made;
  }
  const made = button("chip", ranks > 1 && label.length < 16 ? `${label} (${ranks})` : label, () => {
    const shown = row.querySelector(".who");
    if (shown) shown.remove(); else row.append(whoSaidWhat(entry, open));
    made.setAttribute("aria-expanded", String(!shown));
  });
  made.setAttribute("aria-expanded", "false");
  made.setAttribute("aria-label", `${count(ranks, "rank")} ${entry.ranks}: who said what`);
  made.title = "who said what";
  return made;
}

const MOST_MEMBERS = 200;

function whoSaidWhat(entry, open) {
  const box = el("div", "who");
  const lines = `${count(entry.lines, "line")} of ${count([...ranksOf(entry.ranks)].length, "rank")}: ${entry.ranks}`;
  box.append(el("p", "", lines, entry.except ? `; all that live but ${entry.except}` : ""));
  if (entry.fields?.length) {
    const table = el("table");
    fillTable(table, ["Place", "Value or range", "Different values", "Far off, and who said it"],
      entry.fields.map((field, at) => [String(at + 1), range(field), `${field.distinct}${field.more ? " or more" : ""}`,
        (field.outliers ?? []).slice(0, 50).map((far) => `${far.ranks}: ${plain(far.value)}`).join("; ")]));
    box.append(table);
  }
  const names = (entry.fields ?? []).map((_, at) => `Value ${at + 1}`);
  const values = (entry.fields ?? []).map((field) => new Map((field.by_rank ?? []).map((own) => [own.rank, own.values.map(plain).join(", ")])));
  const known = values.some((map) => map.size > 0);
  const table = el("table");
  const members = entry.members.slice(0, MOST_MEMBERS);
  fillTable(table, ["Rank", "Stream", "Lines", ...(known ? names : []), ""], members.map((member) => [
    String(member.rank), member.stream, member.lines, ...(known ? values.map((map) => map.get(member.rank) ?? "") : []),
    member.span || member.rank === entry.first.rank
      ? button("", "its log here", () => open({ ...member, start: member.span ? member.span.from : entry.first.start }))
      : button("", "its log then", () => open({ ...member, time: entry.time })),
  ]));
  const more = el("details", "", el("summary", "", known ? "Each rank's values" : "Each rank"), table);
  if (entry.members.length > members.length) more.append(el("p", "muted", `${count(entry.members.length - members.length, "stream")} more are not listed here.`));
  box.append(more);
  return box;
}

function range(field) {
  if (field.value !== undefined && field.value !== null) return plain(field.value);
  if (field.min !== undefined && field.min !== null) return field.min === field.max ? plain(field.min) : `${plain(field.min)} … ${plain(field.max)}`;
  return (field.samples ?? []).map(plain).join(", ") + (field.distinct > (field.samples ?? []).length ? ", …" : "");
}

class FoldedLog {
  constructor(open) {
    this.entries = [];
    this.dropped = 0;
    this.base = 0;
    this.started = 0;
    const when = (entry) => (this.started ? relative(entry.time - this.started) : clock(entry.time));
    this.list = new Scroller(byId("log"), { load: (ask) => this.page(ask) }, (item) => entryRow(item.entry, when, open));
    this.list.follow = true;
    this.list.unfollow = () => { this.list.follow = byId("log-follow").checked = false; };
    byId("log-follow").addEventListener("change", (event) => {
      this.list.follow = event.target.checked;
      if (event.target.checked) this.list.toEnd();
    });
    for (const id of ["log-ranks", "log-stream", "log-text"]) byId(id).addEventListener("input", () => this.refilter());
    byId("log-filter").addEventListener("submit", (event) => event.preventDefault());
    this.refilter();
  }

  clear() {
    this.entries = [];
    this.shown = [];
    this.base = this.dropped = 0;
    this.list.reset(this.list.source);
    this.note("");
  }

  note(text) {
    byId("log-note").textContent = text;
  }

  /** Entries, or notes, behind those that there are. */
  add(entries) {
    for (const entry of entries) {
      const item = { entry, from: this.base, to: ++this.base };
      this.entries.push(item);
      if (this.wants(entry)) this.shown.push(item);
    }
    const surplus = this.entries.length - MOST_ENTRIES;
    if (surplus > 0) {
      this.dropped += surplus;
      this.entries.splice(0, surplus);
      const first = this.entries[0].from;
      const kept = this.shown.findIndex((item) => item.from >= first);
      this.shown.splice(0, kept < 0 ? this.shown.length : kept);
      this.note(`The page keeps ${MOST_ENTRIES.toLocaleString("en")} entries; ${count(this.dropped, "older one is", "older ones are")} left out here. The ranks' own logs have every line.`);
    }
    this.due ??= requestAnimationFrame(() => { this.due = null; this.count(); this.list.poke(); });
  }

  count() {
    const shown = this.shown.length.toLocaleString("en");
    byId("log-count").textContent = this.filtered ? `${shown} of ${count(this.entries.length, "entry", "entries")}` : count(this.entries.length, "entry", "entries");
  }

  refilter() {
    const ranks = ranksOf(byId("log-ranks").value);
    let text = null;
    try {
      text = byId("log-text").value ? new RegExp(byId("log-text").value, "i") : null;
      byId("log-text").classList.remove("wrong");
    } catch {
      byId("log-text").classList.add("wrong");
    }
    byId("log-ranks").classList.toggle("wrong", ranks === null);
    const stream = byId("log-stream").value;
    this.filtered = Boolean(ranks?.size || text || stream);
    this.wants = (entry) => entry.note !== undefined && !this.filtered
      || entry.note === undefined && (!stream || entry.stream === stream) && (!text || text.test(plain(entry.text)))
      && (!ranks?.size || [...ranksOf(entry.ranks)].some((rank) => ranks.has(rank)));
    this.shown = this.entries.filter((item) => this.wants(item.entry));
    this.list.reset(this.list.source);
    this.count();
    if (this.list.follow) this.list.toEnd(); else this.list.toStart();
  }

  /** A page of what is shown, for the list. */
  async page({ after, before, at, end, most }) {
    const shown = this.shown ?? [];
    const index = (key) => { const found = shown.findIndex((item) => item.from >= key); return found < 0 ? shown.length : found; };
    let [low, high] = [0, most];
    if (end) [low, high] = [shown.length - most, shown.length];
    else if (before !== undefined) [low, high] = [index(before) - most, index(before)];
    else if (at !== undefined) [low, high] = [index(at) - most / 2, index(at) + most / 2];
    else if (after !== null) [low, high] = [index(after), index(after) + most];
    low = Math.max(0, low);
    const items = shown.slice(low, Math.max(low, high));
    return { items, start: low === 0, end: low + items.length >= shown.length };
  }
}
