"use strict";
// The timeline of a run. A row is a unit; a burst is one rectangle until its dispatches are wide enough to be drawn apart.
const facts = JSON.parse(document.getElementById("facts").textContent);
const lanes = document.getElementById("lanes"), floor = document.getElementById("floor");
const tip = document.getElementById("tip"), find = document.getElementById("find");
const LABEL = 150, ROW = 11, TOP = 26, WAIT = "#8884";
const state = { from: 0, to: facts.cycles, top: 0, marked: -1, kept: false, drawMs: 0 };
let bursts = null, rows = [], first = [];

document.getElementById("title").textContent = document.title;

async function unpack() {
  const raw = Uint8Array.from(atob(document.getElementById("bursts").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Int32Array(await new Response(stream).arrayBuffer());
  const column = (i) => values.subarray(i * facts.count, (i + 1) * facts.count);
  bursts = Object.fromEntries(facts.columns.map((name, i) => [name, column(i)]));
  bursts.args = (i) => Array.from({ length: 10 }, (_, k) => column(facts.columns.length + k)[i]);
  first = new Array(facts.units.length + 1).fill(0);
  for (const unit of bursts.unit) first[unit + 1]++;
  for (let u = 0; u < facts.units.length; u++) first[u + 1] += first[u];
  rows = facts.units.map((_, u) => u).filter((u) => first[u + 1] > first[u]);
  rows.sort((a, b) => facts.positions[a] - facts.positions[b] || a - b);
}

// A node's colour follows from its number alone, so that neighbours differ and every run looks the same.
const colours = facts.nodes.map((name, i) => (name ? `hsl(${(i * 137.5) % 360} 62% 52%)` : "#888"));
const end = (i) => bursts.cycle[i] + (bursts.count[i] - 1) * bursts.interval[i] + bursts.busy[i];
const scale = () => (lanes.clientWidth - LABEL) / (state.to - state.from);
const x = (cycle) => LABEL + (cycle - state.from) * scale();
const cycleAt = (px) => state.from + (px - LABEL) / scale();

function context(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  c.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  c.font = "10px ui-monospace, monospace";
  return c;
}

// Bursts of a unit may overlap in time (they interleave), so a look back as far as the longest is needed.
const longest = [];
function reach(unit) {
  if (longest[unit] === undefined) {
    let most = 0;
    for (let i = first[unit]; i < first[unit + 1]; i++) most = Math.max(most, end(i) - bursts.cycle[i]);
    longest[unit] = most;
  }
  return longest[unit];
}

function lowerBound(unit, cycle) {
  let low = first[unit], high = first[unit + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bursts.cycle[middle] < cycle) low = middle + 1; else high = middle;
  }
  return low;
}

function drawRow(c, unit, y) {
  const k = scale(), width = lanes.clientWidth;
  let painted = LABEL - 1, paintedNode = -1, filled = "";
  for (let i = lowerBound(unit, state.from - reach(unit)); i < first[unit + 1]; i++) {
    const begin = bursts.cycle[i];
    if (begin > state.to) break;
    const stop = end(i);
    if (stop < state.from) continue;
    const left = Math.max(LABEL, x(begin)), right = Math.min(width, x(stop));
    const node = bursts.node[i], marked = node === state.marked;
    if (right - left < 1 && left < painted && !(marked && paintedNode !== node)) continue;
    const colour = state.marked < 0 || marked ? colours[node] : WAIT;
    if (colour !== filled) c.fillStyle = filled = colour;
    if (bursts.interval[i] > bursts.busy[i] && k > 2) {
      for (let n = Math.max(0, Math.floor((state.from - begin) / bursts.interval[i])); n < bursts.count[i]; n++) {
        const at = begin + n * bursts.interval[i];
        if (at > state.to) break;
        c.fillRect(Math.max(LABEL, x(at)), y + 1, Math.max(1, bursts.busy[i] * k - 0.5), ROW - 2);
      }
    } else c.fillRect(left, y + 1, Math.max(1, right - left - (k > 2 ? 0.5 : 0)), ROW - 2);
    painted = Math.max(painted, right, left + 1);
    paintedNode = node;
  }
}

function drawAxis(c, ink) {
  const k = scale(), raw = 90 / k, power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw));
  c.fillStyle = ink;
  for (let t = Math.ceil(state.from / step) * step; t <= state.to; t += step) {
    c.fillRect(x(t), 0, 1, 6);
    c.fillText(Math.round(t).toLocaleString("en"), x(t) + 3, 9);
  }
  c.fillText("critical path", 4, TOP - 5);
  for (const [begin, stop, node, , wait] of facts.path) {
    if (stop < state.from || begin > state.to) continue;
    c.fillStyle = wait ? WAIT : colours[Math.max(0, facts.nodes.indexOf(node))];
    const left = Math.max(LABEL, x(begin));
    c.fillRect(left, TOP - 13, Math.max(0.5, x(stop) - left), 10);
  }
}

