"""Python clients, one function each.

    python.py CLIENT VERSION WAY PORT
    python.py redis-py VERSION WAY URL

Run by tests/external/interop/languages.rs and transports.rs, with the packages of that VERSION on
PYTHONPATH. A failure is an exception: a traceback on standard error and an exit code other than 0.
"""

import asyncio
import importlib.metadata
import sys
import threading
import time

# Python has had no distutils since 3.12; redis-py 3.5.3 imports it. setuptools brings a stand-in.
if sys.version_info >= (3, 12) and sys.argv[1:3] == ["redis-py", "3.5.3"]:
    import setuptools  # noqa: F401

HOST = "127.0.0.1"
# Seconds. Allows for a slow and busy machine.
PATIENCE = 20

# Pipelines that are written whole before a reply is read: number and length of messages.
PIPELINES = [(5_000, 10_000), (100_000, 100), (10_000, 1_000), (800, 10_000)]

# More than one TLS record.
LONG = b"x" * 100_000

IDENTITY = {"username": "default", "password": "any", "client_name": "interop", "db": 1}


def equal(got, wanted):
    # Not `assert`, which PYTHONOPTIMIZE removes.
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def messages(count, length):
    return [b"%08d" % number + b"x" * (length - 8) for number in range(count)]


def redis_py(way, port):
    """WAY is words: plain, identity, health, threads, pipelines, transactions or url; asyncio; hiredis; resp2 or resp3."""
    import redis

    words = way.split("+")
    options = {"socket_timeout": PATIENCE}
    if "url" in words:
        return asyncio.run(asyncio_by_url(port)) if "asyncio" in words else by_url(port)
    if "resp2" in words:
        options["protocol"] = 2
    if "resp3" in words:
        options["protocol"] = 3
    if "identity" in words:
        options |= IDENTITY
    if "health" in words:
        options["health_check_interval"] = 1
    if "pipelines" in words:
        # With the default timeout of redis-py: 5 s in its latest versions.
        del options["socket_timeout"]
    if "asyncio" in words:
        act = asyncio_pipelines if "pipelines" in words else redis_py_asyncio
        return asyncio.run(act(port, options))

    client = redis.Redis(HOST, port, **options)
    if "threads" in words:
        return eight_threads(client)
    if "pipelines" in words:
        return pipelines(client)
    if "transactions" in words:
        return transactions(client)
    equal(client.ping(), True)
    parser = client.connection_pool._available_connections[0]._parser
    equal("hiredis" in type(parser).__name__.lower(), "hiredis" in words)
    # HELLO returns a map in RESP3 only.
    speaks_resp3 = "resp3" in words or version.startswith("8.") and "resp2" not in words
    equal(isinstance(client.execute_command("HELLO"), dict), speaks_resp3)
    equal(client.client_getname(), "interop" if "identity" in words else None)
    # Otherwise redis-py only returns whether the reply is PONG.
    client.set_response_callback("PING", lambda reply, **_: reply)
    equal(client.execute_command("PING", "hi"), b"hi")
    if "health" in words:
        # Longer than the interval: redis-py sends a PING of its own before the next command.
        time.sleep(1.3)
        equal(client.execute_command("PING", "x"), b"x")
    client.close()


def by_url(url):
    """Pings, echoes more than one TLS record, and gets what it publishes."""
    import redis

    client = redis.Redis.from_url(url, socket_timeout=PATIENCE)
    equal(client.ping(), True)
    equal(client.echo(LONG) == LONG, True)
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("news")
    # Reads the reply of SUBSCRIBE.
    equal(subscriber.get_message(timeout=PATIENCE), None)
    equal(client.publish("news", "hello"), 1)
    equal(subscriber.get_message(timeout=PATIENCE)["data"], b"hello")
    subscriber.close()
    # redis-py 3.5.3 leaves its connections open at `close`.
    client.connection_pool.disconnect()


async def asyncio_by_url(url):
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(url, socket_timeout=PATIENCE)
    equal(await asyncio.gather(*(client.ping() for _ in range(20))), [True] * 20)
    equal(await client.echo(LONG) == LONG, True)
    async with client.pubsub(ignore_subscribe_messages=True) as subscriber:
        await subscriber.subscribe("news")
        equal(await subscriber.get_message(timeout=PATIENCE), None)
        equal(await client.publish("news", "hello"), 1)
        equal((await subscriber.get_message(timeout=PATIENCE))["data"], b"hello")
    await client.aclose()


