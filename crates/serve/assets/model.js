// What is known of a job: the same snapshot, changes and activity as in docs/protocol.md.

/** A view of a rank of which nothing is known. */
const waiting = (rank) => ({ rank, host: "", launch: null, state: "waiting", pid: null, started: null, ended: null, stopped: false, bytes: 0, lines: 0, shown_bytes: 0, last_output: null, silent_since: null, last_line: "" });

function rankOf(snapshot, rank) {
  const direct = snapshot.ranks[rank];
  if (direct && direct.rank === rank) return direct;
  const at = snapshot.ranks.findIndex((view) => view.rank >= rank);
  if (at >= 0 && snapshot.ranks[at].rank === rank) return snapshot.ranks[at];
  const made = waiting(rank);
  snapshot.ranks.splice(at < 0 ? snapshot.ranks.length : at, 0, made);
  return made;
}

/** Takes a change in; gives the snapshot, which may be another one. */
function applyChange(snapshot, change) {
  const [kind, value] = Object.entries(change)[0];
  switch (kind) {
    case "snapshot": return value;
    case "job": snapshot.job = value; break;
    case "started": {
      const view = rankOf(snapshot, value.rank);
      Object.assign(view, waiting(value.rank), { host: value.host, launch: value.launch, pid: value.pid, started: value.time, state: "running" });
      break;
    }
    case "exited": {
      const view = rankOf(snapshot, value.rank);
      Object.assign(view, { state: { exited: value.exit }, stopped: value.stopped, ended: value.time, silent_since: null });
      break;
    }
    case "silent": rankOf(snapshot, value.rank).silent_since = value.since; break;
    case "output":
      for (const output of value) {
        const view = rankOf(snapshot, output.rank);
        view.bytes += output.bytes;
        view.lines += output.lines;
        view.shown_bytes += output.shown_bytes;
        view.last_output = output.time;
        if (output.last_line !== undefined) view.last_line = output.last_line;
      }
      break;
    case "rank": Object.assign(rankOf(snapshot, value.rank), value); break;
    case "first_failure": snapshot.first_failure = value; break;
    case "barrier": snapshot.barriers = value; break;
    case "stage": {
      const at = snapshot.stages.findIndex((stage) => stage.stage === value.stage);
      if (at < 0) snapshot.stages.push(value); else snapshot.stages[at] = value;
      break;
    }
    case "ledger": snapshot.ledger = value; break;
    case "gap": {
      const same = (gap) => gap.rank === value.rank && gap.stream === value.stream && gap.launch === value.launch && gap.side === value.side && gap.from === value.from;
      const at = snapshot.gaps.findIndex(same);
      if (at < 0) snapshot.gaps.push(value); else snapshot.gaps[at] = value;
      break;
    }
    case "gaps_left_out": snapshot.gaps_left_out = value; break;
    case "ended": snapshot.ended = value; break;
  }
  return snapshot;
}

/** Which of the page's words says how a rank stands, and the class that colours it. */
function standing(view) {
  const state = view.state;
  if (state === "waiting") return ["waiting", "other"];
  if (state === "running") return view.silent_since ? ["silent", "silent"] : ["running", "running"];
  if (state.exited !== undefined) {
    const exit = state.exited;
    if (exit.code === 0) return ["ended", "good"];
    if (view.stopped) return ["stopped by lastline", "other"];
    if (exit === "unknown") return ["ended, nobody knows how", "other"];
    return ["failed", "failed"];
  }
  if (state.not_started !== undefined) return ["not started", "failed"];
  return ["lost", "failed"];
}

/** How a rank ended, in words. */
function ending(view) {
  const state = view.state;
  if (state.exited) {
    const exit = state.exited;
    return exit.code !== undefined ? `exit code ${exit.code}` : exit.signal !== undefined ? signal(exit.signal) : "";
  }
  return state.not_started ?? state.lost ?? "";
}

/** As in lastline-watch: after so long a rank that says nothing is called silent. */
const SILENT_MICROS = 10e6;

/** Bytes of ranks over time. */
class Activity {
  constructor(data) {
    Object.assign(this, data);
  }

  row(rank) {
    return (this.rows[rank] ??= { bytes: [], started: null, ended: null, failed: false });
  }

  reach(time) {
    const since = Math.max(time - this.start, 0);
    while (Math.floor(since / this.column_micros) >= this.max_columns) this.merge();
    const column = Math.floor(since / this.column_micros);
    this.columns = Math.max(this.columns, column + 1);
    return column;
  }

  merge() {
    this.column_micros *= 2;
    this.columns = Math.ceil(this.columns / 2);
    for (const row of Object.values(this.rows)) {
      const merged = [];
      for (let at = 0; at < row.bytes.length; at += 2) merged.push(row.bytes[at] + (row.bytes[at + 1] ?? 0));
      row.bytes = merged;
    }
  }

  take(change, snapshot, now) {
    const [kind, value] = Object.entries(change)[0];
    this.reach(now);
    if (kind === "output") value.forEach((output) => this.settle(rankOf(snapshot, output.rank), now));
    else if (kind === "started" || kind === "exited" || kind === "rank") this.settle(rankOf(snapshot, value.rank), now);
    else if (kind === "snapshot") value.ranks.forEach((view) => this.settle(view, now));
  }

  /** A rank stands like this: what is not in yet is put at this time. */
  settle(view, now) {
    const row = this.row(view.rank);
    if (row.launch && row.launch !== view.launch) row.counted = 0;
    const fresh = view.bytes - (row.counted ?? 0);
    if (fresh > 0) {
      const column = this.reach(now);
      while (row.bytes.length <= column) row.bytes.push(0);
      row.bytes[column] += fresh;
    }
    const counted = Math.max(row.counted ?? 0, view.bytes);
    this.setRun(view);
    row.counted = counted;
  }

  /** From when to when a rank ran, how that ended, and that all that is known of it is in. */
  setRun(view) {
    const failed = standing(view)[1] === "failed";
    const row = this.row(view.rank);
    Object.assign(row, { started: view.started, ended: view.ended, failed, counted: view.bytes, launch: view.launch ?? row.launch });
  }

  timeOf(column) {
    return this.start + column * this.column_micros;
  }

  /** What a rank did in a column: a kind, and bytes. */
  cell(rank, column) {
    const row = this.rows[rank];
    if (!row) return ["not_yet", 0];
    const [from, to] = [this.timeOf(column), this.timeOf(column + 1)];
    const bytes = row.bytes[column] ?? 0;
    if (row.ended) {
      if (row.ended < to && (row.ended >= from || column === 0)) return [row.failed ? "failed" : "ended", bytes];
      if (row.ended < from && bytes === 0) return ["over", 0];
    }
    if (bytes > 0) return ["bytes", bytes];
    if (!row.started || row.started >= to) return ["not_yet", 0];
    let spoke = Math.min(column, row.bytes.length) - 1;
    while (spoke >= 0 && row.bytes[spoke] === 0) spoke--;
    const since = spoke < 0 ? row.started : Math.max(this.timeOf(spoke + 1), row.started);
    return [to - since >= SILENT_MICROS ? "silent" : "quiet", 0];
  }
}
