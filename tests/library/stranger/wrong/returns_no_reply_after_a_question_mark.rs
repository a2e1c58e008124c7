use respool::{Arity, Commands};

fn main() {
    let mut commands = Commands::empty();
    commands.register("OOPS", Arity::Exactly(2), |_, request, reply| {
        //~^ E0277 a handler has to return a `Replied`
        let number = request.integer(0)?;
        let _ = reply.integer(number);
        Ok(())
    });
}
