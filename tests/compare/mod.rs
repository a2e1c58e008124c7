//! Conversations with a real redis-server and with respool, and the comparison of the replies.
//!
//! | file | has |
//! |---|---|
//! | `conversations.rs` | what is said |
//! | `differences.rs` | what is replied otherwise on purpose, and why |
//! | `normal.rs` | what may vary and is not compared |
//! | `coverage.rs` | that nothing was forgotten |
//! | `servers.rs` | the two processes |
//! | `talk.rs` | how a conversation is played |
//! | `value.rs` | a reader of replies |

pub(crate) mod conversations;
pub(crate) mod coverage;
pub(crate) mod differences;
pub(crate) mod normal;
pub(crate) mod talk;
pub(crate) mod value;
