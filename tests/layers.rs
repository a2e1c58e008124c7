//! The arrows between the modules of the library: an arrow goes from a file to each file whose
//! definitions it uses. `ALLOWED` lists them, at the root and in each folder, and no other may exist.
//!
//! An arrow between two folders stands in the list of the root; an arrow between two files of a folder
//! stands in the list of that folder, and so on inwards. A name that a `mod.rs` re-exports counts as
//! the file that defines it. Tests and `src/fuzz`, which may use everything, do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use: first the folders and files of the root, then the files of each folder.
/// Upper lines may only use lower ones.
const ALLOWED: &str = "
testing: client command config dispatch error net resp server state
server: client command config dispatch error logging net operations pool resp state
operations: config logging memory net state system time
dispatch: bytes client command net resp state
pool: client logging net
command: bytes client config glob logging memory resp state system time
client: config logging net resp state
state: config glob logging net resp time
net: config error logging
config: logging memory

in client
timeouts: mod stage
snapshot: session
transaction: session
bulk_from: session
mod: pending_input session stage

in command
builtin: entry exec help mod refusal
mod: entry help refusal
deferral: outcome
registration: entry outcome
exec: entry
outcome: entry
refusal: entry

in command/builtin
acl: common
login: common connection
client: common connection
command: common
config: common
keyspace: common
latency: common
pubsub: common
server: common info
slowlog: common
info: common
connection: common

in command/builtin/client
kill: kind
list: kind

in config
sources: directive excerpt keys mod regular_file table unsupported values
directive: inert keys mod unsupported
setting: excerpt keys mod unsupported
whole: keys mod
inert: values
keys: mod table values
values: excerpt

in config/sources
command_line: advice file mod nearest password settings
advice: nearest notation settings
file: explain mistake mod password settings
explain: differences mistake nearest notation settings
password: mod settings
differences: notation settings
mistake: mod
settings: notation

in config/values
bind: mod
debug_access: mod
flag: mod
host_names: mod
log_format: mod
loglevel: mod
networks: mod
output_limits: mod number
percentile: mod
permissions: mod number
text: mod
tls_auth_clients: mod
tls_protocols: mod
number: mod

in dispatch
burst: batch
middleware: batch output
transaction: batch output
deferred: batch output
batch: budget output repeat

in net
connection: edge_poll pending_output tcp_info tls
listen: tcp_info unix
proxy_header: peer

in operations
listener: connection routes
connection: answer request
routes: answer host metrics request
request: answer

in operations/metrics
mod: durations scrape text
redis: scrape text
own: scrape text
scrape: durations
durations: text

in pool
parking: slot

in resp
argument: error_reply integer request
value: error_reply reply
reply: bulk_source error_reply foreign integer mod protocol_error
request_queue: request span
last_arguments: integer request
request: foreign inline integer limits protocol_error span
inline: protocol_error span

in server
background: bind drain handle inner start supervision
reconfigure: certificates inner
start: acceptor bind certificate_watch certificates clock drain inner operations_thread shared supervision
bind: advice certificates handle hooks host inner listen_set
certificate_watch: inner
clock: clock_signal progress shared supervision
drain: acceptor inner shared
no_operations: shared
operations_thread: shared supervision
acceptor: listen_set refusal_delay refusals scheduling shared supervision
handle_clients: handle
handle: inner
inner: certificates host shared threads
threads: shared supervision worker
worker: shared supervision
admission: shared
shared: certificates clock_signal heartbeat hooks live_settings permits progress

in testing
offline: client server
server: client
client: answer reader
comparison: answer
reader: answer

in server/worker
closing: mod
deferred: mod
failures: mod
messages: mod
output: mod
sending: mod
mod: opening
opening: handshakes

in state
mod: buffers catalog channels clients close_reason closes coarse_clock command_settings control counter deferrals deferred_request handshakes inbox latency monitors notifications pause slowlog stats
control: health
redact: catalog
channels: clients inbox recipients slices
closes: clients close_reason counter
monitors: catalog clients inbox recipients
catalog: keys own_info
slowlog: clients
close_reason: inbox
recipients: clients inbox slices
deferrals: clients deferred_request
clients: inbox slices stats
inbox: buffers deferred_request
stats: counter histogram
handshakes: counter
histogram: counter
";

/// A module by its path from the root: `["server", "worker"]`. A `mod.rs` is the folder's own path.
type Module = Vec<String>;

struct Source {
    is_folder: bool,
    /// Without comments and tests.
    code: String,
}

