// The page: which job, and what of it is looked at.

const VIEWS = [["log", "Folded log"], ["rank", "A rank's log"], ["search", "Search"], ["ranks", "Ranks"], ["end", "Teardown and ledger"]];

class Page {
  constructor(server, embedded) {
    this.server = server;
    this.embedded = embedded;
    for (const [name, title] of VIEWS) {
      if (embedded && (name === "rank" || name === "search")) continue;
      const tab = button("", title, () => this.view(name));
      tab.id = `tab-${name}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `view-${name}`);
      byId("tabs").append(tab);
    }
    byId("tabs").addEventListener("keydown", (event) => this.tabKey(event));
    const open = embedded ? () => {} : (place) => this.openRank(place);
    this.openPlace = open;
    this.log = new FoldedLog(open);
    this.heat = new HeatMap((rank, time) => open({ rank, stream: null, time }));
    byId("flush").addEventListener("click", () => this.ask("flush"));
    byId("stop").addEventListener("click", () => this.ask("stop"));
    this.view("log");
  }

  async start() {
    if (this.embedded) {
      byId("all-jobs").hidden = true;
      byId("connection").textContent = `a picture of a finished job, made by lastline ${this.embedded.data.lastline}`;
      return this.showJob("");
    }
    addEventListener("hashchange", () => this.route());
    await this.list();
    if (!location.hash && this.chosen) history.replaceState(null, "", `#${encodeURIComponent(this.chosen)}`);
    return this.route();
  }

  async list() {
    const { jobs, chosen, control } = await this.server.jobs();
    Object.assign(this, { jobs, chosen, control });
    showJobs(jobs, (job) => `#${encodeURIComponent(job)}`);
  }

  async route() {
    const job = decodeURIComponent(location.hash.slice(1));
    this.close?.();
    byId("jobs").hidden = Boolean(job);
    byId("job").hidden = !job;
    byId("control").hidden = true;
    if (job) return this.showJob(job);
    document.title = "Lastline";
    byId("connection").textContent = "";
    await this.list();
  }

  showJob(job) {
    byId("job").hidden = false;
    this.source = (this.embedded ?? this.server).of(job);
    this.snapshot = null;
    this.log.clear();
    this.failure ??= new Failure(this.source, this.openPlace);
    this.failure.source = this.source;
    this.failure.known = null;
    if (this.source.lines) {
      this.rank ??= new RankLog(this.source);
      this.rank.source = this.source;
      this.rank.shown = false;
      this.search ??= new Search(this.source, this.openPlace);
      this.search.source = this.source;
    }
    byId("trouble").hidden = true;
    this.view("log");
    this.close = this.source.live({
      connected: () => this.says("live"),
      lost: () => this.says("The connection is lost; trying again."),
      failed: (why) => this.trouble(`Job ${job} cannot be shown: ${why}`),
      trouble: ({ why }) => this.trouble(why),
      snapshot: (told) => this.begin(told),
      changes: (told) => this.change(told),
      entries: (messages) => this.log.add(messages.map(entryOf).filter(Boolean)),
      restart: () => this.log.clear(),
      over: () => this.over(),
    });
  }

  says(text) {
    if (!this.embedded) byId("connection").textContent = text;
  }

  trouble(why) {
    this.close?.();
    byId("trouble").textContent = why;
    byId("trouble").hidden = false;
  }

  begin({ snapshot, activity, now, live }) {
    this.snapshot = snapshot;
    this.activity = new Activity(activity);
    this.log.started = snapshot.job.started ?? 0;
    this.offset = now ? now - Date.now() * 1000 : 0;
    byId("control").hidden = !(live && this.control);
    this.follows(live);
    clearInterval(this.ticks);
    if (live) this.ticks = setInterval(() => this.tick(), 1000);
    this.draw();
  }

  /** What is over has nothing more to follow. */
  follows(live) {
    if (!live) this.says("ended, shown from its files");
    for (const id of ["log-follow", "rank-follow"]) byId(id).closest("label").hidden = !live;
  }

  change({ changes, now }) {
    if (!this.snapshot) return;
    for (const change of changes) {
      this.snapshot = applyChange(this.snapshot, change);
      this.activity.take(change, this.snapshot, now);
    }
    this.draw();
    if (this.current === "rank" && this.rank && changes.some((change) => change.output || change.exited)) this.rank.list.poke();
  }

  tick() {
    if (!this.snapshot || this.snapshot.ended) return clearInterval(this.ticks);
    this.activity.reach(Date.now() * 1000 + this.offset);
    this.draw();
  }

  over() {
    clearInterval(this.ticks);
    byId("control").hidden = true;
    if (this.snapshot) this.draw();
    this.follows(false);
    if (this.current === "rank") this.rank?.list.poke();
  }

  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      const { snapshot } = this;
      if (!snapshot) return;
      showSummary(snapshot, this.offset + Date.now() * 1000);
      this.failure.show(snapshot);
      this.heat.show(this.activity, snapshot);
      if (this.current === "ranks") showRanks(snapshot, this.source.lines ? (view) => this.openRank({ rank: view.rank, stream: null }) : null);
      if (this.current === "end") showEnd(snapshot);
    });
  }

  view(name) {
    this.current = name;
    for (const [other] of VIEWS) {
      const tab = byId(`tab-${other}`);
      byId(`view-${other}`).hidden = other !== name;
      tab?.setAttribute("aria-selected", String(other === name));
      if (tab) tab.tabIndex = other === name ? 0 : -1;
    }
    if (name === "rank") this.rank?.open();
    if (name === "search") byId("search-text").focus();
    if (name === "log" && this.log.list.follow) this.log.list.toEnd();
    this.draw();
  }

  tabKey(event) {
    const tabs = [...byId("tabs").children];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
    next.click();
    next.focus();
  }

  /** A rank's log; of the stream that says most when none is named. */
  async openRank(place) {
    this.rank.shown = true;
    this.view("rank");
    const focused = document.activeElement;
    const stream = place.stream ?? (await this.source.lines({ rank: place.rank, stream: "stdout", end: true, most: 1 })).likely;
    await this.rank.show({ ...place, stream });
    // Who went elsewhere while it was read is not called back.
    if (this.current !== "rank" || document.activeElement !== focused) return;
    byId("view-rank").scrollIntoView({ block: "nearest" });
    byId("rank-log").focus({ preventScroll: true });
  }

  async ask(what) {
    if (what === "stop" && !confirm("Stop this job? Its ranks are told to end.")) return;
    byId("control-answer").textContent = "…";
    try {
      const { words } = await this.source[what]();
      byId("control-answer").textContent = words;
    } catch (error) {
      byId("control-answer").textContent = error.message;
    }
  }
}

/** What a message about entries is to the log. */
function entryOf({ entry, note, left_out }) {
  if (left_out) return { note: `${count(left_out.entries, "entry", "entries")} (${count(left_out.lines, "line")}) left out: this page was too slow for them` };
  return entry ?? (note === undefined ? null : { note });
}

const embedded = byId("embedded-job");
const page = new Page(new Server(), embedded && new Embedded(JSON.parse(embedded.textContent)));
page.start().catch((error) => page.trouble(`This page cannot be shown: ${error.message}`));
