use std::sync::Mutex;

use respool::{Arity, Commands};

fn main() {
    let kept = Mutex::new(None);
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), move |_, request, reply| {
        *kept.lock().unwrap() = Some(*request); //~ E0521
        reply.simple("noted")
    });
}
