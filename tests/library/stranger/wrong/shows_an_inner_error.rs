use std::fs;

use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        let text = fs::read("secret")?; //~ E0277 `?` couldn't convert the error to `ErrorReply`
        Ok(reply.bulk(text))
    });
}