#[test]
fn every_arrow_is_allowed() {
    let sources = sources();
    let allowed: BTreeSet<_> = allowed().into_iter().flat_map(Row::arrows).collect();
    let mut found = BTreeMap::new();
    for (from, to) in arrows(&sources) {
        let nodes = nodes(&sources, &from, &to);
        found.entry(nodes).or_insert((from, to));
    }
    let forbidden: Vec<_> = found
        .iter()
        .filter(|(nodes, _)| !allowed.contains(nodes))
        .collect();
    assert!(
        forbidden.is_empty(),
        "not allowed (arrow, and one of its uses): {forbidden:#?}"
    );
    let unused: Vec<_> = allowed
        .iter()
        .filter(|nodes| !found.contains_key(nodes))
        .collect();
    assert!(unused.is_empty(), "allowed, but not there: {unused:#?}");
}

#[test]
fn allowed_arrows_go_down_only() {
    let rows = allowed();
    for (line, row) in rows.iter().enumerate() {
        for target in &row.targets {
            let below = rows.iter().position(|other| other.module == *target);
            assert!(
                below.is_none_or(|below| below > line),
                "{} -> {target} goes up",
                row.module
            );
        }
    }
}

/// A line of `ALLOWED`.
struct Row {
    module: String,
    targets: Vec<String>,
}

impl Row {
    fn arrows(self) -> impl Iterator<Item = (String, String)> {
        let Self { module, targets } = self;
        targets
            .into_iter()
            .map(move |target| (module.clone(), target))
    }
}

fn allowed() -> Vec<Row> {
    let mut folder = String::new();
    let mut rows = Vec::new();
    for line in ALLOWED.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("in ") {
            folder = format!("{name}/");
        } else {
            let (module, targets) = line.split_once(": ").expect("a module and its targets");
            let full = |name: &str| format!("{folder}{name}");
            rows.push(Row {
                module: full(module),
                targets: targets.split(' ').map(full).collect(),
            });
        }
    }
    rows
}

#[test]
fn no_files_form_a_circle() {
    let mut left: BTreeSet<_> = arrows(&sources()).collect();
    loop {
        let from: BTreeSet<_> = left.iter().map(|(from, _)| from.clone()).collect();
        let before = left.len();
        // A file that uses nothing that is left is in no circle.
        left.retain(|(_, to)| from.contains(to));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn sockets_are_named_by_net_client_pool_and_server_only() {
    let rooms = ["command", "dispatch", "state", "config", "resp"];
    for (module, source) in sources() {
        let is_without = rooms.contains(&&*module[0]) || module == ["client", "session"];
        for word in [
            "mio::",
            "TcpStream",
            "TcpListener",
            "UnixListener",
            "UnixStream",
            "socket2::",
            "rustix::net",
        ] {
            let names = is_without && source.code.contains(word);
            assert!(!names, "{} names {word}", module.join("/"));
        }
    }
}

#[test]
fn log_lines_carry_the_name_of_their_server() {
    for (module, source) in sources() {
        for level in ["trace", "debug", "info", "warn", "error"] {
            let call = format!("log::{level}!(");
            let has_it = source.code.contains(&call) && module != ["logging"];
            assert!(!has_it, "{}: use `logging::{level}!`", module.join("/"));
        }
    }
}

#[test]
fn the_protocol_needs_only_std() {
    for (module, source) in sources() {
        let mut uses = source
            .code
            .lines()
            .filter_map(|line| line.trim().strip_prefix("use "));
        let foreign = uses.find(|path| {
            ["std::", "super::", "crate::resp", "self::"]
                .iter()
                .all(|own| !path.starts_with(own))
        });
        assert!(
            module[0] != "resp" || foreign.is_none(),
            "{}: {foreign:?}",
            module.join("/")
        );
    }
}

/// What an arrow is called in `ALLOWED`: both paths up to where they part.
fn nodes(sources: &BTreeMap<Module, Source>, from: &Module, to: &Module) -> (String, String) {
    let common = from
        .iter()
        .zip(to)
        .take_while(|(one, other)| one == other)
        .count();
    let name = |module: &Module| {
        let mut parts = module[..module.len().min(common + 1)].to_vec();
        if module.len() == common && sources[module].is_folder {
            parts.push("mod".to_owned());
        }
        parts.join("/")
    };
    (name(from), name(to))
}

/// Every arrow, from file to file.
fn arrows(sources: &BTreeMap<Module, Source>) -> impl Iterator<Item = (Module, Module)> {
    let exports: BTreeMap<_, _> = sources
        .iter()
        .map(|(module, source)| (module.clone(), uses(sources, module, &source.code, true)))
        .collect();
    let of = |from: &Module| {
        let paths = uses(sources, from, &sources[from].code, false);
        let targets = paths
            .iter()
            .filter_map(|path| definer(sources, &exports, path));
        let from = from.clone();
        targets
            .filter(|to| *to != from)
            .map(|to| (from.clone(), to))
            .collect::<Vec<_>>()
    };
    let all: BTreeSet<_> = sources.keys().flat_map(of).collect();
    all.into_iter()
}

/// The file that defines what `path` names; `None` for another crate.
fn definer(
    sources: &BTreeMap<Module, Source>,
    exports: &BTreeMap<Module, Vec<Module>>,
    path: &Module,
) -> Option<Module> {
    let length = (1..=path.len())
        .rev()
        .find(|&length| sources.contains_key(&path[..length]))?;
    let module = &path[..length];
    let name = path.get(length);
    let export = exports[module]
        .iter()
        .find(|export| name.is_some() && export.last() == name);
    match export {
        Some(export) => definer(sources, exports, export),
        None => Some(module.to_vec()),
    }
}

/// The paths that `code` uses, from the root: of `use` items, and those written out elsewhere. If
/// `exported`, only those of `pub use` items; otherwise all others.
fn uses(
    sources: &BTreeMap<Module, Source>,
    module: &Module,
    code: &str,
    exported: bool,
) -> Vec<Module> {
    let (mut paths, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let (before, tree) = line.split_once("use ").unwrap_or((line, ""));
        let is_item = ["", "pub ", "pub(crate) ", "pub(super) "].contains(&before);
        if tree.is_empty() || !is_item || tree.contains('`') {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            tree.push_str(lines.next().expect("the end of a `use`").trim());
        }
        if before.is_empty() != exported {
            expand("", tree.trim_end_matches(';'), &mut paths);
        }
    }
    if !exported {
        paths.extend(written_out(&rest));
    }
    paths
        .iter()
        .filter_map(|path| absolute(sources, module, path))
        .collect()
}

/// Expands `a::{b, c::d}` into `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, inner)) = tree.split_once('{') else {
        paths.push(format!("{prefix}{tree}"));
        return;
    };
    let inner = inner.trim().strip_suffix('}');
    let inner = inner.unwrap_or_else(|| panic!("not a whole tree: {tree}"));
    let (mut depth, mut start) = (0, 0);
    for (index, byte) in inner.bytes().chain([b',']).enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                if start < index {
                    expand(
                        &format!("{prefix}{head}"),
                        inner[start..index].trim(),
                        paths,
                    );
                }
                start = index + 1;
            }
            _ => {}
        }
    }
}

