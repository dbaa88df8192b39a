// Text: of ranks, which is only ever text, and of numbers and times.

const byId = (id) => document.getElementById(id);

/** An element with a class, properties and children; a string is text. */
function el(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function button(className, text, onClick) {
  const made = el("button", className, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/** At most so many sequences are followed in a line: a line of nothing else is a bomb. */
const MOST_STYLES = 400;
// A control sequence, a string for the terminal (title, link), another escape, another control.
const SEQUENCE =
  /\x1b\[([0-9:;<=>?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Puts a rank's text into an element: colours as classes, other control sequences not at all. */
function paint(into, text) {
  const style = { flags: new Set(), fore: null, back: null };
  let at = 0;
  let styles = 0;
  const put = (piece) => {
    if (!piece) return;
    const plain = style.flags.size === 0 && style.fore === null && style.back === null;
    into.append(plain ? piece : styled(piece, style));
  };
  SEQUENCE.lastIndex = 0;
  for (let found; (found = SEQUENCE.exec(text)); ) {
    if (found.index > at) put(text.slice(at, found.index));
    at = SEQUENCE.lastIndex;
    if (found[2] === "m") select(style, found[1]);
    if (++styles > MOST_STYLES) { put(plain(text.slice(at))); return into; }
  }
  put(text.slice(at));
  return into;
}

function styled(piece, style) {
  const span = el("span", [...style.flags].join(" "), piece);
  for (const [colour, prefix, property] of [[style.fore, "f", "color"], [style.back, "k", "backgroundColor"]]) {
    if (typeof colour === "number") span.classList.add(prefix + colour);
    else if (colour) span.style[property] = colour;
  }
  return span;
}

const FLAGS = { 1: "b", 2: "d", 3: "i", 4: "u", 7: "rev", 9: "s" };
const FLAGS_OFF = { 22: ["b", "d"], 23: ["i"], 24: ["u"], 27: ["rev"], 29: ["s"] };

/** Takes in one "select graphic rendition" (ECMA-48, 8.3.117). */
function select(style, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) { style.flags.clear(); style.fore = style.back = null; }
    else if (FLAGS[code]) style.flags.add(FLAGS[code]);
    else if (FLAGS_OFF[code]) FLAGS_OFF[code].forEach((flag) => style.flags.delete(flag));
    else if (code >= 30 && code <= 37) style.fore = code - 30;
    else if (code >= 90 && code <= 97) style.fore = code - 82;
    else if (code >= 40 && code <= 47) style.back = code - 40;
    else if (code >= 100 && code <= 107) style.back = code - 92;
    else if (code === 39) style.fore = null;
    else if (code === 49) style.back = null;
    else if (code === 38 || code === 48) {
      const wide = codes[at + 1] === 2;
      const colour = wide ? rgb(codes.slice(at + 2, at + 5)) : palette(codes[at + 2]);
      if (code === 38) style.fore = colour; else style.back = colour;
      at += wide ? 4 : 2;
    }
  }
}

const rgb = (parts) => (parts.length === 3 && parts.every((n) => n >= 0 && n <= 255) ? `rgb(${parts.join(" ")})` : null);

/** A colour of the 256 that terminals have: 16, a cube of 6 each way, greys. */
function palette(n) {
  if (!(n >= 0 && n <= 255)) return null;
  if (n < 16) return n;
  if (n >= 232) return rgb(Array(3).fill(8 + (n - 232) * 10));
  const level = (at) => (at === 0 ? 0 : 55 + at * 40);
  return rgb([level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6)]);
}

/** What a line shows at last: what follows a carriage return draws over what was before it. */
function paintLine(into, text) {
  const states = text.replace(/\r+$/, "").split("\r");
  paint(into, states[states.length - 1]);
  if (states.length > 1) into.append(el("span", "muted", ` (drawn over ${count(states.length - 1, "time")})`));
  return into;
}

/** A rank's text without colours, for whatever takes no elements. */
const plain = (text) => text.replace(SEQUENCE, "");

const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const at = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1024 ** at;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[at - 1]}`;
}

/** A duration of so many microseconds. */
function span(micros) {
  const seconds = micros / 1e6;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const two = (n, digits = 2) => String(n).padStart(digits, "0");

/** The time of day, to the millisecond; micros since 1970. */
function clock(micros) {
  if (!micros) return "";
  const at = new Date(micros / 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
}

function date(micros) {
  if (!micros) return "";
  const at = new Date(micros / 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(micros).slice(0, 8)}`;
}

/** `+0.412 s` after a moment, `−0.412 s` before it. */
const relative = (micros) => `${micros < 0 ? "−" : "+"}${(Math.abs(micros) / 1e6).toFixed(3)} s`;

const SIGNALS = { 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM" };
const signal = (n) => `signal ${n}${SIGNALS[n] ? ` (${SIGNALS[n]})` : ""}`;

/** The ranks of `"0-3,8"`; none where that is no such list. */
function ranksOf(text) {
  const ranks = new Set();
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const found = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!found || Number(found[2] ?? found[1]) - Number(found[1]) > 1e6) return null;
    for (let rank = Number(found[1]); rank <= Number(found[2] ?? found[1]); rank++) ranks.add(rank);
  }
  return ranks;
}

/** A set of ranks as `"0-3,8"`. */
function rankList(ranks) {
  const sorted = [...ranks].sort((a, b) => a - b);
  const parts = [];
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (sorted[end + 1] === sorted[end] + 1) end++;
    parts.push(end > at ? `${sorted[at]}-${sorted[end]}` : `${sorted[at]}`);
    at = end + 1;
  }
  return parts.join(",");
}

/** Fills a table: a head, and rows of cells, each a text, a number or an element. */
function fillTable(table, head, rows) {
  const cell = (value) => {
    if (value instanceof HTMLTableCellElement) return value;
    if (typeof value === "number") return el("td", "number", value.toLocaleString("en"));
    return el("td", "", value ?? "");
  };
  const title = (text) => { const th = el("th", "", text); th.scope = "col"; return th; };
  table.replaceChildren(
    el("thead", "", el("tr", "", ...head.map(title))),
    el("tbody", "", ...rows.map((row) => el("tr", "", ...row.map(cell)))),
  );
}
