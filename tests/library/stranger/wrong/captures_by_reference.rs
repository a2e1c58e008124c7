use respool::{Arity, Commands};

fn main() {
    let greeting = String::from("hello");
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        //~^ E0373
        reply.simple(&greeting)
    });
}