function draw() {
  const started = performance.now();
  const ink = getComputedStyle(document.body).color;
  lanes.style.height = `${Math.max(240, Math.min(window.innerHeight - 150, TOP + rows.length * ROW))}px`;
  const c = context(lanes);
  drawAxis(c, ink);
  c.save();
  c.beginPath();
  c.rect(0, TOP, lanes.clientWidth, lanes.clientHeight - TOP);
  c.clip();
  rows.forEach((unit, n) => {
    const y = TOP + n * ROW - state.top;
    if (y < TOP - ROW || y > lanes.clientHeight) return;
    drawRow(c, unit, y);
    c.fillStyle = ink;
    c.fillText(facts.units[unit], 4, y + ROW - 2);
  });
  c.restore();
  drawFloor(ink);
  state.drawMs = performance.now() - started;
  const show = (v) => Math.round(v).toLocaleString("en");
  document.getElementById("range").textContent = `cycles ${show(state.from)} .. ${show(state.to)} of ${show(facts.cycles)}`;
  document.body.dataset.state = JSON.stringify({ ...state, rows: rows.length, bursts: facts.count });
}

// West to east; the height of a cell is the share of the run in which the busiest unit at that position is busy.
function drawFloor(ink) {
  const c = context(floor), width = floor.clientWidth / (Math.max(...facts.positions) + 1);
  const share = new Map();
  facts.units.forEach((name, u) => {
    const kind = name.slice(0, 3), p = facts.positions[u], busy = facts.busy[u] / facts.cycles;
    if (!share.has(p) || busy > share.get(p)[1]) share.set(p, [kind, busy]);
  });
  const fill = { MEM: "#4f7cac", VXM: "#c2703d", MXM: "#6a9955", SXM: "#8f6bb0", C2C: "#888" };
  for (const [p, [kind, busy]] of share) {
    c.fillStyle = fill[kind];
    c.globalAlpha = 0.18;
    c.fillRect(p * width, 2, width - 1, 28);
    c.globalAlpha = 1;
    c.fillRect(p * width, 30 - 28 * busy, width - 1, 28 * busy);
  }
  c.fillStyle = ink;
  for (const [kind, p] of [["MXM", 0], ["VXM", (Math.max(...facts.positions)) / 2], ["MXM", Math.max(...facts.positions) - 1]]) {
    c.fillText(kind, p * width, 41);
  }
  c.fillText("MEM west", 12 * width, 41);
  c.fillText("MEM east", 70 * width, 41);
}

function operandText([name, kind], value) {
  if (kind === "STREAM") return (value < facts.streams ? "E" : "W") + (value % facts.streams);
  if (kind === "STREAM_OR_NONE") return value ? `${name} ${value - 1}` : "";
  if (kind === "DTYPE") return facts.types[value] ?? value;
  if (kind === "FLAG") return value ? name : "";
  if (kind === "BITS32") return value ? `#0x${(value >>> 0).toString(16)}` : "";
  if (kind === "SOURCE") {
    const index = (value >> 2) & 63, delay = (value >> 8) & 63, after = delay ? `~${delay}` : "";
    return ["", (index < facts.streams ? "E" : "W") + (index % facts.streams) + after, `alu${index}${after}`, "#"][value & 3];
  }
  return `${name}=${value}`;
}

function describe(i, cycle) {
  const operation = facts.operations[bursts.opcode[i]], args = bursts.args(i);
  const k = Math.max(0, Math.min(bursts.count[i] - 1, Math.floor((cycle - bursts.cycle[i]) / bursts.interval[i])));
  const operands = operation.operands.map((o, n) => operandText(o, o[2] ? args[n] + k * bursts.stride[i] : args[n]));
  const at = bursts.cycle[i] + k * bursts.interval[i];
  return [
    `${facts.units[bursts.unit[i]]}  ${operation.name} ${operands.filter(Boolean).join(", ")}`,
    `cycle ${at.toLocaleString("en")}, dispatch ${k + 1} of ${bursts.count[i]}, every ${bursts.interval[i]}`,
    `node ${facts.nodes[bursts.node[i]] || "(none)"}`,
  ].join("\n");
}

