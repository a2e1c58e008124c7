use std::io;

use respool::{Arity, Commands, Replied, Reply, Request, Session};

fn handler(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Result<Replied, io::Error> {
    Ok(reply.simple("OK"))
}

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), handler); //~ E0277 a handler has to return
}
