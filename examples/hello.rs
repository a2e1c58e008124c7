//! A server with one command of its own and all built-in commands.
//!
//! ```console
//! $ cargo run --release --example hello
//! redis-cli -p 6380 HELLO-WORLD
//! ```

use respool::{Arity, Commands, Config, Server, StartError};

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    let server = Server::bind(config, commands())?;
    let port = server.local_addrs()[0].port();
    println!("redis-cli -p {port} HELLO-WORLD");
    server.serve()?;
    Ok(())
}

pub(crate) fn commands() -> Commands {
    let mut commands = Commands::builtin();
    commands
        .register(
            "HELLO-WORLD",
            Arity::Exactly(1),
            |_session, _request, reply| reply.simple("hello, world"),
        )
        .describe("Greets the world")
        .never_blocks();
    commands
}
