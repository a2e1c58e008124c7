use respool::Commands;

fn main() {
    let mut commands = Commands::empty();
    let mut outer = commands.container("OUTER");
    outer.container("INNER"); //~ E0599
}
