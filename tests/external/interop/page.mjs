// The live page, as its functions and in Chromium.
//
//     page.mjs figures
//     page.mjs browser CHROMIUM PROGRAM PORT HTTP_PORT
//     page.mjs screenshot CHROMIUM PROGRAM PORT HTTP_PORT FILE
//
// PROGRAM is started at these ports of the loopback. Run by tests/external/interop/page.rs, in the
// folder with playwright-core. A failure is on standard error, and the exit code is not 0.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [way, executablePath, program, port, httpPort, file] = process.argv.slice(2);
const address = `http://127.0.0.1:${httpPort}`;

// ---------- The functions of figures.js ----------

async function figures() {
  const source = new URL("../../../src/operations/page/figures.js", import.meta.url);
  // Node takes a file named .js for CommonJS.
  const text = encodeURIComponent(readFileSync(source, "utf8"));
  const module = await import(`data:text/javascript,${text}`);
  parses(module);
  computesRates(module);
  computesPercentiles(module);
  formats(module);
  marksAxes(module);
}

function parses({ parse }) {
  const scrape = parse(`# HELP a Help with {x="y"} 1
# TYPE a counter
a 1
b{x="1",y="\\"q\\", \\\\ and \\n} "} 2.5e-3 1700000000
c_bucket{le="+Inf"} 7
# TYPE without_samples counter
# a comment
`);
  assert.deepEqual([...scrape.keys()], ["a", "b", "c_bucket", "without_samples"]);
  assert.deepEqual(scrape.get("a"), [{ labels: {}, value: 1 }]);
  assert.deepEqual(scrape.get("b"), [{ labels: { x: "1", y: '"q", \\ and \n} ' }, value: 0.0025 }]);
  assert.deepEqual(scrape.get("without_samples"), []);
}

function computesRates({ Interval, parse }) {
  const at = (uptime, samples) =>
    parse(`redis_uptime_in_seconds ${uptime}\n# TYPE n counter\n${samples}`);
  const before = at(9, 'n{x="a"} 10\nn{x="b"} 5');
  const rates = (scrape, ...labels) => new Interval(before, scrape, 2).rate("n", ...labels);
  assert.equal(rates(at(11, 'n{x="a"} 14\nn{x="b"} 5\nn{x="new"} 2')), 3);
  assert.equal(rates(at(11, 'n{x="a"} 14\nn{x="b"} 5'), { x: "a" }), 2);
  assert.equal(rates(at(11, 'n{x="new"} 6'), { x: "new" }), 3);
  assert.equal(rates(at(11, 'n{x="a"} 1')), null, "after CONFIG RESETSTAT");
  assert.equal(rates(at(1, 'n{x="a"} 100')), null, "after a restart");
  assert.equal(new Interval(null, before, 1).rate("n"), null, "in the first scrape");
  assert.equal(new Interval(before, before, 1).rate("another"), null, "without the metric");
  const none = at(9, "");
  assert.equal(new Interval(none, none, 1).rate("n"), 0, "without a sample");
}

function computesPercentiles({ Interval, parse, quantile }) {
  assert.equal(quantile(0.5, [[1, 10], [2, 20], [Infinity, 20]]), 1);
  assert.equal(quantile(0.75, [[1, 10], [2, 20], [Infinity, 20]]), 1.5);
  assert.equal(quantile(0.99, [[1, 0], [2, 0], [Infinity, 5]]), 2, "above the last bound");
  assert.equal(quantile(0.5, [[1, 0], [Infinity, 0]]), null, "of nothing");
  assert.equal(quantile(0.5, [[1, 6], [2, 5], [Infinity, 6]]), 0.5, "of rounded counts");
  assert.equal(quantile(0.5, []), null);
  const at = (...counts) => parse(["1", "2", "+Inf"].flatMap((le, index) =>
    ["a", "b"].map((cmd) => `h_bucket{cmd="${cmd}",le="${le}"} ${counts[index]}`)).join("\n"));
  // In between, 10 took up to 1 s and 10 took up to 2 s, of each command.
  const interval = new Interval(at(100, 100, 100), at(110, 120, 120), 1);
  assert.equal(interval.quantile(0.75, "h"), 1.5);
  assert.equal(interval.quantile(0.75, "h", { cmd: "a" }), 1.5);
  assert.equal(new Interval(at(9, 9, 9), at(9, 9, 9), 1).quantile(0.5, "h"), null);
  assert.equal(new Interval(at(9, 9, 9), at(0, 1, 1), 1).quantile(0.5, "h"), null, "after a reset");
}

function formats({ FORMATS: { bytes, count, duration }, age, withoutZeros }) {
  const pairs = (format, ...pairs) => {
    for (const [number, text] of pairs) assert.equal(format(number), text);
  };
  pairs(count, [0, "0"], [7, "7"], [4.968, "4.97"], [999.7, "1.00 k"], [82_140, "82.1 k"]);
  pairs(duration, [8.5e-7, "850 ns"], [1.25e-5, "12.5 µs"], [0.9999, "1.00 s"], [75, "75.0 s"]);
  pairs(bytes, [0, "0 B"], [1 << 20, "1.00 MiB"], [1536, "1.50 KiB"]);
  pairs(withoutZeros, ["50.0 k", "50 k"], ["1.50 MiB", "1.5 MiB"], ["100 µs", "100 µs"]);
  pairs(age, [0.4, "0 s"], [59, "59 s"], [61, "1 min 1 s"], [90_000, "1 d 1 h"]);
}

