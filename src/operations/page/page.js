// The live page: fetches /metrics once a second, and shows the differences between two scrapes.
//
// Nothing is written as HTML or as a style, because the Content-Security-Policy forbids both.

import { FORMATS, Interval, UPTIME, age, linearTicks, logTicks, parse, shown, sum, withoutZeros }
  from "./figures.js";

const percentiles = (metric) =>
  [50, 99, 99.9].map((p) => [`p${p}`, (interval) => interval.quantile(p / 100, metric)]);
const rate = (metric) => (interval) => interval.rate(metric);
const gauge = (metric, labels) => (interval) => interval.gauge(metric, labels);
const { count, bytes, duration } = FORMATS;

// A series is a name and what it reads from an interval. `least` is the least upper end of an axis.
const PLOTS = [
  { title: "Requests per second", size: "large", format: count, least: 10,
    series: [["requests", rate("redis_commands_processed_total")]] },
  { title: "Command duration", size: "large", format: duration, isLog: true, none: "no commands",
    series: percentiles("respool_command_duration_seconds") },
  { title: "Queue wait", size: "large", format: duration, isLog: true, none: "nothing waited",
    series: percentiles("respool_queue_wait_seconds") },
  { title: "Clients", format: count, least: 4,
    series: [["connected", gauge("redis_connected_clients")],
             ["blocked", gauge("redis_blocked_clients")]] },
  { title: "Workers", format: count, least: 2,
    series: ["busy", "following", "leading"].map(
      (state) => [state, gauge("respool_workers", { state })]) },
  { title: "Queues", format: count, least: 4,
    series: [["worker queue", gauge("respool_queue_length")],
             ["accept queue", gauge("respool_accept_queue_length")]] },
  { title: "Connections per second", format: count, least: 4,
    series: [["opened", rate("redis_connections_received_total")],
             ["closed", rate("respool_closes_total")],
             ["refused", rate("redis_rejected_connections_total")]] },
  { title: "Errors per second", format: count, least: 4,
    series: [["error replies", rate("redis_errors_total")],
             ["dropped connects", rate("respool_listen_drops_total")]] },
  { title: "Bytes per second", format: bytes, base: 2, least: 4096,
    series: [["in", rate("redis_net_input_bytes_total")],
             ["out", rate("redis_net_output_bytes_total")]] },
  { title: "Memory", format: bytes, base: 2, least: 1 << 20,
    series: [["used", gauge("redis_memory_used_bytes")]] },
];

const ratesBy = (metric, label) => (interval) =>
  interval.values(metric, label).map((value) => {
    const labels = { [label]: value };
    const rate = shown(interval.rate(metric, labels), count);
    return [value, rate, count(interval.gauge(metric, labels))];
  });

function commandRows(interval) {
  return interval.values("redis_commands_total", "cmd").map((cmd) => {
    const quantile = (q) =>
      shown(interval.quantile(q, "respool_command_duration_seconds", { cmd }), duration);
    const failed = interval.gauge("redis_commands_failed_calls_total", { cmd });
    const total = interval.gauge("redis_commands_total", { cmd });
    const rate = shown(interval.rate("redis_commands_total", { cmd }), count);
    return [cmd, rate, quantile(0.5), quantile(0.99), shown(failed, count), count(total)];
  });
}

function listenerRows(interval) {
  return interval.values("respool_accept_queue_limit", "listener").map((listener) => [
    listener,
    shown(interval.gauge("respool_accept_queue_length", { listener }), count),
    shown(interval.gauge("respool_accept_queue_limit", { listener }), count),
  ]);
}

const TABLES = [
  { title: "Listeners", columns: ["address", "waiting", "limit"], rows: listenerRows,
    none: "no listener" },
  { title: "Commands", size: "wide", rows: commandRows, none: "no command yet",
    columns: ["command", "per second", "p50", "p99", "failed", "total"] },
  { title: "Closes by reason", columns: ["reason", "per second", "total"],
    rows: ratesBy("respool_closes_total", "reason"), none: "no connection was closed yet" },
  { title: "Errors by kind", columns: ["error", "per second", "total"],
    rows: ratesBy("redis_errors_total", "err"), none: "no error yet" },
];

const UNKNOWN = { uptime: "–", workers: "–", maxclients: "–", process: "–" };

// Returns the texts of the header by the id of their element.
function facts(interval) {
  const { respool_version: version, process_id: process } =
    interval.after.get("redis_instance_info")?.[0]?.labels ?? {};
  return {
    version: `${version ?? ""} at ${location.host}`,
    uptime: shown(interval.gauge(UPTIME), age),
    workers: shown(interval.gauge("respool_workers"), String),
    maxclients: shown(interval.gauge("redis_max_clients"), String),
    process: process ?? "–",
  };
}

