"""redis-py and the five services of the cookbook.

    cookbook.py LIMITER QUEUE CHAT CACHE TENANTS

The arguments are ports. Run by tests/external/interop/cookbook.rs, with redis-py on PYTHONPATH. A
failure is an exception: a traceback on standard error and an exit code other than 0.
"""

import sys
import threading

import redis

# Seconds. Allows for a slow and busy machine.
PATIENCE = 20


def equal(got, wanted):
    # Not `assert`, which PYTHONOPTIMIZE removes.
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def fails(kind, text, call):
    try:
        got = call()
    except kind as error:
        equal(text in str(error), True)
    else:
        raise AssertionError(f"got {got!r}, wanted an error")


def connect(port, **options):
    return redis.Redis("127.0.0.1", port, socket_timeout=PATIENCE, decode_responses=True, **options)


def limiter(port):
    client = connect(port)
    equal([client.execute_command("LIMIT", "python", 2, 3600) for _ in range(3)], [1, 0, -1])
    call = lambda: client.execute_command("LIMIT", "python", "two", 3600)
    fails(redis.ResponseError, "not an integer", call)


def queue(port):
    client = connect(port)
    equal(client.rpush("mail", "one", "two"), 2)
    equal(list(client.blpop("mail", 0)), ["mail", "one"])
    equal(list(client.blpop("mail", 1)), ["mail", "two"])
    equal(client.blpop("mail", 0.05), None)
    # 20 workers wait, more than the server's two threads; each gets one job.
    done = []
    work = lambda: done.append(connect(port).blpop("jobs", 0)[1])
    workers = [threading.Thread(target=work, daemon=True) for _ in range(20)]
    for worker in workers:
        worker.start()
    for job in range(20):
        client.rpush("jobs", job)
    for worker in workers:
        worker.join(PATIENCE)
    equal(sorted(map(int, done)), list(range(20)))


def chat(port):
    alice = connect(port, client_name="alice")
    bob = connect(port, client_name="bob").pubsub(ignore_subscribe_messages=True)
    bob.subscribe("chat")
    # Reads the reply of SUBSCRIBE.
    equal(bob.get_message(timeout=PATIENCE), None)
    equal(alice.execute_command("SAY", "hello"), 1)
    equal(bob.get_message(timeout=PATIENCE)["data"], "alice: hello")
    who = alice.execute_command("WHO")
    equal(sorted(who if isinstance(who, dict) else who[::2]), ["alice", "bob"])
    equal(int(alice.execute_command("WHISPER", "carol", "psst")), 0)
    alice.connection_pool.disconnect()
    equal(bob.get_message(timeout=PATIENCE)["data"], "alice has left")


def cache(port):
    client = connect(port)
    get = lambda: connect(port).get("page")
    threads = [threading.Thread(target=get, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    equal(client.get("page"), "the content of page")
    equal(client.info("cache"), {"cached_keys": 1})
    for thread in threads:
        thread.join(PATIENCE)


def tenants(port):
    fails(redis.AuthenticationError, "", connect(port, username="alice", password="builder").ping)
    fails(redis.AuthenticationError, "uthenticat", connect(port).ping)
    alice = connect(port, username="alice", password="wonder")
    equal(alice.set("alice:color", "red"), True)
    equal(alice.get("alice:color"), "red")
    equal(alice.acl_whoami(), "alice")
    fails(redis.exceptions.NoPermissionError, "access a key", lambda: alice.get("bob:color"))
    fails(redis.exceptions.NoPermissionError, "'client|list'", alice.client_list)
    root = connect(port, username="root", password="secret")
    equal("alice" in {client["user"] for client in root.client_list()}, True)


for service, port in zip([limiter, queue, chat, cache, tenants], sys.argv[1:], strict=True):
    service(int(port))
