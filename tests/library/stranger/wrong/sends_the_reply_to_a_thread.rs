use std::thread;

use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        let replier = thread::spawn(|| reply.simple("from afar")); //~ E0521
        replier.join().unwrap()
    });
}
