// The figures of the live page: what two scrapes of /metrics say, as numbers and as text. Nothing
// here knows a document, so that tests run it by itself.

// Returns the samples of a scrape in Prometheus's text format by metric. A metric without samples,
// such as an error that has not occurred, has an empty list; one that the server lacks has none.
export function parse(text) {
  const scrape = new Map();
  for (const line of text.split("\n")) {
    const [, declared] = /^# TYPE (\S+)/.exec(line) ?? [];
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    const metric = declared ?? name;
    if (metric === undefined) continue;
    if (!scrape.has(metric)) scrape.set(metric, []);
    if (name) scrape.get(name).push({ labels: parseLabels(labels), value: parseNumber(value) });
  }
  return scrape;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;

function parseLabels(text = "") {
  const labels = {};
  for (const [, name, value] of text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
  }
  return labels;
}

const parseNumber = (text) => Number(text.replace("Inf", "Infinity"));

// Two scrapes, `seconds` apart. Each method returns null where there is nothing to show: there is
// no scrape before, the server lacks the metric, or a counter went back (CONFIG RESETSTAT).
export class Interval {
  constructor(before, after, seconds) {
    Object.assign(this, { before, after, seconds });
    // After a restart, even a counter that went forward counts something else.
    if (before && this.gauge(UPTIME) < sum(before, UPTIME)) this.before = null;
  }

  gauge(name, labels) {
    return sum(this.after, name, labels);
  }

  increase(name, labels) {
    const after = sum(this.after, name, labels);
    if (!this.before || after === null) return null;
    // A label that was not there counted 0.
    const increase = after - (sum(this.before, name, labels) ?? 0);
    return increase < 0 ? null : increase;
  }

  rate(name, labels) {
    const increase = this.increase(name, labels);
    return increase === null ? null : increase / this.seconds;
  }

  quantile(q, name, labels) {
    if (!this.before) return null;
    const before = buckets(this.before, name, labels);
    const after = buckets(this.after, name, labels);
    const bounds = [...after.keys()].sort((a, b) => a - b);
    const counts = bounds.map((le) => [le, after.get(le) - (before.get(le) ?? 0)]);
    return counts.some(([, count]) => count < 0) ? null : quantile(q, counts);
  }

  // Returns the values that a label has, the largest first, without those that count nothing.
  values(name, label) {
    const samples = (this.after.get(name) ?? []).filter(({ value }) => value > 0);
    return samples.sort((a, b) => b.value - a.value).map(({ labels }) => labels[label]);
  }
}

export const UPTIME = "redis_uptime_in_seconds";

function matching(scrape, name, labels = {}) {
  const wanted = Object.entries(labels);
  const samples = scrape.get(name);
  return samples?.filter((sample) => wanted.every(([key, value]) => sample.labels[key] === value));
}

export function sum(scrape, name, labels) {
  return matching(scrape, name, labels)?.reduce((total, { value }) => total + value, 0) ?? null;
}

// Returns the cumulative counts of a histogram by upper bound, added up over all other labels.
function buckets(scrape, name, labels) {
  const counts = new Map();
  for (const { labels: { le }, value } of matching(scrape, `${name}_bucket`, labels) ?? []) {
    const bound = parseNumber(le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return counts;
}

// Returns what Prometheus's histogram_quantile does, for cumulative counts by ascending bound.
export function quantile(q, shown) {
  let total = 0;
  // Counts that are estimated and rounded may be 1 below those of a smaller bound.
  const counts = shown.map(([bound, count]) => [bound, (total = Math.max(total, count))]);
  if (total === 0) return null;
  const rank = q * total;
  const index = counts.findIndex(([, count]) => count >= rank);
  const [upper, count] = counts[index];
  const [lower, below] = counts[index - 1] ?? [0, 0];
  // Durations above the last bound are only known to be longer.
  if (upper === Infinity) return lower;
  return lower + ((upper - lower) * (rank - below)) / (count - below);
}

// ---------- Numbers as text ----------

// Returns three digits of a number with one of the units, each `base` times the one before.
function scaled(number, units, base) {
  if (Number.isInteger(number) && number < base) return `${number}${units[0]}`;
  let unit = 0;
  // 999.6 would be shown as 1000.
  while (unit + 1 < units.length && Math.max(number, number.toPrecision(3)) >= base) {
    number /= base;
    unit += 1;
  }
  return `${number >= 100 ? Math.round(number) : number.toPrecision(3)}${units[unit]}`;
}

export const FORMATS = {
  count: (number) => scaled(number, ["", " k", " M", " G", " T"], 1000),
  bytes: (number) => scaled(number, [" B", " KiB", " MiB", " GiB", " TiB"], 1024),
  duration: (seconds) => scaled(seconds * 1e9, [" ns", " µs", " ms", " s"], 1000),
};

// A tick needs no zeros: 50 k instead of 50.0 k.
export const withoutZeros = (text) =>
  text.replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "");

export const shown = (value, format) => (value === null ? "–" : format(value));

export function age(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => seconds >= length);
  const two = first < 0 ? [[1, "s"]] : units.slice(first, first + 2);
  const part = ([length, unit], index) =>
    `${Math.floor((index > 0 ? seconds % two[0][0] : seconds) / length)} ${unit}`;
  return two.map(part).join(" ");
}

// ---------- Axes ----------

// Returns about four whole ticks from 0 to `max` or just above.
export function linearTicks(max, base = 10) {
  const rough = Math.max(max / 4, 1);
  const power = base ** Math.floor(Math.log(rough) / Math.log(base));
  const steps = base === 2 ? [1, 2] : [1, 2, 5, 10];
  const step = power * steps.find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.ceil(max / step - 0.001) + 1 }, (_, index) => index * step);
}

// Returns the powers of ten from `min` or just below to `max` or just above.
export function logTicks(min, max) {
  const first = Math.floor(Math.log10(min) + 0.001);
  const last = Math.max(Math.ceil(Math.log10(max) - 0.001), first + 2);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(`1e${first + index}`));
}