// Returns what is kept of a scrape. `at` is in milliseconds of `performance.now`.
function sampleOf(interval, at) {
  return {
    at,
    seconds: interval.seconds,
    values: PLOTS.map(({ series }) => series.map(([, read]) => read(interval))),
    rows: TABLES.map(({ rows }) => rows(interval)),
    facts: facts(interval),
  };
}

// ---------- Elements ----------

const WINDOW_S = 120;
// Space around a plot for its labels, in pixels.
const MARGIN = { top: 6, right: 16, bottom: 20, left: 52 };
const MOST_ROWS = 12;

const byId = (id) => document.getElementById(id);

function element(name, text, className = "") {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

function group(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function panel(template, { title, size = "small" }) {
  const section = byId(template).content.firstElementChild.cloneNode(true);
  section.classList.add(size);
  section.querySelector("h2").textContent = title;
  byId("panels").append(section);
  return section;
}

class Plot {
  constructor(spec, index) {
    Object.assign(this, { spec, index, width: 0, height: 0, samples: [] });
    const section = panel("plot-panel", spec);
    this.svg = section.querySelector("svg");
    this.cursor = shape("g", {});
    this.readings = spec.series.map(() => element("dd", "–"));
    const names = spec.series.map(([name], series) => element("dt", name, `series-${series}`));
    const rows = names.map((name, series) => group("div", name, this.readings[series]));
    section.querySelector(".legend").append(...rows);
  }

  resize({ width, height }) {
    Object.assign(this, { width, height });
    this.right = width - MARGIN.right;
    this.bottom = height - MARGIN.bottom;
    this.draw(this.samples);
  }

  // Returns the second at this distance from the left end: 0 is the last one, -120 the first.
  secondAt(x) {
    const share = (x - MARGIN.left) / (this.right - MARGIN.left);
    return Math.round((Math.min(Math.max(share, 0), 1) - 1) * WINDOW_S);
  }

  draw(samples) {
    this.samples = samples;
    if (samples.length === 0 || this.width === 0) return;
    const series = this.spec.series.map((_, series) =>
      samples.map((sample) => sample.values?.[this.index][series] ?? null));
    const values = series.flat().filter((value) => value !== null);
    const ticks = this.scale(samples.at(-1).at, values);
    // A picture in the picture cuts off what leaves it, but for half the width of a line.
    const [x, width] = [MARGIN.left, this.right + 2 - MARGIN.left];
    const viewBox = `${x} 0 ${width} ${this.height}`;
    const inner = shape("svg", { x, width, height: this.height, viewBox },
      ...this.outages(), ...this.lines(series));
    this.svg.replaceChildren(...this.grid(ticks), inner, this.cursor);
    this.describe(values);
  }

  // Sets where times and values are, and returns the ticks of the values.
  scale(end, values) {
    const { isLog, least, base } = this.spec;
    const ends = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [1e-6, 1e-3];
    const ticks = isLog ? logTicks(...ends) : linearTicks(Math.max(...values, least), base);
    const scaled = isLog ? Math.log : (value) => value;
    const [low, high] = [scaled(ticks[0]), scaled(ticks.at(-1))];
    const { right, bottom } = this;
    this.x = (at) => right + ((at - end) / 1000 / WINDOW_S) * (right - MARGIN.left);
    this.y = (value) => bottom - ((scaled(value) - low) / (high - low)) * (bottom - MARGIN.top);
    return ticks;
  }

  grid(ticks) {
    const { spec: { format }, right, bottom } = this;
    const line = (x1, x2, y1, y2) => shape("line", { class: "grid", x1, x2, y1, y2 });
    const rows = ticks.flatMap((tick) => {
      const y = this.y(tick);
      const place = { x: MARGIN.left - 6, y: y + 4, class: "tick left" };
      return [line(MARGIN.left, right, y, y), shape("text", place, withoutZeros(format(tick)))];
    });
    const columns = [-120, -90, -60, -30, 0].flatMap((second) => {
      const x = right + (second / WINDOW_S) * (right - MARGIN.left);
      const text = second === 0 ? "now" : `−${-second} s`;
      const place = { x, y: bottom + 15, class: "tick middle" };
      return [line(x, x, MARGIN.top, bottom), shape("text", place, text)];
    });
    return [...columns, ...rows];
  }

  // Returns shades for the times without an answer.
  outages() {
    const gone = this.samples.filter(({ isGone }) => isGone);
    return gone.map(({ at, seconds }) => {
      const x = this.x(at - seconds * 1000);
      const height = this.bottom - MARGIN.top;
      // A pixel more, because neighbours would show a seam.
      const width = this.x(at) - x + 1;
      return shape("rect", { class: "gone", x, y: MARGIN.top, width, height });
    });
  }

  lines(series) {
    const shapes = series.map((values, index) => {
      // A value by itself is a dot: a line without length, whose ends are round.
      const line = this.parts(values).map((points) => `M${points.join("L")}h0`).join("");
      return shape("path", { class: `line series-${index}`, d: line });
    });
    if (series.length === 1) {
      const close = (points) => `M${points.join("L")}V${this.bottom}H${points[0][0]}Z`;
      const area = this.parts(series[0]).map(close).join("");
      shapes.push(shape("path", { class: "area", d: area }));
    }
    // The first series is the main one, and lies on top.
    return shapes.reverse();
  }

  // Returns the points of a line, in parts: it breaks where there is no value.
  parts(values) {
    const parts = [[]];
    values.forEach((value, index) => {
      if (value === null) {
        parts.push([]);
        return;
      }
      const { at, seconds } = this.samples[index];
      // A rate over a long time, as in a tab in the background, belongs to all of that time.
      const times = seconds > 2 ? [at - seconds * 1000, at] : [at];
      parts.at(-1).push(...times.map((at) => [this.x(at).toFixed(1), this.y(value).toFixed(1)]));
    });
    return parts.filter((points) => points.length > 0);
  }

  describe(values) {
    const { title, format, none = "no figures" } = this.spec;
    const ends = [Math.min(...values), Math.max(...values)].map(format);
    const range = values.length > 0 ? `from ${ends.join(" to ")}` : none;
    this.svg.setAttribute("aria-label", `${title} in the last 2 minutes: ${range}`);
    if (values.length > 0) return;
    const place = { x: (MARGIN.left + this.right) / 2, y: this.bottom / 2, class: "tick middle" };
    this.svg.append(shape("text", place, none));
  }

  // Shows the values of a sample, and marks it unless it is the last.
  read(sample, isLast) {
    const values = sample?.values?.[this.index] ?? this.spec.series.map(() => null);
    values.forEach((value, series) => {
      this.readings[series].textContent = shown(value, this.spec.format);
    });
    this.cursor.replaceChildren();
    if (!sample || isLast || this.width === 0) return;
    const x = this.x(sample.at);
    const line = { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: this.bottom };
    this.cursor.append(shape("line", line));
    values.forEach((value, series) => {
      if (value === null) return;
      const dot = { class: `series-${series}`, cx: x, cy: this.y(value), r: 3.5 };
      this.cursor.append(shape("circle", dot));
    });
  }
}

class Table {
  constructor(spec, index) {
    Object.assign(this, { spec, index });
    const section = panel("table-panel", spec);
    const columns = spec.columns.map((name) => element("th", name));
    for (const column of columns) column.scope = "col";
    section.querySelector("thead tr").append(...columns);
    this.table = section.querySelector("table");
    this.note = section.querySelector(".note");
  }

  read(sample) {
    const rows = sample?.rows?.[this.index] ?? [];
    const elements = rows.slice(0, MOST_ROWS)
      .map((cells) => group("tr", ...cells.map((cell) => element("td", cell))));
    this.table.tBodies[0].replaceChildren(...elements);
    this.table.hidden = rows.length === 0;
    const more = rows.length - elements.length;
    const nothing = sample?.rows ? this.spec.none : "–";
    this.note.textContent = more > 0 ? `and ${more} more` : rows.length > 0 ? "" : nothing;
  }
}

// ---------- The page ----------

// Milliseconds between two scrapes, also in a tab that nobody sees, and at most for one.
const EVERY = 1000;
const EVERY_HIDDEN = 10_000;
const PATIENCE = 4000;

const clockTime = (at) =>
  new Date(Date.now() - performance.now() + at).toLocaleTimeString([], { hour12: false });

// Returns an answer and when it began, or throws why there is none.
async function get(path) {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch(path, { signal, cache: "no-store" });
    const at = performance.now();
    return { response, at, text: await response.text() };
  } catch ({ name }) {
    const within = name === "TimeoutError" ? ` within ${PATIENCE / 1000} s` : "";
    throw new Error(`no answer${within}`);
  }
}

class Page {
  constructor() {
    this.plots = PLOTS.map((spec, index) => new Plot(spec, index));
    this.tables = TABLES.map((spec, index) => new Table(spec, index));
    // `samples` are all of the window, `seen` are those that the plots show.
    Object.assign(this, { samples: [], seen: [], before: null, goneSince: null, ticks: 0 });
    Object.assign(this, { isPaused: false, pointed: null, wake() {} });
    this.lessMotion = matchMedia("(prefers-reduced-motion: reduce)");
    this.listen();
    this.watchPlots();
  }

  listen() {
    const [pause, reading] = [byId("pause"), byId("reading")];
    pause.addEventListener("click", () => {
      this.isPaused = !this.isPaused;
      pause.textContent = this.isPaused ? "Resume" : "Pause";
      if (!this.isPaused) this.draw();
      this.read();
    });
    reading.addEventListener("input", () => this.read());
    reading.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      reading.value = 0;
      this.read();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
  }

  watchPlots() {
    const observer = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        this.plots.find(({ svg }) => svg === target).resize(contentRect);
      }
      this.read();
    });
    const point = (second) => {
      this.pointed = second;
      this.read();
    };
    for (const plot of this.plots) {
      observer.observe(plot.svg);
      plot.svg.addEventListener("pointermove", ({ clientX }) =>
        point(plot.secondAt(clientX - plot.svg.getBoundingClientRect().left)));
      plot.svg.addEventListener("pointerleave", () => point(null));
    }
  }

  draw() {
    this.seen = this.samples.slice();
    for (const plot of this.plots) plot.draw(this.seen);
    this.read();
  }

  // Shows the values at the second of the pointer, else of the slider.
  read() {
    const second = this.pointed ?? Number(byId("reading").value);
    const end = this.seen.at(-1)?.at ?? performance.now();
    const at = end + second * 1000;
    const next = this.seen.find((sample) => sample.at >= at - EVERY / 2);
    const sample = next && next.at - next.seconds * 1000 <= at + EVERY / 2 ? next : null;
    for (const plot of this.plots) plot.read(sample, second === 0);
    for (const table of this.tables) table.read(sample);
    const ago = `${clockTime(at)} (−${-second} s)`;
    const text = second < 0 ? ago : this.isPaused ? `paused at ${clockTime(end)}` : "now";
    byId("reading-time").textContent = text;
    const requests = this.plots[0].readings[0].textContent;
    byId("reading").setAttribute("aria-valuetext", `${text}: ${requests} requests per second`);
  }

  showFacts() {
    const { facts, values } = this.samples.at(-1);
    for (const [name, value] of Object.entries(facts ?? UNKNOWN)) byId(name).textContent = value;
    const requests = facts ? `${shown(values[0][0], count)}/s` : "no answer";
    document.title = `${requests} · respool at ${location.host}`;
  }

  // Writes only changes, because screen readers read them out.
  say(state, text) {
    const line = byId("state");
    if (line.textContent === text) return;
    line.dataset.state = state;
    line.textContent = text;
  }

  async scrape() {
    const { response, at, text } = await get("metrics");
    if (!response.ok) throw new Error(`/metrics answers ${response.status}`);
    const scrape = parse(text);
    const seconds = this.before ? (at - this.before.at) / 1000 : EVERY / 1000;
    this.samples.push(sampleOf(new Interval(this.before?.scrape, scrape, seconds), at));
    this.before = { scrape, at };
    const unfit = ["live", "ready"].find((name) => sum(scrape, `respool_${name}`) === 0);
    if (!unfit) return this.say("fit", "ready");
    const reason = (await get(`${unfit}z`)).text.trim();
    return this.say(`un${unfit}`, `not ${unfit}: ${reason}`);
  }

  miss(error) {
    const at = performance.now();
    const last = this.samples.at(-1)?.at ?? at - EVERY;
    this.samples.push({ at, seconds: (at - last) / 1000, isGone: true });
    this.goneSince ??= at;
    // What is counted until the next answer belongs to no second.
    this.before = null;
    this.say("gone", `${error.message} since ${clockTime(this.goneSince)}; trying again`);
  }

  async tick() {
    try {
      await this.scrape();
      this.goneSince = null;
    } catch (error) {
      this.miss(error);
    }
    const first = this.samples.at(-1).at - (WINDOW_S + 2) * 1000;
    this.samples = this.samples.filter(({ at }) => at >= first);
    this.ticks += 1;
    const isDue = !this.lessMotion.matches || this.ticks % 5 === 1;
    this.showFacts();
    if (isDue && !this.isPaused && !document.hidden) this.draw();
  }

  // Never has two scrapes under way, however long one takes.
  async run() {
    for (;;) {
      const begin = performance.now();
      await this.tick();
      // The rates of a shorter time would say little.
      await sleep(EVERY / 4);
      const every = document.hidden ? EVERY_HIDDEN : EVERY;
      await this.sleepUntilSeen(begin + every - performance.now());
    }
  }

  // Sleeps, but not longer than until a hidden tab is looked at.
  sleepUntilSeen(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
    });
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

new Page().run();
