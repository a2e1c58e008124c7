use respool::ErrorReply;

const _: ErrorReply = ErrorReply::constant("Locked", "the job is running"); //~ E0080

fn main() {}
