//! Panics of handlers and hooks, in the log and in INFO.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use respool::{Arity, Commands, ErrorReply, Server};
use respool_testing::{Peer, TestServer, builtin_and, config, eventually, log};

const INTERNAL: &str = "-ERR internal error: see the server's log\r\n";

/// Returns commands that panic, and for each what the log says of it.
fn panicking() -> (Commands, Vec<(&'static str, String)>) {
    let here = |line: u32| format!(", at {}:{line}:", file!());
    let first = line!() + 4;
    #[rustfmt::skip] // One line for each.
    let commands = builtin_and(|commands| {
        let one = Arity::Exactly(1);
        commands.register("P.FEW", one, |_, _, reply| reply.array(2, |items| items.null()));
        commands.register("P.MANY", one, |_, _, reply| reply.map(0, |items| items.integer(1)));
        commands.register("P.IN", one, |_, _, reply| reply.array(1, |i| i.array(1, |_| ())));
        commands.register("P.BULK", one, |_, _, reply| reply.bulk_with(3, |_| ()));
        commands.register("P.BIG", one, |_, _, reply| reply.big_number("x"));
        commands.register("P.CODE", one, |_, _, _| Err(ErrorReply::new("x", "")));
        commands.register("P.PART", one, |s, _, r| r.array(1, |i| i.add(|i| s.bulk_from(i, 1, &b"a"[..]))));
        commands.register("P.LONG", one, |s, _, reply| s.bulk_from(reply, u64::MAX, &b"a"[..]));
        commands.register("P.LATER", one, |s, _, r| r.array(1, |i| i.add(|i| s.defer(i).start(drop))));
        commands.register("P.PUSH", one, |s, _, r| r.boolean(s.server().push(s.id(), 2, |i| i.null())));
        commands.register("P.OWN", one, |_, _, reply| {
            assert_eq!(1, 2, "as the test\r\nwants it");
            reply.null()
        });
    });
    let texts = [
        ("p.few", "an aggregate lacks 1 of its items"),
        ("p.many", "an aggregate has an item too many"),
        ("p.in", "an aggregate lacks 1 of its items"),
        ("p.bulk", "a bulk string lacks 3 of its bytes"),
        ("p.big", "a big number is decimal digits, not \"x\""),
        ("p.code", "an error's code is capitals, not \"x\""),
        ("p.part", "only a whole reply can be read later"),
        ("p.long", "no bulk string has 18446744073709551615 bytes"),
        ("p.later", "only a whole reply can be deferred"),
        ("p.push", "an aggregate lacks 1 of its items"),
    ];
    let lines = texts.into_iter().zip(first..);
    let mut lines: Vec<_> = lines
        .map(|((name, text), line)| (name, [text, &here(line)].concat()))
        .collect();
    let own = "assertion `left == right` failed: as the test  wants it   left: 1  right: 2";
    lines.push(("p.own", own.to_owned()));
    (commands, lines)
}

/// Sends the command, which panics, and returns the line of the log about it.
fn panic_by(server: &TestServer, command: &str) -> String {
    let start = Instant::now();
    let mut peer = server.connect();
    peer.speak_resp3();
    let (id, addr) = (peer.id(), peer.local_addr());
    peer.ask(format!("{command}\r\n"), INTERNAL);
    peer.expect_end();
    let beginning = format!("a handler panicked: command {command}, client {id} ({addr}): ");
    let line = log::find(start, |line| line.starts_with(&beginning));
    let line = line.unwrap_or_else(|| panic!("no line begins with {beginning:?}"));
    line[beginning.len()..].to_owned()
}

#[test]
fn panic_of_a_handler_is_logged_with_its_place() {
    log::collect();
    let (commands, lines) = panicking();
    let server = TestServer::with(config(1), commands);
    for (name, expected) in lines {
        let text = panic_by(&server, name);
        assert!(text.starts_with(&expected), "{name}: {text}");
    }
}

/// Without a backtrace, the line is all that leads to the wrong declaration.
#[test]
fn panic_of_a_declaration_is_at_its_line() {
    thread_local!(static LINE: Cell<Option<(String, u32)>> = const { Cell::new(None) });
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location();
        LINE.set(place.map(|place| (place.file().to_owned(), place.line())));
        before(panic);
    }));
    let one = Arity::Exactly(1);
    let first = line!() + 2;
    #[rustfmt::skip] // One line for each.
    let declarations: [&dyn Fn(&mut Commands); 9] = [
        &|commands| _ = commands.register("A B", one, |_, _, reply| reply.null()),
        &|commands| _ = commands.register("A", one, |_, _, r| r.null()).register("", one, |_, _, r| r.null()),
        &|commands| _ = commands.container("A B"),
        &|commands| _ = commands.container("A").register("B", one, |_, _, reply| reply.null()),
        &|commands| _ = commands.get_mut("PING").expect("built in").keys(0, 0, 1),
        &|commands| _ = commands.get_mut("PING").expect("built in").category("@read"),
        &|commands| _ = commands.register("A", one, |_, _, r| r.null()).keys(1, 1, 1),
        &|commands| _ = commands.register("A", one, |_, _, r| r.null()).category("B"),
        &|commands| _ = commands.info_section("clients", || [("a", 1)]),
    ];
    for (declare, line) in declarations.into_iter().zip(first + 1..) {
        let mut commands = Commands::builtin();
        let declared = catch_unwind(AssertUnwindSafe(|| declare(&mut commands)));
        declared.expect_err("it is wrong");
        assert_eq!(LINE.take(), Some((file!().to_owned(), line)));
    }
}

