use respool::{Arity, Commands, Replied};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, _reply| {
        Replied { error_at: 0 } //~ E0451
    });
}