function marksAxes({ linearTicks, logTicks }) {
  assert.deepEqual(linearTicks(2), [0, 1, 2]);
  assert.deepEqual(linearTicks(4), [0, 1, 2, 3, 4]);
  assert.deepEqual(linearTicks(83_000), [0, 50_000, 100_000]);
  assert.deepEqual(linearTicks(5 << 20, 2), [0, 2, 4, 6].map((mebi) => mebi * 2 ** 20));
  assert.deepEqual(logTicks(2e-6, 3e-4).map(Number), [1e-6, 1e-5, 1e-4, 1e-3]);
  assert.deepEqual(logTicks(1, 1), [1, 10, 100]);
}

// ---------- The program and its load ----------

async function startProgram() {
  const flags = { bind: "127.0.0.1", port, "http-bind": "127.0.0.1", "http-port": httpPort };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  await until("the server answers", async () => (await fetch(address).catch(() => null))?.ok);
  return server;
}

async function kill(server) {
  server.kill("SIGKILL");
  if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
}

// Sends some thousand requests a second until it is stopped.
async function startLoad() {
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  socket.resume();
  const timer = setInterval(() => socket.write("PING\r\n".repeat(50)), 10);
  return () => {
    clearInterval(timer);
    socket.end();
  };
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `timed out waiting until ${what}`);
    await sleep(50);
  }
}

const PATIENCE = 20_000;

// ---------- The browser ----------

async function openBrowser() {
  const { chromium } = createRequire(`${process.cwd()}/`)("playwright-core");
  const quiet = ["gpu", "quic", "background-networking", "component-update", "sync"];
  const args = ["--no-sandbox", "--no-first-run", ...quiet.map((name) => `--disable-${name}`)];
  return chromium.launch({ executablePath, args });
}

