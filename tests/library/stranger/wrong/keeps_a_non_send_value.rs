use std::rc::Rc;

use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |session, _, reply| {
        session.set_state(Rc::new("hello")); //~ E0277
        reply.simple("noted")
    });
}