/// The paths in `code` that begin with `crate::` or `super::`.
fn written_out(code: &str) -> impl Iterator<Item = String> {
    let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
    let words = code.split(move |char| !is_part(char));
    words
        .filter(|word| word.starts_with("crate::") || word.starts_with("super::"))
        .map(str::to_owned)
}

/// The path from the root; `None` for another crate.
fn absolute(sources: &BTreeMap<Module, Source>, module: &Module, path: &str) -> Option<Module> {
    let path = path.split(" as ").next().unwrap_or(path);
    let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
    let mut absolute: Module = match *parts.peek()? {
        "crate" => {
            parts.next();
            Vec::new()
        }
        "super" => module.clone(),
        "self" => {
            parts.next();
            module.clone()
        }
        child => {
            let mut inner = module.clone();
            inner.push(child.to_owned());
            sources.contains_key(&inner).then(|| module.clone())?
        }
    };
    while parts.next_if_eq(&"super").is_some() {
        absolute.pop();
    }
    absolute.extend(parts.filter(|part| *part != "self").map(str::to_owned));
    Some(absolute)
}

fn sources() -> BTreeMap<Module, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 50, "{} files", sources.len());
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut BTreeMap<Module, Source>) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let relative = path.strip_prefix(root).expect("it is below the root");
        let is_left_out = ["bin", "fuzz", "lib.rs"]
            .iter()
            .any(|out| relative == Path::new(out));
        let name = path.file_name().expect("a name");
        if is_left_out || name == "tests.rs" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_folder = name == "mod.rs";
            let mut module: Module = relative
                .with_extension("")
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            if is_folder {
                module.pop();
            }
            let text = fs::read_to_string(&path).expect("a source file");
            let code = code_of(&text);
            sources.insert(module, Source { is_folder, code });
        }
    }
}

/// The text without comments and tests.
fn code_of(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let lines: Vec<_> = lines.collect();
    lines.join("\n")
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "
        //! crate::comment
        use std::fmt;
        use crate::a::{self, b::C, d::{E, F as G}};
        pub(crate) use crate::a::Shown;
        use child::Thing;
        fn f() -> crate::g::H { super::i() }
        #[cfg(test)]\nmod tests { use crate::tests; }";
    let source = |is_folder| Source {
        is_folder,
        code: String::new(),
    };
    let module = |path: &str| path.split('/').map(str::to_owned).collect::<Module>();
    let sources = BTreeMap::from([
        (module("room"), source(true)),
        (module("room/child"), source(false)),
    ]);
    let found = |exported| {
        let paths = uses(&sources, &module("room"), &code_of(text), exported);
        paths.iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    let others = [
        "a",
        "a::b::C",
        "a::d::E",
        "a::d::F",
        "room::child::Thing",
        "g::H",
        "i",
    ];
    assert_eq!(found(false), others);
    assert_eq!(found(true), ["a::Shown"]);
}
