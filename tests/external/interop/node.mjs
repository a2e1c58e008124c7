// Node clients, one function each.
//
//     node.mjs NAME VERSION WAY PORT
//     node.mjs NAME VERSION url URL
//
// NAME is a dependency of tests/external/pins/package.json. WAY is `plain`, which ends with QUIT if
// the client has it, `identity`, which ends by closing, `pipelines` or `transactions`. URL is
// rediss://HOST:PORT?ca=FILE or unix:PATH. Run by tests/external/interop/languages.rs and
// transports.rs, in the folder with the packages. A failure is on standard error, and the exit code
// is not 0; it is 77 if this Node is too old for the client.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const [name, version, way, address] = process.argv.slice(2);
const port = Number(address);
const identity = way === "identity";
const load = createRequire(`${process.cwd()}/`);

// An 'error' event is a failure even if the client recovers from it.
const watched = (client) => client.on("error", failed);

function failed(error) {
  console.error(error);
  process.exit(1);
}

// `ping` takes a message or nothing, and `getName` returns the client's name on the server.
async function session({ ping, getName }) {
  assert.equal(String(await ping()), "PONG");
  assert.equal(String(await ping("hi")), "hi");
  const pongs = await Promise.all(Array.from({ length: 100 }, () => ping()));
  assert.deepEqual(pongs.map(String), Array(100).fill("PONG"));
  assert.equal(await getName(), identity ? "interop" : null);
}

// Number and length of messages.
const PIPELINES = [[5_000, 10_000], [100_000, 100], [10_000, 1_000], [800, 10_000]];

// `echoes` sends all messages before it waits for a reply.
async function pipelines(echoes) {
  for (const [count, length] of PIPELINES) {
    const message = (_, number) => String(number).padStart(8, "0") + "x".repeat(length - 8);
    const messages = Array.from({ length: count }, message);
    const replies = await echoes(messages);
    // Not `assert.deepEqual`, which would print megabytes.
    assert.equal(replies.length, count);
    assert.ok(messages.every((message, number) => message === String(replies[number])));
  }
}

// `multi` begins a transaction, and `replies` executes it.
async function transactions({ multi, replies }) {
  const sets = multi();
  for (let number = 0; number < 1_000; number += 1) sets.set(`key${number}`, String(number));
  assert.deepEqual(await replies(sets), Array(1_000).fill("OK"));
  const mixed = multi().get("key999").incr("key0").incr("key0");
  assert.deepEqual(await replies(mixed), ["999", 1, 2]);
}

// More than one TLS record.
const LONG = "x".repeat(100_000);

// `client` and `subscriber` are connected. `received` resolves to the first message on `news`.
async function transport({ client, subscribe, received }) {
  await session({ ping: client.ping, getName: client.getName });
  assert.ok((await client.ping(LONG)) === LONG);
  await subscribe("news");
  assert.equal(await client.publish("news", "hello"), 1);
  assert.deepEqual(await received, ["news", "hello"]);
}

// Returns `{ path }`, or `{ url, tls }` with the settings of Node's TLS.
function target() {
  const url = new URL(address);
  if (url.protocol === "unix:") return { path: url.pathname };
  const tls = { ca: readFileSync(url.searchParams.get("ca")) };
  return { url: `${url.protocol}//${url.host}`, tls };
}

async function nodeRedis3Transport({ createClient }) {
  const { path, url, tls } = target();
  const [client, subscriber] = Array.from({ length: 2 }, () =>
    watched(createClient(path ?? url, { tls })),
  );
  await Promise.all([client, subscriber].map((one) => once(one, "ready")));
  const run = (one, method) => promisify(one[method]).bind(one);
  await transport({
    client: {
      ping: run(client, "ping"),
      getName: () => run(client, "client")("GETNAME"),
      publish: run(client, "publish"),
    },
    subscribe: run(subscriber, "subscribe"),
    received: once(subscriber, "message"),
  });
  for (const one of [subscriber, client]) assert.equal(await run(one, "quit")(), "OK");
}

async function nodeRedisTransport({ createClient }) {
  const { path, url, tls } = target();
  const options = path ? { socket: { path } } : { url, socket: { tls: true, ...tls } };
  const client = watched(createClient(options));
  const subscriber = watched(client.duplicate());
  await client.connect();
  await subscriber.connect();
  let tell;
  const received = new Promise((resolve) => (tell = resolve));
  await transport({
    client: {
      ping: (message) => client.ping(message),
      getName: () => client.clientGetName(),
      publish: (...message) => client.publish(...message),
    },
    subscribe: (channel) => subscriber.subscribe(channel, (text, from) => tell([from, text])),
    received,
  });
  await subscriber.quit();
  assert.equal(await client.quit(), "OK");
}

async function ioredisTransport({ Redis }) {
  const { path, url, tls } = target();
  const connect = () => watched(path ? new Redis({ path }) : new Redis(url, { tls }));
  const [client, subscriber] = [connect(), connect()];
  await Promise.all([client, subscriber].map((one) => once(one, "ready")));
  await transport({
    client: {
      ping: (...message) => client.ping(...message),
      getName: () => client.client("GETNAME"),
      publish: (...message) => client.publish(...message),
    },
    subscribe: (channel) => subscriber.subscribe(channel),
    received: once(subscriber, "message"),
  });
  for (const one of [subscriber, client]) {
    const closed = once(one, "end");
    assert.equal(await one.quit(), "OK");
    await closed;
  }
}

