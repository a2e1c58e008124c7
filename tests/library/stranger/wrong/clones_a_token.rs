use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            token.clone().reply(|reply| reply.simple("once")); //~ E0599
            token.reply(|reply| reply.simple("twice"));
        })
    });
}
