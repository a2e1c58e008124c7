//! The correct form of each file in `wrong`, by the file's name. As this compiles, a file there
//! fails only for the error that it is about.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use respool::{Arity, Commands, ErrorReply, Replied, Reply, Request, Session};

const LOCKED: ErrorReply = ErrorReply::constant("LOCKED", "the job is running");

static GREETING: Mutex<&str> = Mutex::new("hello");

fn main() {
    let mut commands = Commands::empty();

    // captures_by_reference
    let greeting = String::from("hello");
    commands.register("A", Arity::Exactly(1), move |_, _, reply| {
        reply.simple(&greeting)
    });

    // captures_a_non_send_value
    commands.register("B", Arity::Exactly(1), |_, _, reply| {
        let greeting = GREETING.lock().unwrap();
        reply.simple(&greeting)
    });

    // captures_a_non_sync_value
    let calls = Mutex::new(Cell::new(0));
    commands.register("C", Arity::Exactly(1), move |_, _, reply| {
        reply.integer(calls.lock().unwrap().take())
    });

    // returns_no_reply_to_an_item
    // keeps_the_reply_of_an_item
    // replies_to_an_item_by_the_outer_reply
    // replies_to_an_item_twice
    commands.register("D", Arity::Exactly(1), |_, _, reply| {
        reply.array(1, |items| {
            let mut kept = None;
            items.add(|item| {
                kept = Some(1);
                item.integer(kept.take().unwrap())
            });
        })
    });

    // returns_no_reply
    // makes_its_own_replied
    // replies_twice
    commands.register("E", Arity::Exactly(1), |_, _, reply| {
        let first: Replied = reply.simple("once");
        first
    });

    // keeps_an_argument
    commands.register("F", Arity::Exactly(2), |session, request, reply| {
        session.set_state(request.argument(0).map(<[u8]>::to_vec));
        reply.simple("noted")
    });

    // keeps_the_reply
    let kept = Mutex::new(None);
    commands.register("G", Arity::Exactly(1), move |_, _, reply| {
        let earlier = kept.lock().unwrap().replace("late");
        reply.simple(earlier.unwrap())
    });

    // keeps_the_request
    let kept = Mutex::new(None);
    commands.register("H", Arity::Exactly(1), move |_, request, reply| {
        *kept.lock().unwrap() = Some(request.name().to_vec());
        reply.simple("noted")
    });

    // keeps_a_non_send_value
    commands.register("I", Arity::Exactly(1), |session, _, reply| {
        session.set_state(*Rc::new("hello"));
        reply.simple("noted")
    });

    // nests_containers
    let mut container = commands.container("K");
    container.register("L", Arity::Exactly(2), |_, _, reply| reply.simple("inner"));

    // sends_the_reply_to_a_thread
    commands.register("J", Arity::Exactly(1), |_, _, reply| {
        thread::scope(|scope| {
            let replier = scope.spawn(|| reply.simple("from afar"));
            replier.join().unwrap()
        })
    });

    // returns_no_reply_after_a_question_mark
    // returns_an_error_of_its_own
    // implements_outcome
    commands.register("M", Arity::Exactly(2), |_, request, reply| {
        Ok(reply.integer(request.integer(0)?))
    });

    // shows_an_inner_error
    commands.register("N", Arity::Exactly(1), |_, _, reply| {
        let text = fs::read("secret").map_err(ErrorReply::showing)?;
        Ok(reply.bulk(text))
    });

    // keeps_types_to_itself
    let handler = |_: &mut Session, _: &Request<'_>, reply: Reply<'_>| reply.simple("OK");
    commands.register("O", Arity::Exactly(1), handler);

    // replies_with_a_foreign_value
    commands.register("P", Arity::Exactly(1), |_, _, reply| {
        reply.value((1, "two", [3.0], None::<bool>))
    });

    // makes_an_error_without_a_code
    commands.register("Q", Arity::Exactly(1), |_, _, _| Err(LOCKED));

    // clones_a_token
    // defers_without_a_start
    // replies_after_deferring
    // replies_by_a_token_twice
    commands.register("R", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            thread::spawn(|| token.reply(|reply| reply.simple("from afar")));
        })
    });

    // captures_a_non_send_value_to_cancel
    commands.register("S", Arity::Exactly(1), |session, _, reply| {
        let text = Arc::new("cancelled");
        session
            .defer(reply)
            .on_cancel(move || println!("{text}"))
            .start(drop)
    });
}
