use respool::Outcome;

struct Mine;

impl Outcome for Mine {} //~ E0277

fn main() {}
