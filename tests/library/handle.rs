//! What a program does with a running server, from its own threads and from handlers.

use std::sync::{Arc, mpsc};

use respool::{Arity, Commands, Server};
use respool_testing::{PATIENCE, TestServer, builtin_and, config, eventually};

#[test]
fn handlers_and_hooks_reach_their_server() {
    let (sender, clients) = mpsc::channel();
    let disconnected = sender.clone();
    let commands = builtin_and(|commands| {
        commands.register("CLIENTS", Arity::Exactly(1), |session, _, reply| {
            reply.value(session.server().stats().clients)
        });
    });
    let server = Server::bind(config(1), commands).expect("it starts");
    let server = server
        .on_connect(move |session| {
            let _ = sender.send(session.server().stats().clients);
            Ok(())
        })
        .on_disconnect(move |session, _| {
            let _ = disconnected.send(session.server().stats().clients);
        });
    let server = TestServer::serve(server);
    let mut peer = server.connect();
    peer.ask("CLIENTS\r\n", ":1\r\n");
    drop(peer);
    assert_eq!(clients.recv_timeout(PATIENCE), Ok(1), "connected");
    assert_eq!(clients.recv_timeout(PATIENCE), Ok(0), "disconnected");
}

#[test]
fn handle_kept_by_a_handler_frees_the_commands() {
    let kept = Arc::new(());
    let of_handler = Arc::clone(&kept);
    let mut commands = Commands::builtin();
    commands.register("KEEP", Arity::Exactly(1), move |session, _, reply| {
        session.set_state(session.server());
        reply.value(Arc::strong_count(&of_handler))
    });
    let server = TestServer::with(config(1), commands);
    let handle = server.handle.clone();
    let mut peer = server.connect();
    peer.ask("KEEP\r\n", ":2\r\n");
    drop(server);
    eventually("the commands are freed", || Arc::strong_count(&kept) == 1);
    assert_eq!(handle.stats().requests, 1, "the last state");
    assert_eq!(handle.workers(), 0);
    assert!(handle.health().live.is_err());
    assert!(handle.reconfigure(&handle.config()).is_err());
    handle.drain();
}