function burstAt(px, py) {
  const unit = rows[Math.floor((py - TOP + state.top) / ROW)];
  if (unit === undefined || px < LABEL || py < TOP) return -1;
  const cycle = cycleAt(px), slack = 1 / scale();
  let best = -1, off = Infinity;
  for (let i = lowerBound(unit, cycle - reach(unit) - slack); i < first[unit + 1] && bursts.cycle[i] <= cycle + slack; i++) {
    const apart = Math.max(bursts.cycle[i] - cycle, cycle - end(i), 0);
    if (apart <= slack && apart <= off) { best = i; off = apart; }
  }
  return best;
}

function hover(event) {
  if (state.kept) return;
  const i = bursts ? burstAt(event.offsetX, event.offsetY) : -1;
  tip.hidden = i < 0;
  if (i < 0) return;
  tip.textContent = describe(i, cycleAt(event.offsetX));
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - 380)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

function zoom(factor, centre) {
  const span = Math.max(4, Math.min(facts.cycles, (state.to - state.from) * factor));
  const share = (centre - state.from) / (state.to - state.from);
  show(centre - share * span, span);
}

function show(from, span) {
  state.from = Math.max(0, Math.min(facts.cycles - span, from));
  state.to = state.from + span;
  draw();
}

function scroll(by) {
  state.top = Math.max(0, Math.min(rows.length * ROW - lanes.clientHeight + TOP, state.top + by));
  draw();
}

// The node whose name is the text, else the first whose name contains it; the view goes to all that it does.
function search(text) {
  const wanted = text.trim().toLowerCase(), names = facts.nodes.map((n) => n.toLowerCase());
  state.marked = wanted ? names.indexOf(wanted) : -1;
  if (wanted && state.marked < 0) state.marked = names.findIndex((n) => n.includes(wanted));
  let low = Infinity, high = 0, many = 0;
  for (let i = 0; state.marked >= 0 && i < facts.count; i++) {
    if (bursts.node[i] !== state.marked) continue;
    low = Math.min(low, bursts.cycle[i]);
    high = Math.max(high, end(i));
    many++;
  }
  const found = document.getElementById("found");
  if (many) {
    found.textContent = `${facts.nodes[state.marked]}: ${many.toLocaleString("en")} bursts, cycles ${low.toLocaleString("en")} .. ${high.toLocaleString("en")}`;
    const margin = (high - low) * 0.05 + 2;
    show(low - margin, Math.min(facts.cycles, high - low + 2 * margin));
  } else {
    found.textContent = wanted ? "no such node at work" : "";
    draw();
  }
}

function listen() {
  let drag = null;
  lanes.addEventListener("wheel", (e) => {
    e.preventDefault();
    if (e.shiftKey) scroll(e.deltaY || e.deltaX); else zoom(1.2 ** (e.deltaY / 100), cycleAt(e.offsetX));
  }, { passive: false });
  lanes.addEventListener("pointerdown", (e) => { drag = [e.clientX, e.clientY, false]; });
  window.addEventListener("pointerup", () => { if (drag && !drag[2]) state.kept = !state.kept && !tip.hidden; drag = null; });
  lanes.addEventListener("pointermove", (e) => {
    if (!drag) { hover(e); return; }
    const [dx, dy] = [e.clientX - drag[0], e.clientY - drag[1]];
    if (Math.abs(dx) + Math.abs(dy) < 3) return;
    drag = [e.clientX, e.clientY, true];
    state.top = Math.max(0, Math.min(rows.length * ROW - lanes.clientHeight + TOP, state.top - dy));
    show(state.from - dx / scale(), state.to - state.from);
  });
  lanes.addEventListener("pointerleave", () => { if (!state.kept) tip.hidden = true; });
  find.addEventListener("keydown", (e) => { if (e.key === "Enter") search(find.value); });
  find.addEventListener("change", () => search(find.value));
  const whole = () => { state.top = 0; show(0, facts.cycles); };
  document.getElementById("whole").addEventListener("click", whole);
  lanes.addEventListener("keydown", (e) => {
    const span = state.to - state.from, middle = (state.from + state.to) / 2;
    const acts = {
      ArrowLeft: () => show(state.from - span / 8, span), ArrowRight: () => show(state.from + span / 8, span),
      ArrowUp: () => scroll(-5 * ROW), ArrowDown: () => scroll(5 * ROW),
      "+": () => zoom(0.5, middle), "-": () => zoom(2, middle), 0: whole,
    };
    if (acts[e.key]) { e.preventDefault(); acts[e.key](); }
  });
  window.addEventListener("resize", draw);
}

unpack().then(() => {
  const names = document.getElementById("nodes");
  facts.nodes.filter(Boolean).forEach((name) => names.append(new Option(name)));
  listen();
  draw();
  document.body.dataset.ready = "yes";
});
