use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        reply.array(1, |items| {
            items.add(|item| {
                drop(item) //~ E0308
            });
        })
    });
}
