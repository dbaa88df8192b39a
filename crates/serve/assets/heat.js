// The heat map: a row for each rank, time to the right.

const GUTTER = 44;
const AXIS = 18;
/** A job of a moment is not stretched without end. */
const WIDEST_CELL = 80;

class HeatMap {
  /** `open(rank, time)` is called for what somebody chooses. */
  constructor(open) {
    this.open = open;
    this.canvas = byId("heat-map");
    this.box = byId("heat-box");
    this.cursor = { rank: 0, column: 0 };
    this.drawn = 0;
    this.canvas.addEventListener("mousemove", (event) => this.point(event));
    this.canvas.addEventListener("mouseleave", () => this.tell(null));
    this.canvas.addEventListener("click", (event) => { const at = this.at(event); if (at) this.choose(at); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => { this.focused = true; this.draw(); this.tell(this.cursor); });
    this.canvas.addEventListener("blur", () => { this.focused = false; this.draw(); });
    byId("heat-table-box").addEventListener("toggle", () => this.drawTable());
    new ResizeObserver(() => this.draw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.legend();
  }

  show(activity, snapshot) {
    this.activity = activity;
    this.snapshot = snapshot;
    const now = performance.now();
    if (this.due) return;
    // Four times a second is as often as anything is told.
    this.due = setTimeout(() => { this.due = 0; this.drawn = performance.now(); this.draw(); }, Math.max(0, 200 - (now - this.drawn)));
  }

  legend() {
    const entry = (kind, text) => el("span", "", el("span", `swatch s-${kind}`), text);
    byId("heat-legend").append(entry("little", "little output"), entry("much", "much"), entry("quiet", "nothing"),
      entry("silent", "silent for 10 s or more"), entry("ended", "ended"), entry("failed", "failed"));
  }

  measure() {
    const ranks = this.snapshot.ranks.length;
    const columns = Math.max(this.activity.columns, 1);
    const width = Math.max(this.box.clientWidth - 2, 240);
    this.rowHeight = Math.max(3, Math.min(16, Math.floor(380 / Math.max(ranks, 1))));
    this.cellWidth = Math.min((width - GUTTER - 8) / columns, WIDEST_CELL);
    return { width, height: AXIS + this.rowHeight * ranks + 4 };
  }

  draw() {
    if (!this.activity || !this.snapshot?.ranks.length || !this.box.clientWidth) return;
    const { width, height } = this.measure();
    const scale = Math.min(devicePixelRatio || 1, 2);
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const colours = { text: colour("--text"), muted: colour("--muted"), back: colour("--back"), line: colour("--line"), danger: colour("--danger"),
      low: parseHex(colour("--cell-0")), high: parseHex(colour("--cell-1")),
      quiet: colour("--cell-quiet"), silent: colour("--cell-silent"), ended: colour("--cell-ended"), failed: colour("--cell-failed"), over: colour("--cell-over") };
    pen.fillStyle = colours.back;
    pen.fillRect(0, 0, width, height);
    this.drawAxis(pen, colours, width);
    this.drawCells(pen, colours);
    this.drawFailure(pen, colours, width, height);
    if (this.focused) this.drawCursor(pen, colours);
    this.describe();
    if (byId("heat-table-box").open) this.drawTable();
  }

  drawAxis(pen, colours, width) {
    const failure = this.failureLabel(pen, width);
    pen.fillStyle = colours.muted;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const step = Math.max(1, Math.ceil(90 / this.cellWidth));
    for (let column = 0; column < this.activity.columns; column += step) {
      const x = GUTTER + column * this.cellWidth;
      if (x + 60 < width && !(failure && x < failure.right && x + 60 > failure.left)) pen.fillText(`+${span(column * this.activity.column_micros)}`, x, AXIS / 2);
    }
  }

  drawCells(pen, colours) {
    const { activity, snapshot, rowHeight, cellWidth } = this;
    let most = 1;
    for (const row of Object.values(activity.rows)) for (const bytes of row.bytes) most = Math.max(most, bytes);
    const gap = rowHeight >= 6 ? 1 : 0;
    const label = Math.max(1, Math.ceil(13 / rowHeight));
    const failed = snapshot.ranks.map((view) => standing(view)[1] === "failed");
    const many = failed.filter(Boolean).length > snapshot.ranks.length / 4;
    // A rank that failed is named whatever else there is no room for; of many the first.
    const named = snapshot.ranks.map((view, at) => (many ? view.rank === snapshot.first_failure?.rank : failed[at]));
    const near = (at) => named.slice(Math.max(0, at - label + 1), at + label).some(Boolean);
    snapshot.ranks.forEach((view, at) => {
      const y = AXIS + at * rowHeight;
      if (named[at]) this.drawLabel(pen, `✕ ${view.rank}`, y, colours.danger, "bold ");
      else if (at % label === 0 && !near(at)) this.drawLabel(pen, failed[at] ? `✕ ${view.rank}` : String(view.rank), y, failed[at] ? colours.danger : colours.muted, "");
      for (let column = 0; column < activity.columns; column++) {
        const [kind, bytes] = activity.cell(view.rank, column);
        if (kind === "not_yet") continue;
        pen.fillStyle = kind === "bytes" ? mix(colours.low, colours.high, Math.log1p(bytes) / Math.log1p(most)) : colours[kind];
        const x = GUTTER + column * cellWidth;
        pen.fillRect(x, y, Math.max(cellWidth - (cellWidth > 4 ? 1 : 0), 1), rowHeight - gap);
      }
    });
  }

  drawLabel(pen, text, y, colour, weight) {
    pen.fillStyle = colour;
    pen.font = `${weight}11px system-ui, sans-serif`;
    pen.textAlign = "right";
    pen.fillText(text, GUTTER - 6, y + this.rowHeight / 2);
    pen.textAlign = "left";
  }

  /** Where on the axis the first failure is named; times there give way to it. */
  failureLabel(pen, width) {
    const time = failureTime(this.snapshot);
    if (!time) return null;
    const x = GUTTER + ((time - this.activity.start) / this.activity.column_micros) * this.cellWidth;
    const text = `rank ${this.snapshot.first_failure.rank} failed`;
    pen.font = "bold 11px system-ui, sans-serif";
    const wide = pen.measureText(text).width;
    const left = Math.max(GUTTER, Math.min(x - wide / 2, width - wide - 6));
    return { x, text, left, right: left + wide + 6 };
  }

  /** A line through all ranks at the moment of the first failure. */
  drawFailure(pen, colours, width, height) {
    const failure = this.failureLabel(pen, width);
    if (!failure) return;
    pen.strokeStyle = colours.danger;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(failure.x, AXIS - 3);
    pen.lineTo(failure.x, height);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colours.danger;
    pen.fillText(failure.text, failure.left, AXIS / 2);
  }

  drawCursor(pen, colours) {
    pen.strokeStyle = colours.text;
    pen.lineWidth = 2;
    const at = this.snapshot.ranks.findIndex((view) => view.rank === this.cursor.rank);
    pen.strokeRect(GUTTER + this.cursor.column * this.cellWidth, AXIS + at * this.rowHeight, this.cellWidth, this.rowHeight);
    pen.lineWidth = 1;
  }

  describe() {
    const time = span(this.activity.columns * this.activity.column_micros);
    const failure = this.snapshot.first_failure;
    this.canvas.setAttribute("aria-label", `Output of ${count(this.snapshot.ranks.length, "rank")} over ${time}${failure ? `; rank ${failure.rank} failed first` : ""}`);
  }

  at(event) {
    if (!this.activity) return null;
    const column = Math.floor((event.offsetX - GUTTER) / this.cellWidth);
    const view = this.snapshot.ranks[Math.floor((event.offsetY - AXIS) / this.rowHeight)];
    return view ? { rank: view.rank, column: Math.max(0, Math.min(column, this.activity.columns - 1)) } : null;
  }

  point(event) {
    const at = this.at(event);
    this.canvas.style.cursor = at ? "pointer" : "";
    this.tell(at);
  }

  tell(at) {
    byId("heat-tip").textContent = at ? this.words(at) : "";
  }

  words({ rank, column }) {
    const [kind, bytes] = this.activity.cell(rank, column);
    const said = { not_yet: "not started yet", quiet: "said nothing", silent: "silent", over: "over", ended: `ended, ${size(bytes)} before`, failed: `failed, ${size(bytes)} before`, bytes: size(bytes) }[kind];
    return `rank ${rank}, ${clock(this.activity.timeOf(column))} (${span(this.activity.column_micros)} wide): ${said}`;
  }

  choose({ rank, column }) {
    this.cursor = { rank, column };
    this.open(rank, this.activity.timeOf(column));
  }

  key(event) {
    const ranks = this.snapshot?.ranks ?? [];
    let at = Math.max(0, ranks.findIndex((view) => view.rank === this.cursor.rank));
    let column = this.cursor.column;
    const page = Math.max(1, Math.floor(ranks.length / 10));
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -1e9], End: [0, 1e9] };
    if (event.key === "Enter") return this.choose(this.cursor);
    const move = moves[event.key];
    if (!move || !ranks.length) return;
    event.preventDefault();
    at = Math.max(0, Math.min(at + move[0], ranks.length - 1));
    column = Math.max(0, Math.min(column + move[1], this.activity.columns - 1));
    this.cursor = { rank: ranks[at].rank, column };
    const y = AXIS + at * this.rowHeight;
    if (y < this.box.scrollTop || y > this.box.scrollTop + this.box.clientHeight - 20) this.box.scrollTop = y - this.box.clientHeight / 2;
    this.draw();
    this.tell(this.cursor);
  }

