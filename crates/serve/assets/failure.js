// The first failure: who, what it said, and what the others said around then.

const WINDOWS = [0.25, 1, 5, 30];

class Failure {
  constructor(source, open) {
    this.source = source;
    this.open = open;
    this.seconds = 1;
    byId("others-window").append("from ", ...WINDOWS.map((seconds) => {
      const made = button("", `${seconds} s`, () => { this.seconds = seconds; this.press(); this.others(); });
      made.dataset.seconds = seconds;
      return made;
    }), " before to as long after");
    this.press();
  }

  press() {
    for (const made of byId("others-window").querySelectorAll("button")) made.setAttribute("aria-pressed", String(Number(made.dataset.seconds) === this.seconds));
  }

  show(snapshot) {
    const failure = snapshot.first_failure;
    byId("failure").hidden = !failure;
    if (!failure) { this.known = null; return; }
    const known = JSON.stringify([failure, Boolean(snapshot.ended)]);
    if (known === this.known) return;
    this.known = known;
    this.snapshot = snapshot;
    this.time = failureTime(snapshot);
    const why = failure.signal !== null ? signal(failure.signal) : failure.code !== null ? `exit code ${failure.code}` : "it could not be started";
    byId("failure-title").textContent = `Rank ${failure.rank} failed first: ${why}${failure.killed_for_memory ? ", killed for want of memory" : ""}`;
    byId("failure-facts").textContent = [failure.host && `on ${failure.host}`, this.time && `at ${clock(this.time)}`, `${span(failure.after_seconds * 1e6)} after its start`].filter(Boolean).join(", ");
    const others = (ranks, how) => el("li", "", `${count(ranks.length, "other rank")} (${rankList(ranks)}) failed ${how}`);
    byId("failure-others").replaceChildren(
      ...(failure.same_text?.length ? [others(failure.same_text, "with the same text")] : []),
      ...(failure.others ?? []).map((other) => others(other.ranks, `too, with: ${plain(other.statement || other.last_words.at(-1) || "no word")}`)));
    this.said(failure);
    this.others();
  }

  said(failure) {
    const rows = failure.last_lines.map((line) => paintLine(el("span", "text"), line)).map((text) => el("div", "row only", text));
    if (failure.left_out) rows.splice(failure.left_out.after, 0, el("div", "row only note", el("span", "text", `${count(failure.left_out.lines, "line")} left out`)));
    if (!rows.length) rows.push(el("div", "row only note", el("span", "text", "It said nothing.")));
    byId("said-title").textContent = `What rank ${failure.rank} said last${failure.last_lines_of ? ` (${failure.last_lines_of})` : ""}`;
    byId("said").replaceChildren(...rows);
    byId("said").scrollTop = byId("said").scrollHeight;
    const streams = { stdout: ["stdout", "stderr"], merged: ["merged"] }[failure.last_lines_of] ?? ["stderr", "stdout"];
    const log = (stream) => button("", `Its ${stream} around then`, () => this.open({ rank: failure.rank, stream, time: this.time ?? undefined }));
    byId("said-more").replaceChildren(...(this.source.lines ? streams.map(log) : []));
  }

  async others() {
    const box = byId("others");
    if (!this.time) { box.replaceChildren(note("When it failed is not known.")); return; }
    const ask = { time: this.time, seconds: this.seconds, except: this.snapshot.first_failure.rank };
    let around;
    try {
      around = await this.source.around(ask);
    } catch (error) {
      box.replaceChildren(note(`cannot be read: ${error.message}`));
      return;
    }
    if (ask.seconds !== this.seconds) return;
    const when = (entry) => relative(entry.time - this.time);
    const moment = el("div", "moment", `rank ${ask.except} fails, ${clock(this.time)}`);
    const rows = (entries) => entries.map((entry) => entryRow(entry, when, this.open));
    const left = around.left_out_bytes ? [note(`${size(around.left_out_bytes)} further from that moment left out; the ranks' own logs have them.`)] : [];
    const nothing = (entries, words) => (entries.length ? [] : [note(words)]);
    box.replaceChildren(...left, ...nothing(around.before, "Nobody said anything before it."), ...rows(around.before), moment,
      ...rows(around.after), ...nothing(around.after, "Nobody said anything after it."));
    // What was said just before stands in the middle, and what came of it below.
    box.scrollTop = moment.offsetTop - box.offsetTop - box.clientHeight * 0.6;
    const silent = around.silent ? `Said nothing from ${this.seconds} s before to the failure: ${count([...ranksOf(around.silent)].length, "rank")} (${around.silent}).` : `All others said something in the ${this.seconds} s before the failure.`;
    byId("others-silent").textContent = silent;
  }
}

const note = (text) => el("div", "row only note", el("span", "text", text));
