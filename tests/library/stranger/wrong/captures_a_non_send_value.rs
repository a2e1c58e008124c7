use std::sync::Mutex;

use respool::{Arity, Commands};

static GREETING: Mutex<&str> = Mutex::new("hello");

fn main() {
    let greeting = GREETING.lock().unwrap();
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), move |_, _, reply| {
        //~^ E0277
        reply.simple(&greeting)
    });
}
