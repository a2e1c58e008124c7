//! respool beside a real redis-server 7.0: the same requests and the same replies, byte by byte.
//!
//! `cargo test --test redis_server` runs it; plain `cargo test` does not, because it needs Redis.
//! Without a redis-server it prints that nothing was compared.
//!
//! | file | has |
//! |---|---|
//! | `conversations.rs` | the requests |
//! | `differences.rs` | replies that differ on purpose, and why |
//! | `normal.rs` | parts of replies that vary and are not compared |
//! | `coverage.rs` | a check that every command and error occurs |
//! | `talk.rs` | plays a conversation |
//! | `value.rs` | reads replies |
//! | `transactions.rs` | MULTI, EXEC and DISCARD of an example |
//! | `unix.rs` | clients of a Unix socket |

mod conversations;
mod coverage;
mod differences;
mod normal;
mod talk;
mod transactions;
mod unix;
mod value;

use conversations::conversations;
use coverage::{Asked, UNCOVERED, error_texts, is_covered, lacks};
use normal::{Common, normal, say_the_same};
use respool_testing::redis_server::{Redis, Setting, respool};
use talk::{Names, answer, play};

#[test]
fn replies_equal_those_of_redis() {
    compare(Setting::Plain);
}

#[test]
fn replies_equal_those_of_redis_with_a_password() {
    compare(Setting::Password);
}

#[test]
fn replies_equal_those_of_redis_with_debug_allowed() {
    compare(Setting::Debug);
}

#[test]
fn replies_equal_those_of_redis_with_a_file() {
    compare(Setting::File);
    compare(Setting::LostFile);
}

#[test]
fn replies_equal_those_of_redis_at_shutdown() {
    compare(Setting::Stopped);
}

#[test]
fn conversations_cover_commands_arities_and_errors() {
    let mut infos = None;
    let (mut asked, mut replies) = (Vec::new(), Vec::new());
    for setting in Setting::ALL {
        let (respool, _folder) = respool(setting);
        infos.get_or_insert_with(|| answer(respool.addr, setting, "COMMAND"));
        for talk in conversations(setting) {
            for received in play(respool.addr, setting, talk.in_resp3, &talk.steps).received {
                asked.extend(Asked::of(&received.step, &received.reply));
                replies.push(received.reply);
            }
        }
    }
    let known = coverage::known(&infos.expect("it has answered"));
    let mut lacking: Vec<_> = known
        .iter()
        .flat_map(|known| lacks(known, &asked))
        .collect();
    let texts = error_texts().into_iter();
    let unheard = texts.filter(|text| !UNCOVERED.contains(&&**text) && !is_covered(text, &replies));
    lacking.extend(unheard);
    assert!(
        lacking.is_empty(),
        "what compare/conversations.rs does not ask for:\n{}",
        lacking.join("\n")
    );
}

#[test]
fn every_documented_difference_is_exercised() {
    for setting in Setting::ALL {
        let talks = conversations(setting);
        for difference in differences::differences(setting) {
            for (request, ..) in difference.rows {
                let mut steps = talks.iter().flat_map(|talk| &talk.steps);
                let why = difference.why;
                assert!(
                    steps.any(|step| step == request),
                    "{request}, because {why}"
                );
            }
        }
    }
}

/// Plays every conversation of the setting with both servers, and compares every reply.
fn compare(setting: Setting) {
    let Some(redis) = Redis::start(setting) else {
        return;
    };
    let (respool, _folder) = respool(setting);
    let addrs = [redis.addr, respool.addr];
    let common = Common::of(|request| addrs.map(|addr| answer(addr, setting, request)));
    let mut complaints = Vec::new();
    for talk in conversations(setting) {
        let [redis, respool] = addrs.map(|addr| play(addr, setting, talk.in_resp3, &talk.steps));
        for (redis_received, respool_received) in redis.received.iter().zip(&respool.received) {
            let request = &redis_received.step;
            let replies = [&*redis_received.reply, &*respool_received.reply];
            let both = [(replies[0], &redis.names), (replies[1], &respool.names)];
            let fault = judge(setting, request, both, &common);
            complaints.extend(fault.map(|fault| {
                let version = if talk.in_resp3 { 3 } else { 2 };
                let said = both.map(|both| in_words(request, both, &common));
                let [redis, respool] = from_where_they_differ(&said).map(short);
                let (request, steps) = (short(request), short(&talk.steps.join(" | ")));
                format!(
                    "\n{fault}: {request}\n  in RESP{version}, in the conversation {steps}\n  \
                     Redis:   {redis}\n  respool: {respool}\n"
                )
            }));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.concat());
}

/// Returns what is wrong with two replies to the same request, if anything.
fn judge(
    setting: Setting,
    request: &str,
    both: [(&[u8], &Names); 2],
    common: &Common,
) -> Option<&'static str> {
    let same = say_the_same(request, both, common);
    match differences::row(setting, request) {
        None => (!same).then_some("the replies differ"),
        Some(_) if same => Some("a documented difference is none"),
        Some((_, redis, respool)) => {
            let is_as_said =
                differences::is(both[0].0, redis) && differences::is(both[1].0, respool);
            (!is_as_said).then_some("a documented difference is another")
        }
    }
}

/// Returns the compared part of a reply, readable.
fn in_words(request: &str, both: (&[u8], &Names), common: &Common) -> String {
    match normal(request, both, common) {
        Some(values) => format!("{values:?}"),
        None => both.0.escape_ascii().to_string(),
    }
}

/// Returns both texts from shortly before their first difference.
fn from_where_they_differ([one, other]: &[String; 2]) -> [&str; 2] {
    let pairs = one.char_indices().zip(other.chars());
    let same = pairs.take_while(|((_, char), other)| char == other);
    let front = same.count().saturating_sub(100);
    [one, other].map(|text| {
        let start = text.char_indices().nth(front);
        &text[start.map_or(0, |(index, _)| index)..]
    })
}

/// Returns the start of a long text.
fn short(text: &str) -> String {
    text.chars().take(1000).collect()
}