async def redis_py_asyncio(port, options):
    import redis.asyncio

    client = redis.asyncio.Redis(host=HOST, port=port, **options)
    equal(await asyncio.gather(*(client.ping() for _ in range(100))), [True] * 100)
    equal(await client.echo("hi"), b"hi")
    await client.aclose()


async def asyncio_pipelines(port, options):
    import redis.asyncio

    client = redis.asyncio.Redis(host=HOST, port=port, **options)
    for count, length in PIPELINES:
        pipeline = client.pipeline(transaction=False)
        for message in messages(count, length):
            pipeline.echo(message)
        # Not `equal`, which would print megabytes.
        equal(await pipeline.execute() == messages(count, length), True)
    await client.aclose()


def pipelines(client):
    for count, length in PIPELINES:
        pipeline = client.pipeline(transaction=False)
        for message in messages(count, length):
            pipeline.echo(message)
        equal(pipeline.execute() == messages(count, length), True)
    client.close()


def transactions(client):
    # By default, a pipeline is a transaction.
    pipeline = client.pipeline()
    for number in range(1_000):
        pipeline.set(f"key{number}", number)
    equal(pipeline.execute(), [True] * 1_000)
    # Its `incr` is INCRBY.
    pipeline.get("key999").execute_command("INCR", "key0").dbsize()
    equal(pipeline.execute(), [b"999", 1, 1_000])
    # An error among the replies is that of one request.
    pipeline.set("text", "x").execute_command("INCR", "text").get("text")
    done, error, text = pipeline.execute(raise_on_error=False)
    equal((done, type(error).__name__, text), (True, "ResponseError", b"x"))
    # A refused request is an error of the whole.
    pipeline.set("text", "y").execute_command("NOSUCH")
    refused = None
    try:
        pipeline.execute()
    except Exception as error:
        refused = str(error)
    equal("unknown command" in str(refused), True)
    equal(client.get("text"), b"x")
    client.close()


def eight_threads(client):
    """More connections than the two workers: a pool whose workers own their connections fails."""
    pongs = []
    pings = lambda: pongs.extend(client.ping() for _ in range(100))
    threads = [threading.Thread(target=pings, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    equal(pongs, [True] * 800)
    client.close()


def coredis(way, port):
    from coredis import Redis

    async def session():
        async with Redis(HOST, port, decode_responses=True, **options) as client:
            equal(await client.ping(), "PONG")
            equal(await client.ping("hi"), "hi")
            equal(await asyncio.gather(*(client.ping() for _ in range(100))), ["PONG"] * 100)
            equal(await client.client_getname(), options.get("client_name"))

    options = IDENTITY if way == "identity" else {}
    asyncio.run(asyncio.wait_for(session(), PATIENCE))


def valkey_glide(way, port):
    import glide

    options = {}
    if way == "resp2":
        options["protocol"] = glide.ProtocolVersion.RESP2
    if way == "identity":
        credentials = glide.ServerCredentials(IDENTITY["password"], IDENTITY["username"])
        options |= {"credentials": credentials, "client_name": "interop", "database_id": 1}

    async def session():
        config = glide.GlideClientConfiguration(
            [glide.NodeAddress(HOST, port)], request_timeout=PATIENCE * 1000, **options
        )
        client = await glide.GlideClient.create(config)
        equal(await client.ping(), b"PONG")
        equal(await client.ping("hi"), b"hi")
        equal(await asyncio.gather(*(client.ping() for _ in range(100))), [b"PONG"] * 100)
        equal(await client.client_getname(), b"interop" if way == "identity" else None)
        await client.close()

    asyncio.run(asyncio.wait_for(session(), PATIENCE))


# The client, its package, and its function.
CLIENTS = {
    "redis-py": ("redis", redis_py),
    "coredis": ("coredis", coredis),
    "valkey-glide": ("valkey-glide", valkey_glide),
}

name, version, way, address = sys.argv[1:]
package, run = CLIENTS[name]
equal(importlib.metadata.version(package), version)
run(way, int(address) if address.isdigit() else address)
