use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |_, _, reply| {
        reply.array(2, |items| {
            let mut kept = None;
            items.add(|item| {
                kept = Some(item); //~ E0521
                kept.take().unwrap().integer(1)
            });
        })
    });
}