#[test]
fn panic_of_a_handler_is_counted_as_a_failed_call() {
    log::collect();
    let (commands, _) = panicking();
    let server = TestServer::with(config(1), commands);
    for _ in 0..3 {
        panic_by(&server, "p.few");
    }
    let mut peer = server.connect();
    let stats = |peer: &mut Peer, part| peer.info("commandstats", "cmdstat_p.few", part);
    assert_eq!(stats(&mut peer, "calls="), Some(3));
    assert_eq!(stats(&mut peer, "failed_calls="), Some(3));
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(3));
    assert_eq!(peer.count("total_error_replies"), 3);
}

#[test]
fn panic_of_the_connect_hook_is_logged_as_its_own() {
    log::collect();
    let start = Instant::now();
    let server = Server::bind(config(1), Commands::builtin()).expect("it starts");
    let server = server.on_connect(|_| panic!("as the test\nwants it"));
    let server = TestServer::serve(server);
    let mut peer = server.connect();
    let addr = peer.local_addr();
    peer.expect(INTERNAL);
    let line =
        format!("the hook for new clients panicked: client 1 ({addr}): as the test wants it");
    assert!(
        log::find(start, |logged| logged == line).is_some(),
        "{line}"
    );
}

#[test]
fn refusal_of_the_connect_hook_is_one_line_in_the_log() {
    log::collect();
    let start = Instant::now();
    let server = Server::bind(config(1), Commands::builtin()).expect("it starts");
    let server = server.on_connect(|_| Err("ERR no\r\nclient 7 came".to_owned()));
    let server = TestServer::serve(server);
    let mut peer = server.connect();
    peer.expect("-ERR no  client 7 came\r\n");
    peer.expect_end();
    let addr = peer.local_addr();
    drop(peer);
    let beginning = format!("client 1 ({addr}) closed");
    let end = ": a hook refused it: ERR no  client 7 came";
    eventually("the refusal is logged", || {
        let is_wanted = |line: &str| line.starts_with(&beginning) && line.ends_with(end);
        log::find(start, is_wanted).is_some()
    });
}

#[test]
fn error_without_a_code_is_counted_as_err() {
    let commands = builtin_and(|commands| {
        commands.register("FAILS", Arity::Exactly(1), |_, _, reply| {
            reply.error("no code here")
        });
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask("FAILS\r\nFAILS\r\n", "-no code here\r\n-no code here\r\n");
    let section = peer.answer("INFO errorstats");
    assert!(section.contains("errorstat_ERR:count=2\r\n"), "{section}");
    assert!(!section.contains("errorstat_no"), "{section}");
}
