use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(1), |session, _, reply| {
        let _later = session.defer(reply).start(drop);
        reply.simple("now") //~ E0382
    });
}
