use std::time::Instant;

use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        reply.value(Instant::now()) //~ E0277 `Instant` is no value that can be a reply
    });
}
