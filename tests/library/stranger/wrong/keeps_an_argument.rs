use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(2), |session, request, reply| {
        session.set_state(request.argument(0)); //~ E0521
        reply.simple("noted")
    });
}
