use std::cell::Cell;

use respool::{Arity, Commands};

fn main() {
    let calls = Cell::new(0);
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), move |_, _, reply| {
        //~^ E0277
        reply.integer(calls.take())
    });
}
