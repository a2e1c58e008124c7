//! Checks that the conversations cover every command, number of arguments and error.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::value::{Value, latin1};

/// A command or subcommand as described by `COMMAND INFO`.
pub(crate) struct Known {
    /// In lower case; a subcommand with its container.
    words: Vec<String>,
    /// As in Redis: `-2` is two words or more, the name included.
    arity: i64,
    subcommands: BTreeSet<String>,
}

/// Returns every command of a reply to `COMMAND`.
pub(crate) fn known(infos: &Value) -> Vec<Known> {
    let mut all = Vec::new();
    for info in &infos.items {
        let [name, arity, .., subcommands] = &*info.items else {
            panic!("{info:?}");
        };
        let own = subcommands
            .items
            .iter()
            .map(|info| info.items[0].text.clone());
        all.push(Known {
            words: name.text.split('|').map(str::to_owned).collect(),
            arity: arity.text.parse().expect("a number"),
            subcommands: own.collect(),
        });
        all.extend(known(subcommands));
    }
    all
}

/// A request of the conversations, and whether it failed.
pub(crate) struct Asked {
    words: Vec<String>,
    failed: bool,
}

impl Asked {
    /// Returns the requests in a step. Whether one failed is known only if it is alone.
    pub(crate) fn of(step: &str, reply: &[u8]) -> Vec<Self> {
        let step = step.strip_prefix("B: ").unwrap_or(step);
        let step = step.strip_prefix("END: ").unwrap_or(step);
        let lines = step.lines().filter(|_| !step.starts_with("RAW: "));
        let asked = lines.map(|line| Self {
            words: words(line),
            failed: reply.starts_with(b"-"),
        });
        asked.collect()
    }

    fn names(&self, known: &Known) -> bool {
        let said = self.words.iter().map(|word| word.to_ascii_lowercase());
        self.words.len() >= known.words.len()
            && said.take(known.words.len()).eq(known.words.clone())
    }
}

/// Splits a line into words, with quotes as conversations use them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(char),
        }
    }
    words
}

/// Returns what the conversations do not cover of this command.
pub(crate) fn lacks(known: &Known, asked: &[Asked]) -> Vec<String> {
    let name = known.words.join("|");
    let about: Vec<_> = asked.iter().filter(|asked| asked.names(known)).collect();
    let count_max = bound(&name).or((known.arity > 0).then_some(known.arity));
    let has = |lacking: &str, found: bool| (!found).then(|| format!("{name}: {lacking}"));
    let counts: Vec<_> = about.iter().map(|asked| asked.words.len() as i64).collect();
    let fits = |count: i64| count >= known.arity.abs() && count_max.is_none_or(|max| count <= max);
    let succeeds = |asked: &&Asked| fits(asked.words.len() as i64) && !asked.failed;
    let mut lacking = Vec::new();
    if known.subcommands.is_empty() {
        let always_fails = ALWAYS_FAIL.contains(&&*name);
        let succeeded = about.iter().copied().any(|asked| succeeds(&asked));
        lacking.push(has("a call that succeeds", always_fails || succeeded));
        let can_be_too_few = known.arity.abs() > known.words.len() as i64;
        let is_too_few = counts.iter().any(|&count| count < known.arity.abs());
        lacking.push(has("too few words", !can_be_too_few || is_too_few));
    } else {
        let second = |asked: &&Asked| asked.words.get(1).map(|word| word.to_ascii_lowercase());
        let seconds: BTreeSet<_> = about.iter().filter_map(second).collect();
        let is_one = |word: &String| known.subcommands.contains(&format!("{name}|{word}"));
        lacking.push(has("no subcommand", counts.contains(&1)));
        lacking.push(has("an unknown subcommand", !seconds.iter().all(is_one)));
        lacking.push(has("HELP", seconds.contains("help")));
    }
    let is_too_many = counts
        .iter()
        .any(|&count| count_max.is_none_or(|max| count > max));
    lacking.push(has(
        "too many words",
        !known.subcommands.is_empty() || is_too_many,
    ));
    lacking.into_iter().flatten().collect()
}

/// The maximum number of words of commands that check it themselves.
fn bound(name: &str) -> Option<i64> {
    let bounds = [
        ("ping", 2),
        ("auth", 3),
        ("acl|cat", 3),
        ("client|pause", 4),
        ("client|unblock", 4),
        ("pubsub|channels", 3),
        ("slowlog|get", 3),
        ("debug", 3),
    ];
    let found = bounds.into_iter().find(|(other, _)| *other == name);
    found.map(|(_, count)| count)
}

/// There is neither a cluster nor a key to describe.
const ALWAYS_FAIL: [&str; 6] = [
    "asking",
    "cluster",
    "command|getkeys",
    "command|getkeysandflags",
    "readonly",
    "readwrite",
];

/// Returns the error texts in the source of respool's commands and parser, up to their first
/// variable part.
pub(crate) fn error_texts() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = BTreeSet::new();
    for file in files(&source.join("command")) {
        let code = code(&file);
        let errors = strings(&code).filter(|text| {
            let codes = ["ERR ", "NOAUTH ", "NOPROTO ", "WRONGPASS "];
            codes.iter().any(|code| text.starts_with(code))
        });
        texts.extend(errors);
    }
    let code = code(&source.join("resp/protocol_error.rs"));
    let (_, code) = code
        .split_once("fn append_text")
        .expect("the texts of protocol errors");
    let (code, _) = code.split_once("\n    }\n").expect("its end");
    texts.extend(strings(code).map(|text| format!("ERR Protocol error: {text}")));
    texts
}

/// Returns the files in a folder and in those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    files.flatten().collect()
}

/// Returns a file without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the string literals of some code, each up to its first placeholder.
fn strings(code: &str) -> impl Iterator<Item = String> {
    // A string may continue in the next line, and may have a quote.
    let lines: Vec<_> = code.split("\\\n").collect();
    let joined = lines.iter().enumerate().map(
        |(index, line)| {
            if index == 0 { line } else { line.trim_start() }
        },
    );
    let joined = joined.collect::<String>().replace("\\\"", "\u{0}");
    let every_other = joined
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    every_other.into_iter().map(|text| {
        let fixed = text.split('{').next().unwrap_or_default();
        fixed.replace('\u{0}', "\"").trim_end().to_owned()
    })
}

/// Returns true if one of the replies has this error.
pub(crate) fn is_covered(text: &str, replies: &[Vec<u8>]) -> bool {
    let error = format!("-{text}");
    replies.iter().any(|reply| latin1(reply).contains(&error))
}

/// Errors that no conversation can cause.
pub(crate) const UNCOVERED: [&str; 14] = [
    // No command here replies later.
    "ERR the request was dropped without a reply",
    // The program here has no transactions.
    "ERR Command not allowed inside a transaction",
    "ERR DISCARD without MULTI",
    "ERR EXEC without MULTI",
    "ERR MONITOR isn't allowed for DENY BLOCKING client",
    "ERR MULTI calls can not be nested",
    "ERR a transaction takes at most",
    // The program here checks no logins.
    "ERR this server's users are known only to the program that runs it",
    // The new value does not fit the machine, or the server stops.
    "ERR CONFIG SET failed -",
    "ERR CONFIG SET failed - the server is no more",
    "ERR The shutdown in progress cannot be aborted.",
    // Needs a million subscriptions.
    "ERR too many subscriptions",
    // The reply is a TLS alert.
    "ERR Protocol error: TLS",
    // Needs a request of a gigabyte.
    "ERR Protocol error: too big request",
];