  /** A dozen columns of words, which can be read out. */
  drawTable() {
    if (!byId("heat-table-box").open || !this.activity) return;
    const { activity, snapshot } = this;
    const wide = Math.max(1, Math.ceil(activity.columns / 12));
    const starts = [];
    for (let column = 0; column < activity.columns; column += wide) starts.push(column);
    const words = { quiet: "–", silent: "silent", over: "", not_yet: "", ended: "ended", failed: "failed" };
    const cell = (rank, start) => {
      let bytes = 0;
      let last = "not_yet";
      for (let column = start; column < Math.min(start + wide, activity.columns); column++) {
        const [kind, more] = activity.cell(rank, column);
        bytes += more;
        if (!(last === "failed" || last === "ended")) last = kind;
      }
      return [bytes ? size(bytes) : "", words[last]].filter(Boolean).join(", ");
    };
    fillTable(byId("heat-table"), ["Rank", ...starts.map((at) => `+${span(at * activity.column_micros)}`)],
      snapshot.ranks.map((view) => [String(view.rank), ...starts.map((start) => cell(view.rank, start))]));
  }
}

const parseHex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
const mix = (low, high, part) => `rgb(${low.map((from, at) => Math.round(from + (high[at] - from) * part)).join(" ")})`;

/** When the first failure was, in microseconds. */
function failureTime(snapshot) {
  const failure = snapshot.first_failure;
  if (!failure) return null;
  return failure.time ?? snapshot.ranks.find((view) => view.rank === failure.rank)?.ended ?? null;
}
