//! A chat that shows who is there. `SAY text` reaches everybody, `WHISPER name text` one client,
//! and `WHO` lists the clients with the seconds since their last command.
//!
//! ```console
//! $ cargo run --release --example chat
//! ```
//!
//! One terminal listens:
//!
//! ```console
//! $ redis-cli -p 6380 SUBSCRIBE chat
//! Reading messages... (press Ctrl-C to quit)
//! 1) "subscribe"
//! 2) "chat"
//! 3) (integer) 1
//! 1) "message"
//! 2) "chat"
//! 3) "alice: hello"
//! 1) "message"
//! 2) "chat"
//! 3) "alice has left"
//! ```
//!
//! Another one talks, and ends by Ctrl-D:
//!
//! ```console
//! $ redis-cli -p 6380
//! 127.0.0.1:6380> SAY hello
//! (error) ERR say your name first, by CLIENT SETNAME
//! 127.0.0.1:6380> CLIENT SETNAME alice
//! OK
//! 127.0.0.1:6380> SAY hello
//! (integer) 1
//! 127.0.0.1:6380> WHO
//! 1) "alice"
//! 2) (integer) 0
//! 127.0.0.1:6380> WHISPER bob hello
//! (integer) 0
//! ```
//!
//! - A name is that of the connection, which client libraries can set: `client_name="alice"` in
//!   redis-py, `connectionName: "alice"` in ioredis. Two clients may have the same one; for names
//!   with passwords, see `tenants.rs`.
//! - Clients subscribe by the built-in command. The program publishes and pushes by its
//!   [`ServerHandle`](respool::ServerHandle), here in handlers; it works in every thread.
//! - A whisper is a push. Only subscribers and clients in RESP3 (`HELLO 3`) can take it.
//! - `on_disconnect` announces every end, whether the client quits, crashes or is closed.

use respool::{Arity, Commands, Config, ErrorReply, Server, Session, StartError};

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    server(config, 1000)?.serve()?;
    Ok(())
}

/// Returns a chat for at most `clients_max` clients.
pub(crate) fn server(config: Config, clients_max: usize) -> Result<Server, StartError> {
    let server = Server::bind(config, commands())?
        .on_connect(move |session| match session.server().stats().clients {
            count if count > clients_max => Err("FULL the chat is full".to_owned()),
            _ => Ok(()),
        })
        .on_disconnect(|session, _reason| {
            if let Ok(name) = name_of(session) {
                session.server().publish("chat", format!("{name} has left"));
            }
        });
    Ok(server)
}

fn commands() -> Commands {
    let mut commands = Commands::builtin();
    commands
        .register("SAY", Arity::Exactly(2), |session, request, reply| {
            let message = format!("{}: {}", name_of(session)?, request.text(0)?);
            Ok(reply.value(session.server().publish("chat", message)))
        })
        .describe("Sends a text to everybody, and returns how many get it")
        .register("WHISPER", Arity::Exactly(3), |session, request, reply| {
            let (from, to, text) = (name_of(session)?, request.text(0)?, request.text(1)?);
            let server = session.server();
            let mut all = server.clients().into_iter();
            // Clients without a name have an empty one.
            let is_sent = all.any(|client| {
                let is_meant = client.name == to && !to.is_empty();
                is_meant
                    && server.push(client.id, 3, |items| {
                        items.bulk("whisper");
                        items.bulk(&from);
                        items.bulk(text);
                    })
            });
            Ok(reply.boolean(is_sent))
        })
        .describe("Sends a text to one client, and returns whether it gets it")
        .register("WHO", Arity::Exactly(1), |session, _request, reply| {
            let mut all = session.server().clients();
            all.retain(|client| !client.name.is_empty());
            let all = all
                .iter()
                .map(|client| (&client.name, client.idle.as_secs()));
            reply.map_of(all)
        })
        .describe("Returns who is there, and the seconds since their last command");
    commands
}

fn name_of(session: &Session) -> Result<String, ErrorReply> {
    match String::from_utf8_lossy(&session.name()) {
        name if name.is_empty() => Err(ErrorReply::err("say your name first, by CLIENT SETNAME")),
        name => Ok(name.into_owned()),
    }
}
