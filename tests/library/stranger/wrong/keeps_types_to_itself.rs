use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    let handler = |_, _, reply| reply.simple("OK"); //~ E0282
    commands.register("OOPS", Arity::Exactly(1), handler);
}
