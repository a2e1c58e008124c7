use std::sync::Mutex;

use respool::{Arity, Commands};

fn main() {
    let kept = Mutex::new(None);
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), move |_, _, reply| {
        let earlier = kept.lock().unwrap().replace(reply); //~ E0521
        earlier.unwrap().simple("late")
    });
}
