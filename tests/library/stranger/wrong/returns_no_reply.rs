use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        drop(reply) //~ E0308
    });
}
