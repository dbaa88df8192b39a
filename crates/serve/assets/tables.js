// What is known of a job as tables: the jobs, its ranks, its teardown, its ledger.

function showJobs(jobs, goTo) {
  const rows = [...jobs].reverse().map((job) => {
    const link = el("a", "", job.job);
    link.href = goTo(job.job);
    const word = job.state === "running" ? el("span", "state-running", "running") : job.state === "broken" ? el("span", "state-silent", "interrupted")
      : el("span", job.exit === 0 ? "state-good" : "state-failed", job.exit === 0 ? "ended" : `exit ${job.exit}`);
    const command = el("td", "words", job.command.slice(0, 300));
    return [link, date(job.started), job.ranks, word, el("td", "number", size(job.bytes)), command];
  });
  fillTable(byId("jobs-table"), ["Job", "Started", "Ranks", "State", "Size", "Command"], rows);
  if (!rows.length) byId("jobs-table").replaceChildren(el("caption", "", "There is none yet."));
}

/** How many ranks stand how, as words with their colours. */
function counted(snapshot) {
  const kinds = new Map();
  for (const view of snapshot.ranks) {
    const [word, kind] = standing(view);
    if (!kinds.has(word)) kinds.set(word, { kind, ranks: [] });
    kinds.get(word).ranks.push(view.rank);
  }
  return kinds;
}

function showSummary(snapshot, now) {
  const { job, ended } = snapshot;
  const kinds = counted(snapshot);
  const failed = snapshot.first_failure;
  const state = !ended ? (failed ? ["failing", "failed"] : ["running", "running"]) : ended.broken_off ? ["interrupted", "silent"]
    : failed ? ["failed", "failed"] : job.stopped_by ? [`stopped: ${job.stopped_by}`, "other"] : ["succeeded", "good"];
  byId("headline").replaceChildren(el("span", `badge ${state[1]}`, state[0]), ` ${job.id}`);
  document.title = `${state[0]}: ${job.id} – Lastline`;
  const until = ended ? ended.time : now;
  byId("facts").textContent = [job.started && `started ${date(job.started)}`, job.started && until && `${ended ? "took" : "runs for"} ${span(until - job.started)}`,
    count(snapshot.ledger.read_lines, "line"), size(snapshot.ledger.read_bytes), job.log_dir && `files in ${job.log_dir}`].filter(Boolean).join(" · ");
  byId("command").textContent = plain(job.command.join(" ")).slice(0, 1000);
  byId("states").replaceChildren(`${count(snapshot.ranks.length, "rank")}: `, ...[...kinds].map(([word, { kind, ranks }]) => {
    const badge = el("span", `badge ${kind}`, `${ranks.length} ${word}`);
    badge.title = rankList(ranks);
    if (ranks.length <= 8) badge.append(` (${rankList(ranks)})`);
    return badge;
  }));
}

function showRanks(snapshot, open) {
  const failed = snapshot.first_failure?.rank;
  const order = (view) => (view.rank === failed ? 0 : standing(view)[1] === "failed" ? 1 : standing(view)[1] === "silent" ? 2 : 3);
  const views = [...snapshot.ranks].sort((a, b) => order(a) - order(b) || a.rank - b.rank);
  fillTable(byId("ranks-table"), ["Rank", "State", "How", "Host", "Process", "Started", "Ended", "Bytes", "Lines", "Last output", "Last line"], views.map((view) => {
    const [word, kind] = standing(view);
    const number = open ? button("chip", String(view.rank), () => open(view)) : String(view.rank);
    const first = view.rank === failed ? "failed first" : word;
    const line = paintLine(el("td", "words"), view.last_line);
    return [number, el("span", `state-${kind}`, first), ending(view), view.host, view.pid ? String(view.pid) : "", clock(view.started), clock(view.ended), view.bytes, view.lines, clock(view.last_output), line];
  }));
}

const STAGES = { signal: "ranks are told to end", eof: "every stream is read to its end", flush: "what waits is sent and shown", abort: "what is left in the ranks' groups is ended", drop: "files are emptied and closed", print: "the report is written" };

function showEnd(snapshot) {
  const words = { running: "goes on", done: "done", timed_out: "given up at its deadline" };
  fillTable(byId("stages"), ["Stage", "What it does", "State", "Seconds"], snapshot.stages.map((stage) => [stage.stage, STAGES[stage.stage] ?? "",
    el("span", stage.state === "timed_out" ? "state-failed" : stage.state === "done" ? "state-good" : "state-running", words[stage.state] ?? stage.state), stage.seconds.toFixed(3)]));
  if (!snapshot.stages.length) byId("stages").replaceChildren(el("caption", "", "It has not begun."));
  const { ledger, ended, gaps } = snapshot;
  byId("balance").textContent = !ended ? "The job runs: these are the sums so far." : ended.balanced ? "It balances: every byte that was read is accounted for." : "It does not balance.";
  byId("balance").className = ended ? (ended.balanced ? "state-good" : "state-failed") : "";
  const withheld = ledger.withheld.show + ledger.withheld.streaming_off + ledger.withheld.redrawn;
  fillTable(byId("ledger"), ["", "Bytes"], [["read from the ranks", ledger.read_bytes], ["in files", ledger.filed_bytes], ["in no file", ledger.not_filed_bytes],
    ["on the console", ledger.shown_bytes], ["not on the console, as asked for", withheld], ["lost on the way to the console", ledger.lost_bytes]]);
  const sides = { not_filed: "in no file", lost: "not shown" };
  fillTable(byId("gaps"), ["Rank", "Stream", "Where", "From byte", "To byte", "Why"], gaps.map((gap) => [String(gap.rank), gap.stream, sides[gap.side] ?? gap.side, gap.from, gap.to, plain(gap.cause)]));
  const more = snapshot.gaps_left_out ? `${count(snapshot.gaps_left_out, "gap")} more are not listed.` : "";
  if (!gaps.length || more) byId("gaps").prepend(el("caption", "", gaps.length ? more : "There is none."));
  const last = snapshot.barriers.last;
  byId("barriers").textContent = snapshot.barriers.count ? `${count(snapshot.barriers.count, "barrier")}; the last: ${last ? last.verdict : "?"}` : "";
}
