use std::rc::Rc;

use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |session, _, reply| {
        let text = Rc::new("cancelled");
        session
            .defer(reply)
            .on_cancel(move || println!("{text}")) //~ E0277
            .start(drop)
    });
}
