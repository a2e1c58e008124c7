use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |session, _, reply| {
        //~^ E0277 a handler has to return a `Replied` or a `Result<Replied, ErrorReply>`
        session.defer(reply)
    });
}