async function nodeRedis3({ createClient }) {
  // It has no setting for the name, so CLIENT SETNAME is sent like any command.
  const options = identity ? { user: "default", password: "any", db: 1 } : {};
  const client = watched(createClient({ port, ...options }));
  await once(client, "ready");
  const run = (method) => promisify(client[method]).bind(client);
  if (identity) assert.equal(await run("client")("SETNAME", "interop"), "OK");
  if (way === "pipelines") {
    await pipelines((messages) => {
      const batch = client.batch();
      for (const message of messages) batch.echo(message);
      return promisify(batch.exec).call(batch);
    });
  }
  await session({ ping: run("ping"), getName: () => run("client")("GETNAME") });
  assert.equal(await run("quit")(), "OK");
}

// 4, 5 and 6.
async function nodeRedis({ createClient }) {
  const options = identity
    ? { name: "interop", username: "default", password: "any", database: 1 }
    : {};
  const socket = { host: "127.0.0.1", port };
  // From version 6 on, a command has 5 s by default: too few for 50 MB on a busy machine.
  const commandOptions = { timeout: 60_000 };
  const client = watched(createClient({ socket, commandOptions, ...options }));
  await client.connect();
  if (way === "pipelines") {
    const echo = (message) => client.sendCommand(["ECHO", message]);
    await pipelines((messages) => Promise.all(messages.map(echo)));
  }
  if (way === "transactions") {
    await transactions({ multi: () => client.multi(), replies: (multi) => multi.exec() });
  }
  await session({
    ping: (message) => client.ping(message),
    getName: () => client.clientGetName(),
  });
  if (!identity) assert.equal(await client.quit(), "OK");
  else if (client.close) await client.close();
  else await client.disconnect();
}

// And iovalkey, a fork of it.
async function ioredis({ Redis }) {
  const options = identity
    ? { connectionName: "interop", username: "default", password: "any", db: 1 }
    : {};
  const client = watched(new Redis({ port, ...options }));
  await once(client, "ready");
  if (way === "pipelines") {
    await pipelines(async (messages) => {
      const pipeline = client.pipeline();
      for (const message of messages) pipeline.echo(message);
      const replies = await pipeline.exec();
      return replies.map(([error, reply]) => error ?? reply);
    });
  }
  if (way === "transactions") {
    const values = (replies) => replies.map(([error, reply]) => error ?? reply);
    await transactions({
      multi: () => client.multi(),
      replies: async (multi) => values(await multi.exec()),
    });
    // Each request is sent by itself.
    await client.multi({ pipeline: false });
    assert.equal(await client.incr("key0"), "QUEUED");
    assert.deepEqual(await client.exec(), [[null, 3]]);
  }
  await session({
    ping: (...message) => client.ping(...message),
    getName: () => client.client("GETNAME"),
  });
  const replies = await client.pipeline().ping().ping("hi").exec();
  assert.deepEqual(replies, [[null, "PONG"], [null, "hi"]]);
  const closed = once(client, "end");
  if (identity) client.disconnect();
  else assert.equal(await client.quit(), "OK");
  await closed;
}

async function valkeyGlide({ GlideClient }) {
  const credentials = { username: "default", password: "any" };
  const options = identity ? { clientName: "interop", credentials, databaseId: 1 } : {};
  const addresses = [{ host: "127.0.0.1", port }];
  const client = await GlideClient.createClient({ addresses, requestTimeout: 20_000, ...options });
  await session({
    ping: (message) => client.ping(message && { message }),
    getName: () => client.clientGetName(),
  });
  client.close();
}

const clients = {
  "redis-3": nodeRedis3,
  "redis-4": nodeRedis,
  "redis-5": nodeRedis,
  "redis-6": nodeRedis,
  "ioredis-5": ioredis,
  "ioredis-6": ioredis,
  iovalkey: ioredis,
  "@valkey/valkey-glide": valkeyGlide,
};

const transports = {
  "redis-3": nodeRedis3Transport,
  "redis-4": nodeRedisTransport,
  "redis-5": nodeRedisTransport,
  "redis-6": nodeRedisTransport,
  "ioredis-5": ioredisTransport,
  "ioredis-6": ioredisTransport,
  iovalkey: ioredisTransport,
};

const manifest = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
assert.equal(manifest.version, version);
// Such as ">= 20.0.0": only the minimum major version matters.
const [oldest] = manifest.engines?.node?.match(/\d+/) ?? ["0"];
if (Number.parseInt(process.versions.node) < Number(oldest)) {
  console.log(`it needs Node ${oldest}, and this is ${process.versions.node}`);
  process.exit(77);
}

const run = way === "url" ? transports[name] : clients[name];
await run(load(name)).catch(failed);
// With its connection closed, the process ends by itself.
const done = performance.now();
process.on("exit", () => {
  if (performance.now() - done > 5_000) failed(new Error("the process stayed for more than 5 s"));
});