// Opens the page. `faults` gets what must not happen on it, and `expected.isGone` allows requests
// that fail.
async function open(browser, expected) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  const faults = [];
  page.on("console", (message) => {
    const isRefused = message.text().includes("net::ERR_");
    if (!(expected.isGone && isRefused)) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${address}/`)) faults.push(`request: ${request.url()}`);
  });
  // Some violations are on no console.
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      console.error(`violates ${violatedDirective}: ${blockedURI}`));
  });
  const answer = await page.goto(address);
  const policy = answer.headers()["content-security-policy"] ?? "";
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'"]) {
    assert.ok(policy.includes(part), `the policy ${policy} lacks ${part}`);
  }
  return { page, faults };
}

const text = (page, selector) => page.textContent(selector);
const requests = (page) => text(page, ".panel:first-child dd");
const paths = (page) =>
  page.$$eval(".panel path.line", (lines) => lines.map((line) => line.getAttribute("d")).join());
const scraped = (page) => page.waitForResponse(`${address}/metrics`);

async function browser() {
  const chromium = await openBrowser();
  let server = await startProgram();
  try {
    const expected = { isGone: false };
    const { page, faults } = await open(chromium, expected);
    await restsAtZero(page);
    await movesUnderLoad(page);
    await obeysTheKeyboard(page);
    await obeysThePointer(page);
    await fitsAndContrasts(page);
    await overlapsNoScrapes(page);
    assert.deepEqual(faults, []);
    expected.isGone = true;
    await kill(server);
    await saysThatItIsGone(page);
    server = await startProgram();
    await takesUpTheNext(page);
    assert.deepEqual(faults, []);
  } finally {
    await kill(server);
    await chromium.close();
  }
}

async function restsAtZero(page) {
  await until("the page is ready", async () => (await text(page, "#state")) === "ready");
  await until("it shows a rate", async () => (await requests(page)) !== "–");
  assert.equal(await requests(page), "0");
  assert.match(await text(page, "#version"), /^\d+\.\d+\.\d+/);
}

async function movesUnderLoad(page) {
  const before = await paths(page);
  const stop = await startLoad();
  await until("requests are counted", async () => parseFloat(await requests(page)) > 0);
  assert.notEqual(await paths(page), before);
  // Of commands and of waits.
  for (const panel of [2, 3]) {
    const percentiles = await page.$$eval(`.panel:nth-child(${panel}) dd`, (all) =>
      all.map((dd) => dd.textContent));
    for (const text of percentiles) assert.match(text, /^[\d.]+ [nµm]?s$/);
  }
  assert.match(await text(page, ".panel.wide tbody"), /ping/);
  stop();
  await until("requests are at 0 again", async () => (await requests(page)) === "0");
}

async function obeysTheKeyboard(page) {
  const focused = () => page.evaluate(() => {
    const { id, href } = document.activeElement;
    return `${id || href} ${getComputedStyle(document.activeElement).outlineStyle}`;
  });
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "pause solid");
  await page.keyboard.press("Space");
  assert.equal(await text(page, "#pause"), "Resume");
  // The last values may have changed the size of a plot, which is then drawn once more.
  await scraped(page);
  const still = await paths(page);
  await scraped(page);
  await scraped(page);
  assert.equal(await paths(page), still, "the picture moves although it is paused");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "reading solid");
  // The load is some seconds ago.
  for (let second = 0; (await requests(page)) === "0"; second += 1) {
    assert.ok(second < 120, "the reading never comes to the load");
    await page.keyboard.press("ArrowLeft");
  }
  assert.match(await text(page, "#reading-time"), /\(−\d+ s\)$/);
  assert.ok(await page.$(".panel:first-child .cursor"));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Space");
  assert.equal(await text(page, "#pause"), "Pause");
  await until("the picture moves again", async () => (await paths(page)) !== still);
  assert.equal(await text(page, "#reading-time"), "now");
}

async function obeysThePointer(page) {
  const { width } = await page.locator(".panel:first-child svg[role]").boundingBox();
  await page.hover(".panel:first-child svg[role]", { position: { x: width - 40, y: 50 } });
  assert.match(await text(page, "#reading-time"), /\(−\d+ s\)$/);
  await page.hover("h1");
  assert.equal(await text(page, "#reading-time"), "now");
}

async function fitsAndContrasts(page) {
  for (const [width, colorScheme] of [[1600, "light"], [360, "dark"]]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `at ${width} pixels, the page is ${wide} wide`);
    assert.deepEqual(await page.evaluate(weakTexts), []);
  }
  await page.emulateMedia({ reducedMotion: "no-preference" });
}

// Runs in the page. Returns the texts whose contrast is below the 4.5 that WCAG asks for.
function weakTexts() {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const linear = channels(color).slice(0, 3).map((channel) => channel / 255)
      .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const background = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? background(element.parentElement) : color;
  };
  const contrast = (element) => {
    const { color, fill } = getComputedStyle(element);
    const front = luminance(element instanceof SVGElement ? fill : color);
    const [low, high] = [front, luminance(background(element))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const all = "h1, h2, dt, dd, th, td, a, p, button, label, output, svg text";
  const elements = document.querySelectorAll(all);
  return [...elements].filter((element) => element.checkVisibility() && contrast(element) < 4.5)
    .map((element) => `${element.localName} ${element.textContent}`);
}

// A scrape that takes longer than a second delays the next.
async function overlapsNoScrapes(page) {
  let [open, most, count] = [0, 0, 0];
  await page.route("**/metrics", async (route) => {
    open += 1;
    count += 1;
    most = Math.max(most, open);
    await sleep(1200);
    open -= 1;
    await route.continue();
  });
  await until("two slow scrapes have begun", () => count >= 2);
  assert.equal(most, 1);
  await page.unrouteAll({ behavior: "wait" });
}

async function saysThatItIsGone(page) {
  await until("the page says so", async () => /^no answer since /.test(await text(page, "#state")));
  await until("no figure is left", async () => (await requests(page)) === "–");
  assert.match(await page.title(), /^no answer /);
  assert.ok(await page.$(".panel:first-child .gone"));
}

async function takesUpTheNext(page) {
  await until("the page is ready again", async () => (await text(page, "#state")) === "ready");
  await until("it shows a rate", async () => (await requests(page)) !== "–");
  assert.equal(await requests(page), "0");
  assert.doesNotMatch(await text(page, "main"), /NaN|Infinity|undefined|null/);
  const label = await page.getAttribute(".panel:first-child svg", "aria-label");
  assert.match(label, /: from 0 to [1-9]/, "counters that begin again are drawn");
}

// ---------- The screenshot ----------

// Takes two minutes, so that the plots are full.
async function screenshot() {
  const chromium = await openBrowser();
  const server = await startProgram();
  try {
    const { page } = await open(chromium, {});
    // The header and two rows of plots.
    await page.setViewportSize({ width: 1280, height: 566 });
    for (const args of LOADS) await benchmark(args.split(" "));
    const last = benchmark(LOADS[0].split(" "));
    await sleep(5000);
    await page.screenshot({ path: file });
    await last;
  } finally {
    await kill(server);
    await chromium.close();
  }
}

// Seconds of redis-benchmark, and its flags.
const LOADS = ["10 -c 50 ping", "25 -c 20 ping", "20 -c 100 ping", "15 -c 200 -P 4 ping",
  "10 -c 50 -k 0 ping", "20 -c 50 ECHO hello", "5 -c 20 GET key", "15 -c 150 ping"];

async function benchmark([seconds, ...flags]) {
  const args = ["-p", port, "-q", "-n", "1000000000", ...flags];
  const load = spawn("redis-benchmark", args, { stdio: "ignore" });
  await sleep(Number(seconds) * 1000);
  await kill(load);
}

await { figures, browser, screenshot }[way]();
