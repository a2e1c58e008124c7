// ioredis and the five services of the cookbook.
//
//     cookbook.mjs NAME LIMITER QUEUE CHAT CACHE TENANTS
//
// NAME is a dependency of tests/external/pins/package.json; the others are ports. Run by
// tests/external/interop/cookbook.rs, in the folder with the packages. A failure is on standard
// error, and the exit code is not 0.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { once } from "node:events";

const [name, ...ports] = process.argv.slice(2);
const { Redis } = createRequire(`${process.cwd()}/`)(name);

const clients = [];

function connect(port, options) {
  const client = new Redis({ port: Number(port), ...options });
  // An 'error' event is a failure even if the client recovers from it.
  client.on("error", failed);
  clients.push(client);
  return client;
}

function failed(error) {
  console.error(error);
  process.exit(1);
}

async function limiter(port) {
  const client = connect(port);
  const calls = Array.from({ length: 3 }, () => client.call("LIMIT", "node", 2, 3600));
  assert.deepEqual(await Promise.all(calls), [1, 0, -1]);
  await assert.rejects(client.call("LIMIT", "node", "two", 3600), /not an integer/);
}

async function queue(port) {
  const client = connect(port);
  assert.equal(await client.rpush("mail", "one", "two"), 2);
  assert.deepEqual(await client.blpop("mail", 0), ["mail", "one"]);
  assert.deepEqual(await client.blpop("mail", 1), ["mail", "two"]);
  assert.equal(await client.blpop("mail", 0.05), null);
  // 20 workers wait, more than the server's two threads; each gets one job.
  const waiting = Array.from({ length: 20 }, () => connect(port).blpop("jobs", 0));
  for (let job = 0; job < 20; job++) await client.rpush("jobs", job);
  const jobs = (await Promise.all(waiting)).map(([, job]) => Number(job));
  assert.deepEqual(jobs.sort((a, b) => a - b), Array.from({ length: 20 }, (_, job) => job));
}

async function chat(port) {
  const alice = connect(port, { connectionName: "alice" });
  const bob = connect(port, { connectionName: "bob" });
  await bob.subscribe("chat");
  const heard = once(bob, "message");
  assert.equal(await alice.call("SAY", "hello"), 1);
  assert.deepEqual(await heard, ["chat", "alice: hello"]);
  const who = await alice.call("WHO");
  assert.deepEqual(who.filter((_, index) => index % 2 === 0).sort(), ["alice", "bob"]);
  assert.equal(await alice.call("WHISPER", "carol", "psst"), 0);
  const left = once(bob, "message");
  alice.disconnect();
  assert.deepEqual(await left, ["chat", "alice has left"]);
}

async function cache(port) {
  const values = Array.from({ length: 20 }, () => connect(port).get("page"));
  const wanted = Array(20).fill("the content of page");
  assert.deepEqual(await Promise.all(values), wanted);
  assert.match(await clients.at(-1).info("cache"), /^cached_keys:1\r$/m);
}

async function tenants(port) {
  const alice = connect(port, { username: "alice", password: "wonder" });
  assert.equal(await alice.set("alice:color", "red"), "OK");
  assert.equal(await alice.get("alice:color"), "red");
  assert.equal(await alice.acl("WHOAMI"), "alice");
  await assert.rejects(alice.get("bob:color"), /NOPERM No permissions to access a key/);
  await assert.rejects(alice.client("LIST"), /NOPERM .* 'client\|list'/);
  await assert.rejects(alice.call("AUTH", "alice", "builder"), /WRONGPASS/);
  const root = connect(port, { username: "root", password: "secret" });
  assert.match(await root.client("LIST"), / user=alice /);
}

const services = [limiter, queue, chat, cache, tenants];
assert.equal(ports.length, services.length);
try {
  for (const [index, service] of services.entries()) await service(ports[index]);
} catch (error) {
  failed(error);
}
for (const client of clients) client.disconnect();
