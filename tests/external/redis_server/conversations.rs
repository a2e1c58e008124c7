//! The conversations. A row is a conversation on its own connections; `talk.rs` describes the form
//! of a step.

use respool_testing::redis_server::{PASSWORD, Setting};

/// A conversation of one setting, in one version of the protocol.
pub(crate) struct Conversation {
    pub(crate) steps: Vec<String>,
    /// Every party sends `HELLO 3` first.
    pub(crate) in_resp3: bool,
}

/// Returns every conversation of a setting, in RESP2 and in RESP3.
pub(crate) fn conversations(setting: Setting) -> Vec<Conversation> {
    let in_both = |steps: Vec<String>| {
        let resp3 = in_resp3(setting, &steps);
        let resp2 = Conversation {
            steps,
            in_resp3: false,
        };
        [resp2].into_iter().chain(resp3)
    };
    all_steps(setting).into_iter().flat_map(in_both).collect()
}

/// Returns the same conversation in RESP3, if there is one.
fn in_resp3(setting: Setting, steps: &[String]) -> Option<Conversation> {
    let mut steps = steps.to_vec();
    match setting {
        // RESP3 needs authentication.
        Setting::Password if steps[0] != auth() => return None,
        Setting::Password => steps[0] = format!("HELLO 3 AUTH default {PASSWORD}"),
        // A server stops only once.
        Setting::Stopped => return None,
        Setting::Plain | Setting::Debug | Setting::File | Setting::LostFile => {}
    }
    Some(Conversation {
        steps,
        in_resp3: setting != Setting::Password,
    })
}

fn all_steps(setting: Setting) -> Vec<Vec<String>> {
    let (tables, long): (&[Table], _) = match setting {
        Setting::Plain => (
            &[
                CONNECTION, CLIENT, CLIENTS, TRACKING, REPLY, PUBSUB, MONITOR, COMMAND, CONFIG,
                KEYSPACE, SERVER, SLOWLOG, LATENCY, ACL, UNKNOWN, PROTOCOL,
            ],
            long_ones(),
        ),
        Setting::Password => (&[WITH_A_PASSWORD], limits_before_the_password()),
        Setting::Debug => (&[WITH_DEBUG], vec![]),
        Setting::File => (&[WITH_A_FILE], vec![]),
        Setting::LostFile => (&[WITH_A_LOST_FILE], vec![]),
        Setting::Stopped => (&[STOPPED], vec![]),
    };
    let rows = tables.iter().copied().flatten();
    let short = rows.map(|row| row.iter().map(ToString::to_string).collect());
    short.chain(long).collect()
}

fn auth() -> String {
    format!("AUTH {PASSWORD}")
}

/// A row is a conversation. Rows are read across, so they are not formatted an item a line.
type Table = &'static [&'static [&'static str]];

#[rustfmt::skip]
const CONNECTION: Table = &[
    &["PING", "ping", "PiNg x", "PING \"\"", "PING a b", r#"PING "a\r\nb\x00\xff""#],
    &["ECHO", "ECHO x", "echo x", "ECHO \"\"", r#"ECHO "\r\n\x00\xff""#, "ECHO a b"],
    &["HELLO", "HELLO 3", "HELLO", "HELLO 2", "HELLO", "hello 3"],
    &["HELLO 1", "HELLO 4", "HELLO 0", "HELLO -3", "HELLO"],
    &["HELLO x", "HELLO \"\"", "HELLO 99999999999999999999", "HELLO 3.0", "HELLO 03"],
    &["HELLO 2 FOO", "HELLO 2 AUTH", "HELLO 2 AUTH default", "HELLO 2 SETNAME",
      "HELLO 2 AUTH a b c"],
    &["HELLO 3 AUTH other x", "HELLO", "HELLO 3 AUTH default any", "HELLO"],
    &["HELLO 2 SETNAME \"a b\"", "CLIENT GETNAME", "HELLO 3 SETNAME \"a\\n\"", "HELLO",
      "CLIENT GETNAME"],
    &["HELLO 2 SETNAME me", "CLIENT GETNAME", "HELLO 3 SETNAME you auth default x",
      "CLIENT GETNAME"],
    &["HELLO 4 SETNAME me", "CLIENT GETNAME", "HELLO 2 SETNAME me FOO", "client getname"],
    &["HELLO 2 SETNAME one SETNAME two", "CLIENT GETNAME", "HELLO 2 SETNAME \"\"",
      "CLIENT GETNAME"],
    &["AUTH", "AUTH x", "AUTH \"\"", "AUTH default x", "AUTH default", "AUTH other x",
      "AUTH a b c"],
    &["SELECT 0", "SELECT 15", "SELECT 16", "SELECT -1", "SELECT", "SELECT 1 2"],
    &["SELECT x", "SELECT \"\"", "SELECT 1.0", "SELECT +1", "SELECT 01", "SELECT \" 1\"",
      "SELECT 0x1"],
    &["SELECT 2147483647", "SELECT 2147483648", "SELECT -2147483648", "SELECT -2147483649"],
    &["SELECT 9223372036854775807", "SELECT 9223372036854775808", "SELECT 99999999999999999999"],
    &["END: QUIT"],
    &["PING", "END: quit now please"],
    // Requests pipelined after QUIT are not run.
    &["END: QUIT\r\nPING"],
    &["END: PING\r\nQUIT"],
    &["RESET", "RESET x", "reset", "HELLO"],
    &["CLIENT SETNAME me", "SELECT 3", "CLIENT TRACKING on", "CLIENT INFO", "RESET", "CLIENT INFO",
      "CLIENT GETNAME"],
    &["CLIENT NO-EVICT on", "RESET", "client info"],
    &["CLIENT TRACKING on BCAST", "CLIENT GETREDIR", "RESET", "CLIENT GETREDIR",
      "CLIENT TRACKINGINFO"],
    &["SUBSCRIBE a", "PSUBSCRIBE b", "RESET", "PING", "PUBSUB CHANNELS", "PUBSUB NUMPAT",
      "UNSUBSCRIBE"],
    &["CLIENT REPLY OFF\r\nRESET", "PING"],
    &["HELLO 3", "RESET", "CLIENT GETNAME"],
    &["TIME", "time", "TIME x"],
];

#[rustfmt::skip]
const CLIENT: Table = &[
    &["CLIENT", "CLIENT FOO", "client foo", "CLIENT \"\"", "CLIENT FOO BAR BAZ", "CLIENT ID|X",
      "CLIENT |"],
    &["CLIENT HELP", "CLIENT HELP x"],
    &["CLIENT ID", "CLIENT ID x", "client id"],
    &["CLIENT GETNAME", "CLIENT GETNAME x", "CLIENT SETNAME", "CLIENT SETNAME a b"],
    &["CLIENT SETNAME me", "CLIENT GETNAME", "CLIENT SETNAME \"\"", "CLIENT GETNAME"],
    &["CLIENT SETNAME \"a b\"", "CLIENT SETNAME \"a\\n\"", r#"CLIENT SETNAME "\x7f""#,
      r#"CLIENT SETNAME "\xe9""#, "CLIENT SETNAME !~", "CLIENT GETNAME"],
    &["CLIENT SETINFO", "CLIENT SETINFO LIB-NAME", "CLIENT SETINFO LIB-NAME a b"],
    &["CLIENT SETINFO LIB-NAME redis-py", "client setinfo lib-ver 5.3.1", "CLIENT SETINFO FOO x"],
    &["CLIENT SETINFO LIB-NAME \"a b\"", "CLIENT SETINFO lib-ver \"a b\""],
    &["CLIENT NO-EVICT", "CLIENT NO-EVICT on", "CLIENT NO-EVICT OFF", "CLIENT NO-EVICT x",
      "CLIENT NO-EVICT on off"],
    &["CLIENT NO-TOUCH", "CLIENT NO-TOUCH on", "CLIENT NO-TOUCH OFF", "CLIENT NO-TOUCH x",
      "CLIENT NO-TOUCH on off"],
    &["CLIENT INFO", "CLIENT INFO x"],
    &["CLIENT SETNAME me", "SELECT 7", "CLIENT NO-EVICT on", "CLIENT TRACKING on", "CLIENT INFO"],
    &["HELLO 3", "SUBSCRIBE a b", "PSUBSCRIBE c", "CLIENT INFO"],
];

#[rustfmt::skip]
const CLIENTS: Table = &[
    &["CLIENT LIST", "client list", "CLIENT LIST x", "CLIENT LIST TYPE", "CLIENT LIST ID",
      "CLIENT LIST FOO x"],
    &["B: PING", "CLIENT LIST", "B: CLIENT SETNAME you", "CLIENT LIST", "B: SELECT 3",
      "CLIENT LIST"],
    &["B: PING", "B: CLIENT SETNAME", "CLIENT LIST", "B: PING a b", "CLIENT LIST"],
    &["B: SUBSCRIBE a", "CLIENT LIST TYPE pubsub", "CLIENT LIST TYPE normal", "CLIENT LIST"],
    &["B: PING", "CLIENT LIST TYPE NORMAL", "CLIENT LIST TYPE master", "CLIENT LIST TYPE replica",
      "CLIENT LIST TYPE slave"],
    &["CLIENT LIST TYPE foo", "CLIENT LIST TYPE normal x", "CLIENT LIST TYPE \"\""],
    &["CLIENT LIST ID {id}", "CLIENT LIST ID {B.id} {id}", "CLIENT LIST ID {B.id}",
      "CLIENT LIST ID 0", "CLIENT LIST ID 999999"],
    &["CLIENT LIST ID x", "CLIENT LIST ID {id} x", "CLIENT LIST ID -1", "CLIENT LIST ID \"\"",
      "CLIENT LIST id {id}"],
    &["B: MONITOR", "CLIENT LIST"],
    &["CLIENT KILL", "CLIENT KILL 1.1.1.1:1", "CLIENT KILL FOO", "CLIENT KILL \"\"",
      "CLIENT KILL ID"],
    &["CLIENT KILL ID 0", "CLIENT KILL ID -1", "CLIENT KILL ID x", "CLIENT KILL ID 999999"],
    &["CLIENT KILL TYPE foo", "CLIENT KILL TYPE master", "CLIENT KILL TYPE replica",
      "CLIENT KILL TYPE slave", "CLIENT KILL TYPE pubsub"],
    &["CLIENT KILL TYPE normal SKIPME no ADDR 1.1.1.1:1", "CLIENT KILL LADDR 1.1.1.1:1",
      "CLIENT KILL ADDR 1.1.1.1:1"],
    &["CLIENT KILL USER foo", "CLIENT KILL USER default ID 999999", "CLIENT KILL USER Default",
      "CLIENT KILL USER \"\""],
    &["CLIENT KILL SKIPME maybe", "CLIENT KILL SKIPME", "CLIENT KILL SKIPME yes ID {id}",
      "CLIENT KILL ID {id}"],
    &["CLIENT KILL FOO x", "CLIENT KILL ID 999999 FOO", "CLIENT KILL ID 999999 FOO x",
      "CLIENT KILL ID 1 TYPE"],
    &["CLIENT KILL MAXAGE 999999", "CLIENT KILL MAXAGE 0", "CLIENT KILL MAXAGE x",
      "CLIENT KILL ID 1 MAXAGE"],
    &["CLIENT KILL ID {B.id}", "B: END: ", "CLIENT LIST"],
    &["CLIENT KILL ADDR {B.addr}", "B: END: "],
    &["CLIENT KILL {B.addr}", "B: END: ", "CLIENT KILL {B.addr}"],
    &["B: PING", "CLIENT KILL LADDR {laddr}", "B: END: "],
    &["B: SUBSCRIBE a", "CLIENT KILL TYPE pubsub", "B: END: ", "PUBSUB CHANNELS"],
    &["B: PING", "CLIENT KILL SKIPME yes", "B: END: "],
    &["B: PING", "CLIENT KILL USER default", "B: END: "],
    &["END: CLIENT KILL ID {id} SKIPME no"],
    &["END: CLIENT KILL {addr}"],
    &["END: CLIENT KILL TYPE normal SKIPME no\r\nPING"],
    &["CLIENT PAUSE", "CLIENT PAUSE x", "CLIENT PAUSE -1", "CLIENT PAUSE \"\"",
      "CLIENT PAUSE 99999999999999999999"],
    &["CLIENT PAUSE 1 FOO", "CLIENT PAUSE x FOO", "CLIENT PAUSE 1 ALL x", "CLIENT PAUSE x WRITE"],
    &["CLIENT PAUSE 0", "CLIENT PAUSE 1", "CLIENT PAUSE 1 ALL", "CLIENT PAUSE 1 write", "PING",
      "B: PING", "CLIENT UNPAUSE"],
    // A write pause holds commands that change something for others, and nothing else.
    &["CLIENT PAUSE 1000000 WRITE", "PING", "B: PING", "B: SUBSCRIBE a", "CLIENT LIST",
      "CLIENT UNPAUSE", "PUBLISH a x", "B: "],
    &["CLIENT UNPAUSE", "CLIENT UNPAUSE x"],
    &["CLIENT UNBLOCK", "CLIENT UNBLOCK x", "CLIENT UNBLOCK {id}", "CLIENT UNBLOCK {B.id}",
      "CLIENT UNBLOCK 999999"],
    &["CLIENT UNBLOCK 1 TIMEOUT", "CLIENT UNBLOCK 1 error", "CLIENT UNBLOCK 1 FOO",
      "CLIENT UNBLOCK x FOO", "CLIENT UNBLOCK 1 ERROR x"],
];

#[rustfmt::skip]
const TRACKING: Table = &[
    &["CLIENT TRACKING", "CLIENT TRACKING maybe", "CLIENT TRACKING on FOO",
      "CLIENT TRACKING maybe FOO", "CLIENT TRACKING off FOO"],
    &["CLIENT GETREDIR", "CLIENT GETREDIR x", "CLIENT TRACKINGINFO", "CLIENT TRACKINGINFO x"],
    &["CLIENT TRACKING on", "CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT TRACKING on",
      "CLIENT TRACKING OFF", "CLIENT TRACKINGINFO"],
    &["CLIENT TRACKING on OPTIN", "CLIENT TRACKINGINFO",
      "CLIENT CACHING YES\r\nCLIENT TRACKINGINFO", "CLIENT CACHING no", "CLIENT CACHING on"],
    &["CLIENT TRACKING on OPTOUT", "CLIENT TRACKINGINFO",
      "CLIENT CACHING no\r\nCLIENT TRACKINGINFO", "CLIENT CACHING YES", "CLIENT CACHING on"],
    // It applies to one request.
    &["CLIENT TRACKING on OPTIN", "CLIENT CACHING yes", "PING", "client trackinginfo"],
    &["CLIENT CACHING", "CLIENT CACHING yes", "CLIENT CACHING no", "CLIENT CACHING maybe",
      "CLIENT CACHING yes no"],
    &["CLIENT TRACKING on", "CLIENT CACHING yes", "CLIENT CACHING no", "CLIENT CACHING maybe"],
    &["CLIENT TRACKING on BCAST", "CLIENT CACHING yes", "CLIENT TRACKINGINFO"],
    &["CLIENT TRACKING on OPTIN OPTOUT", "CLIENT TRACKING on OPTIN BCAST",
      "CLIENT TRACKING on BCAST OPTOUT"],
    &["CLIENT TRACKING on BCAST", "CLIENT TRACKING on", "CLIENT TRACKING on OPTIN",
      "CLIENT TRACKING off", "CLIENT TRACKING on"],
    &["CLIENT TRACKING on", "CLIENT TRACKING on BCAST", "CLIENT TRACKING on BCAST OPTIN"],
    &["CLIENT TRACKING on OPTIN", "CLIENT TRACKING on OPTOUT", "CLIENT TRACKING on",
      "CLIENT TRACKINGINFO"],
    &["CLIENT TRACKING on OPTOUT", "CLIENT TRACKING on OPTIN", "CLIENT TRACKING on NOLOOP",
      "CLIENT TRACKINGINFO"],
    &["CLIENT TRACKING on PREFIX a", "CLIENT TRACKING on PREFIX", "CLIENT TRACKING on REDIRECT"],
    &["CLIENT TRACKING on BCAST PREFIX a PREFIX b NOLOOP", "CLIENT TRACKINGINFO",
      "CLIENT TRACKING on BCAST PREFIX c", "CLIENT TRACKINGINFO"],
    &["CLIENT TRACKING on BCAST PREFIX foo PREFIX foobar",
      "CLIENT TRACKING on BCAST PREFIX foobar PREFIX foo",
      "CLIENT TRACKING on BCAST PREFIX a PREFIX a"],
    &["CLIENT TRACKING on BCAST PREFIX foo", "CLIENT TRACKING on BCAST PREFIX foobar",
      "CLIENT TRACKING on BCAST PREFIX f", "CLIENT TRACKING on BCAST PREFIX foo",
      "CLIENT TRACKING on BCAST"],
    &["CLIENT TRACKING on REDIRECT x", "CLIENT TRACKING on REDIRECT 999999",
      "CLIENT TRACKING on REDIRECT -1", "CLIENT TRACKING on REDIRECT 0"],
    &["CLIENT TRACKING on REDIRECT {B.id} REDIRECT {B.id}", "CLIENT TRACKING on REDIRECT {B.id}",
      "CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT INFO"],
    &["CLIENT TRACKING on REDIRECT {id}", "CLIENT GETREDIR", "CLIENT TRACKING off REDIRECT 999999",
      "CLIENT TRACKING off", "CLIENT GETREDIR"],
    // The client that would receive the invalidations leaves.
    &["CLIENT TRACKING on REDIRECT {B.id}", "B: END: QUIT", "CLIENT GETREDIR",
      "CLIENT TRACKINGINFO"],
];

/// Without commands that close a client whose replies are off: Redis does not close it then, and
/// there would be nothing to wait for.
#[rustfmt::skip]
const REPLY: Table = &[
    &["CLIENT REPLY", "CLIENT REPLY ON", "CLIENT REPLY maybe", "CLIENT REPLY on off"],
    &["CLIENT REPLY OFF\r\nPING\r\nFOO\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON", "PING"],
    &["CLIENT REPLY off\r\nPING a b\r\nCLIENT REPLY maybe\r\nCLIENT REPLY on"],
    &["CLIENT REPLY SKIP\r\nECHO one\r\nECHO two", "CLIENT REPLY skip\r\nFOO\r\nECHO two"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nECHO one\r\nECHO two"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nECHO two"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nECHO one\r\nCLIENT REPLY ON"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY maybe\r\nECHO two"],
    &["CLIENT REPLY OFF\r\nHELLO 3\r\nCLIENT REPLY ON", "CLIENT GETNAME"],
    // Confirmations are still sent.
    &["CLIENT REPLY OFF\r\nSUBSCRIBE a b\r\nRESET", "PING"],
    &["CLIENT REPLY SKIP\r\nSUBSCRIBE a b\r\nPING"],
    &["HELLO 3", "CLIENT REPLY OFF\r\nSUBSCRIBE a\r\nPING\r\nCLIENT REPLY ON", "PING"],
    &["HELLO 3", "SUBSCRIBE a",
      "CLIENT REPLY OFF\r\nPING\r\nUNSUBSCRIBE\r\nPING\r\nCLIENT REPLY ON", "PING"],
    &["CLIENT REPLY OFF\r\nMONITOR\r\nRESET", "PING"],
    &["CLIENT REPLY SKIP\r\nRESET\r\nPING a", "PING"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nRESET\r\nPING a", "PING"],
    &["CLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nRESET\r\nPING a", "PING"],
    // An empty request is skipped like any other.
    &["CLIENT REPLY SKIP\r\n*0\r\nPING a", "CLIENT REPLY SKIP\r\n*-1\r\nPING a",
      "CLIENT REPLY SKIP\r\n\r\nPING a", "CLIENT REPLY SKIP\r\n \t \r\nPING a", "PING"],
    &["CLIENT REPLY OFF\r\n\r\nPING a\r\nCLIENT REPLY ON", "PING"],
    // Messages are still sent, in order.
    &["HELLO 3", "SUBSCRIBE a", "CLIENT REPLY OFF\r\nPUBLISH a x\r\nPING\r\nCLIENT REPLY ON",
      "CLIENT REPLY SKIP\r\nPUBLISH a x\r\nPING", "CLIENT REPLY SKIP\r\nSUBSCRIBE b\r\nPING",
      // In RESP2, a subscriber may not send CLIENT: nothing is answered any more.
      "END: CLIENT REPLY OFF\r\nPUBLISH b x\r\nHELLO 2\r\nCLIENT REPLY ON\r\nPING\r\nQUIT"],
    &["HELLO 3", "CLIENT REPLY SKIP\r\nUNSUBSCRIBE\r\nPING"],
];

#[rustfmt::skip]
const PUBSUB: Table = &[
    &["SUBSCRIBE", "SUBSCRIBE a b", "SUBSCRIBE a", "PING", "PING x", "PING x y", "UNSUBSCRIBE a c",
      "UNSUBSCRIBE", "UNSUBSCRIBE", "PING"],
    &["PSUBSCRIBE", "PSUBSCRIBE a* b*", "PSUBSCRIBE a*", "PING", "PUNSUBSCRIBE a* c",
      "PUNSUBSCRIBE b*", "PUNSUBSCRIBE", "PING"],
    &["SUBSCRIBE a", "SUBSCRIBE \"\"", "SUBSCRIBE a a", "UNSUBSCRIBE a a", "UNSUBSCRIBE \"\""],
    &["SUBSCRIBE a", "PSUBSCRIBE a", "UNSUBSCRIBE", "PING", "PUNSUBSCRIBE", "PING"],
    &["SUBSCRIBE a b c", "UNSUBSCRIBE"],
    &["PSUBSCRIBE a b c", "PUNSUBSCRIBE"],
    &["UNSUBSCRIBE", "UNSUBSCRIBE a b", "PUNSUBSCRIBE", "PUNSUBSCRIBE a b"],
    // Commands allowed to a subscriber in RESP2.
    &["SUBSCRIBE a", "ECHO x", "CLIENT LIST", "CLIENT FOO", "CLIENT", "ECHO", "AUTH x", "HELLO",
      "HELLO 3", "HELLO x", "FOO", "INFO", "COMMAND", "CLIENT ID", "SELECT 1", "PUBLISH a x",
      "CLIENT REPLY ON", "TIME"],
    &["SUBSCRIBE a", "RESET", "ECHO x"],
    &["SUBSCRIBE a", "END: QUIT"],
    &["HELLO 3", "SUBSCRIBE a", "HELLO 2", "ECHO x", "HELLO 3", "PING"],
    &["HELLO 3", "SUBSCRIBE a", "PING", "PING x", "ECHO x", "PUBLISH a hi", "UNSUBSCRIBE",
      "UNSUBSCRIBE", "PUBLISH a hi"],
    &["HELLO 3", "SUBSCRIBE a", "PSUBSCRIBE a*", "PUBLISH a hi", "PUBLISH ab hi", "PUBLISH b hi"],
    &["PUBLISH", "PUBLISH a", "PUBLISH a b", "PUBLISH a b c", "publish \"\" \"\""],
    // Messages from other clients.
    &["SUBSCRIBE a", "B: PUBLISH a hi", "", "B: PUBLISH b hi", "", r#"B: PUBLISH a "\r\n\x00\xff""#,
      ""],
    &["PSUBSCRIBE a?", "B: PUBLISH ab hi", "", "B: PUBLISH AB hi", "", "B: PUBLISH b hi", ""],
    &["SUBSCRIBE a", "PSUBSCRIBE *", "B: SUBSCRIBE a", "B: RESET", "B: PUBLISH a hi", "", "B: "],
    &["PSUBSCRIBE h[ae]llo", "B: PUBLISH hello 1", "", "B: PUBLISH hillo 2", ""],
    &["PSUBSCRIBE h\\*llo", "B: PUBLISH hello 1", "", "B: PUBLISH h*llo 2", ""],
    &["PSUBSCRIBE h[^x]llo h[a-c]?", "B: PUBLISH hello 1", "", "B: PUBLISH hxllo 2", "",
      "B: PUBLISH hb3 3", "", "B: PUBLISH hd3 4", ""],
    &["SUBSCRIBE a", "B: PUBLISH a one", "B: PUBLISH a two", "UNSUBSCRIBE a", "B: PUBLISH a three",
      ""],
    &["SUBSCRIBE a", "B: HELLO 3", "B: SUBSCRIBE a", "B: PUBLISH a hi", ""],
    &["PUBSUB", "PUBSUB FOO", "PUBSUB HELP", "PUBSUB HELP x", "pubsub channels"],
    &["PUBSUB CHANNELS", "PUBSUB CHANNELS a b", "PUBSUB CHANNELS *", "PUBSUB NUMSUB",
      "PUBSUB NUMSUB a b", "PUBSUB NUMPAT", "PUBSUB NUMPAT x"],
    &["B: SUBSCRIBE a ab b", "B: PSUBSCRIBE a* a*", "PUBSUB CHANNELS", "PUBSUB CHANNELS a*",
      "PUBSUB CHANNELS A", "PUBSUB NUMSUB a c a", "PUBSUB NUMPAT", "PUBLISH ab x"],
    &["B: PSUBSCRIBE a*", "PSUBSCRIBE a*", "PUNSUBSCRIBE", "PUBSUB NUMPAT", "PUBSUB CHANNELS"],
    // Sharded channels of a cluster.
    &["PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB", "SPUBLISH a b"],
];

#[rustfmt::skip]
const MONITOR: Table = &[
    &["MONITOR x", "MONITOR", "PING", "ECHO \"a b\"", "monitor", "RESET", "PING"],
    &["MONITOR", "CONFIG GET port", "AUTH x", "HELLO 2 AUTH default x", "HELLO 2 SETNAME me",
      "CLIENT ID", "INFO server", "FOO", "PING a b", "SELECT 3", "PING"],
    &["MONITOR", r#"ECHO "\"\\\r\n\t\a\b\x00\xff é""#, "ECHO \"\"", "COMMAND COUNT",
      "CLIENT GETNAME", "CLIENT LIST TYPE master", "TIME", "publish a b", "LATENCY LATEST",
      "SLOWLOG GET 0", "ACL WHOAMI", "CLIENT SETNAME x", "CLIENT KILL 1.1.1.1:1"],
    &["MONITOR", "B: PING", "B: SELECT 2", "B: ping Hi", "B: SUBSCRIBE a", "B: UNSUBSCRIBE",
      "B: END: QUIT", ""],
    &["MONITOR", "B: END: RESET\r\nQUIT", ""],
    &["MONITOR", "END: QUIT"],
    &["MONITOR", "B: MONITOR", "B: PING", "", "B: RESET", "B: PING", ""],
    &["HELLO 3", "MONITOR", "B: ECHO x", ""],
];

#[rustfmt::skip]
const COMMAND: Table = &[
    &["COMMAND", "command", "COMMAND FOO", "COMMAND \"\"", "COMMAND HELP", "COMMAND HELP x"],
    &["COMMAND COUNT", "COMMAND COUNT x"],
    &["COMMAND INFO", "COMMAND INFO ping", "COMMAND INFO PING foo echo", "COMMAND INFO client|id",
      "COMMAND INFO client|foo ping|x | client|", "COMMAND INFO client", "COMMAND INFO \"\""],
    &["COMMAND INFO subscribe shutdown debug cluster monitor",
      "COMMAND INFO acl config command latency pubsub slowlog",
      "COMMAND INFO get client|setinfo client|no-touch"],
    &["COMMAND DOCS", "COMMAND DOCS ping", "COMMAND DOCS foo Echo client|foo", "COMMAND DOCS foo",
      "COMMAND DOCS client", "COMMAND DOCS client|kill"],
    &["COMMAND LIST", "COMMAND LIST x", "COMMAND LIST FILTERBY", "COMMAND LIST FILTERBY FOO x",
      "COMMAND LIST FILTERBY PATTERN a b", "COMMAND LIST FOO PATTERN a"],
    &["COMMAND LIST FILTERBY MODULE x", "COMMAND LIST FILTERBY ACLCAT connection",
      "COMMAND LIST FILTERBY ACLCAT foo", "command list filterby aclcat DANGEROUS",
      "COMMAND LIST FILTERBY ACLCAT \"\""],
    &["COMMAND LIST FILTERBY PATTERN c*", "COMMAND LIST FILTERBY PATTERN CLIENT*",
      "COMMAND LIST FILTERBY PATTERN ping", "COMMAND LIST FILTERBY PATTERN foo"],
    &["COMMAND GETKEYS", "COMMAND GETKEYS ping", "COMMAND GETKEYS ping x", "COMMAND GETKEYS foo x",
      "COMMAND GETKEYS client id", "COMMAND GETKEYS client foo", "COMMAND GETKEYS echo a b c"],
    &["COMMAND GETKEYSANDFLAGS", "COMMAND GETKEYSANDFLAGS ping x", "COMMAND GETKEYSANDFLAGS foo x",
      "COMMAND GETKEYSANDFLAGS client foo"],
    &["COMMAND GETKEYS command count", "COMMAND GETKEYS command foo",
      "COMMAND GETKEYS CLIENT|ID x"],
];

#[rustfmt::skip]
const CONFIG: Table = &[
    &["CONFIG", "CONFIG FOO", "CONFIG HELP", "CONFIG HELP x", "CONFIG GET", "CONFIG SET",
      "CONFIG SET timeout", "CONFIG RESETSTAT", "CONFIG RESETSTAT x", "CONFIG REWRITE",
      "CONFIG REWRITE x"],
    &["CONFIG GET *", "CONFIG GET timeout", "config get timeout", "CONFIG GET TIMEOUT",
      "CONFIG GET TIMEOU?", "CONFIG GET TIMEOUT timeout", "CONFIG GET timeou? TIMEOUT",
      "CONFIG GET Timeout timeou?", "CONFIG GET timeou?", "CONFIG GET timeout t[i]meout",
      "CONFIG GET nonsense", "CONFIG GET nonsense foo*"],
    &["CONFIG GET maxclients", "CONFIG GET tcp-*", "CONFIG GET slowlog-*", "CONFIG GET latency-*",
      "CONFIG GET save", "CONFIG GET appendonly", "CONFIG GET databases", "CONFIG GET bind",
      "CONFIG GET requirepass", "CONFIG GET loglevel", "CONFIG GET enable-debug-command",
      "CONFIG GET proto-max-bulk-len", "CONFIG GET port", "CONFIG GET unixsocket*"],
    &["CONFIG SET foo 1", "CONFIG SET timeout 1 foo 2", "CONFIG GET timeout",
      "CONFIG SET timeout 1 maxclients", "CONFIG SET timeout 1 timeout 2", "CONFIG SET \"\" x",
      r#"CONFIG SET "a\x00b" x"#],
    &["CONFIG SET timeout x", "CONFIG SET timeout -1", "CONFIG SET timeout 2147483648",
      "CONFIG SET TIMEOUT \"\"", "CONFIG SET timeout 1 loglevel foo", "CONFIG GET timeout",
      "CONFIG SET timeout 100", "CONFIG GET timeout", "CONFIG SET timeout 0"],
    &["CONFIG SET loglevel foo", "CONFIG SET loglevel verbose", "CONFIG GET loglevel",
      "CONFIG SET loglevel NOTICE", "CONFIG GET loglevel"],
    &["CONFIG SET latency-tracking maybe", "CONFIG SET latency-tracking no",
      "CONFIG GET latency-tracking", "CONFIG SET latency-tracking YES"],
    &["CONFIG SET latency-tracking-info-percentiles x",
      "CONFIG SET latency-tracking-info-percentiles \"50 101\"",
      "CONFIG SET latency-tracking-info-percentiles \"50 99.9\"",
      "CONFIG GET latency-tracking-info-percentiles",
      "CONFIG SET latency-tracking-info-percentiles \"\"",
      "CONFIG GET latency-tracking-info-percentiles",
      "CONFIG SET latency-tracking-info-percentiles \"50 99 99.9\""],
    &["CONFIG SET proto-max-bulk-len x", "CONFIG SET proto-max-bulk-len 1",
      "CONFIG SET proto-max-bulk-len 1mb", "CONFIG GET proto-max-bulk-len",
      "CONFIG SET proto-max-bulk-len 512mb", "CONFIG SET proto-max-bulk-len 2kbb"],
    &["CONFIG SET client-output-buffer-limit \"normal 1\"",
      "CONFIG SET client-output-buffer-limit \"normal 0 0 0 pubsub\"",
      "CONFIG SET client-output-buffer-limit \"other 0 0 0\"",
      "CONFIG SET client-output-buffer-limit \"master 0 0 0\"",
      "CONFIG SET client-output-buffer-limit \"normal x 0 0\"",
      "CONFIG SET client-output-buffer-limit \"normal 0 -1 0\"",
      "CONFIG SET client-output-buffer-limit \"normal 0 0 1x\"",
      "CONFIG SET client-output-buffer-limit \"normal 0 0 -1\"",
      "CONFIG SET client-output-buffer-limit \"normal x 0 0 other 0 0 0\"",
      "CONFIG SET client-output-buffer-limit \"Normal 0 0 0 SLAVE 1kb 1 1\""],
    &["CONFIG SET unixsocket /a", "CONFIG SET unixsocketperm 700", "CONFIG SET tcp-backlog 1", "CONFIG SET databases 16", "CONFIG SET enable-debug-command yes",
      "CONFIG SET cluster-enabled no", "CONFIG SET timeout 1 databases 3",
      "CONFIG SET databases 3 foo 2", "CONFIG SET foo 2 databases 3"],
    &["CONFIG SET tcp-keepalive -1", "CONFIG SET tcp-keepalive 300",
      "CONFIG SET slowlog-max-len -1", "CONFIG SET slowlog-max-len 128",
      "CONFIG SET slowlog-log-slower-than -2", "CONFIG SET slowlog-log-slower-than 10000",
      "CONFIG SET latency-monitor-threshold -1", "CONFIG SET latency-monitor-threshold 0"],
    &["CONFIG SET maxclients 0", "CONFIG SET maxclients x", "CONFIG SET maxclients 1000",
      "CONFIG GET maxclients", "CONFIG SET maxclients 10000"],
    &["B: PING", "CONFIG SET requirepass secret", "PING", "B: PING", "B: AUTH secret", "B: PING",
      "CONFIG SET requirepass \"\"", "CONFIG GET requirepass"],
    // Directives without effect here. Each is set back.
    &["CONFIG SET save \"3600 1 300 100\"", "CONFIG GET save", "CONFIG SET save \"3600 1 300\"",
      "CONFIG SET save \"0 1\"", "CONFIG SET save \" 10 5\"", "CONFIG SET save \"1 -1\"",
      "CONFIG SET save x", "CONFIG SET save \"1 0\"", "CONFIG GET save", "CONFIG SET save \"\"",
      "CONFIG GET save"],
    &["CONFIG SET appendonly maybe", "CONFIG SET appendonly no", "CONFIG SET appendfsync x",
      "CONFIG SET appendfsync ALWAYS", "CONFIG GET append*", "CONFIG SET appendfsync everysec"],
    &["CONFIG SET maxmemory 100mb maxmemory-policy ALLKEYS-LRU", "CONFIG GET maxmemory*",
      "INFO memory", "CONFIG SET maxmemory x", "CONFIG SET maxmemory -1", "CONFIG SET maxmemory 50%",
      "CONFIG SET maxmemory 1kbb", "CONFIG SET maxmemory 1.5gb", "CONFIG SET maxmemory 1G",
      "CONFIG GET maxmemory", "CONFIG SET maxmemory \"\"", "CONFIG GET maxmemory",
      "CONFIG SET maxmemory-policy foo", "CONFIG SET maxmemory-policy noeviction",
      "CONFIG SET maxmemory 5 maxmemory-policy foo", "CONFIG GET maxmemory",
      "CONFIG SET maxmemory-policy noeviction timeout x", "CONFIG GET maxmemory-policy"],
    &["CONFIG SET hz 20", "INFO server", "CONFIG GET HZ", "CONFIG SET hz x", "CONFIG SET hz -1",
      "CONFIG SET hz 0", "CONFIG GET hz", "CONFIG SET hz 1000", "CONFIG GET hz", "CONFIG SET hz 010",
      "CONFIG SET hz 10 hz 11", "CONFIG SET hz 10"],
    &["CONFIG SET lua-time-limit 7", "CONFIG GET busy-reply-threshold lua-time-limit",
      "CONFIG SET busy-reply-threshold 8 lua-time-limit 9", "CONFIG GET *time-limit",
      "CONFIG SET lua-time-limit -1", "CONFIG SET lua-time-limit 5000"],
    &["CONFIG SET notify-keyspace-events KEA", "CONFIG GET notify-keyspace-events",
      "CONFIG SET notify-keyspace-events gxE", "CONFIG GET notify-keyspace-events",
      "CONFIG SET notify-keyspace-events Kn", "CONFIG GET notify-keyspace-events",
      "CONFIG SET notify-keyspace-events mtd", "CONFIG GET notify-keyspace-events",
      "CONFIG SET notify-keyspace-events g$lshzxetdKEmn", "CONFIG GET notify-keyspace-events",
      "CONFIG SET notify-keyspace-events Q", "CONFIG SET notify-keyspace-events \"\"",
      "CONFIG GET notify-keyspace-events"],
    &["CONFIG SET stop-writes-on-bgsave-error maybe", "CONFIG SET stop-writes-on-bgsave-error NO",
      "CONFIG GET stop-writes-on-bgsave-error", "CONFIG SET stop-writes-on-bgsave-error yes"],
    &["CONFIG SET slave-read-only no", "CONFIG GET *read-only", "CONFIG SET replica-read-only maybe",
      "CONFIG SET replica-read-only yes", "CONFIG GET *read-only"],
    &["CONFIG SET repl-backlog-size 1", "CONFIG GET repl-backlog-size", "INFO replication",
      "CONFIG SET repl-backlog-size 1mb", "CONFIG SET repl-timeout 0",
      "CONFIG SET list-max-ziplist-size -6", "CONFIG GET list-max-*", "CONFIG SET list-max-listpack-size -2",
      "CONFIG SET maxmemory-samples 0", "CONFIG SET hash-max-ziplist-value 1kb",
      "CONFIG GET hash-max-*", "CONFIG SET hash-max-listpack-value 64",
      "CONFIG SET set-max-intset-entries 1kb", "CONFIG SET repl-diskless-load foo"],
    &["CONFIG SET port x", "CONFIG SET logfile x", "CONFIG SET workers x",
      r#"CONFIG SET loglevel "\xff""#],
];

#[rustfmt::skip]
const KEYSPACE: Table = &[
    &["DBSIZE", "dbsize", "DBSIZE x", "ROLE", "role", "ROLE x"],
    &["READONLY", "READONLY x", "READWRITE", "READWRITE x", "ASKING", "ASKING x"],
    &["SCAN", "SCAN 0", "scan 0", "SCAN 5", "SCAN -1", "SCAN +1", "SCAN 01", "SCAN \"\"",
      "SCAN 18446744073709551615", "SCAN -18446744073709551615", "SCAN 18446744073709551616",
      "SCAN x", "SCAN 1x", "SCAN -", "SCAN +-1", "SCAN \" 1\"", "SCAN \"1 \"", "SCAN 0x10",
      r#"SCAN "1\x00x""#, r#"SCAN "\x00""#, r#"SCAN "\t1""#, r#"SCAN "\xff""#],
    &["SCAN 0 MATCH a* COUNT 3 TYPE string", "scan 0 count 1 match x", "SCAN 0 TYPE nonsense",
      "SCAN 0 MATCH a MATCH b", "SCAN 0 COUNT 9223372036854775807"],
    &["SCAN 0 COUNT", "SCAN 0 COUNT 0", "SCAN 0 COUNT -1", "SCAN 0 COUNT x", "SCAN 0 COUNT 1.0",
      "SCAN 0 COUNT 99999999999999999999", "SCAN 0 FOO", "SCAN 0 FOO x", "SCAN 0 MATCH",
      "SCAN 0 TYPE", "SCAN 0 COUNT 1 MATCH", "SCAN 0 COUNT 0 FOO", "SCAN 0 FOO COUNT",
      "SCAN 0 COUNT x FOO", "SCAN 0 FOO x COUNT x", "SCAN x FOO"],
    &["SUBSCRIBE a", "SCAN 0", "DBSIZE", "ROLE", "READONLY"],
];

#[rustfmt::skip]
const SERVER: Table = &[
    &["INFO", "INFO default", "INFO all", "INFO everything", "INFO nonsense", "INFO \"\"",
      "INFO nonsense clients"],
    &["INFO server", "INFO SERVER clients", "INFO memory persistence", "INFO stats",
      "INFO replication", "INFO cpu", "INFO cluster", "INFO keyspace", "info clients Clients"],
    &["CONFIG RESETSTAT", "PING", "PING a b", "SELECT x", "SELECT", "FOO", "CLIENT FOO",
      "INFO commandstats", "INFO errorstats"],
    &["CONFIG RESETSTAT", "TIME", "SELECT x", "SELECT", "CLIENT ID", "INFO latencystats"],
    &["CLUSTER", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER HELP", "CLUSTER FOO", "CLUSTER SLOTS x"],
    &["LOLWUT", "LOLWUT VERSION", "LOLWUT VERSION x", "LOLWUT VERSION 5 1 1 1 1 1", "LOLWUT x"],
    &["SHUTDOWN FOO", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN NOSAVE SAVE", "SHUTDOWN ABORT",
      "shutdown abort", "SHUTDOWN NOW ABORT", "SHUTDOWN ABORT NOW", "SHUTDOWN ABORT ABORT",
      "SHUTDOWN NOSAVE ABORT FORCE", "SHUTDOWN ABORT FOO"],
    &["DEBUG", "DEBUG SLEEP 0", "DEBUG FOO", "DEBUG HELP", "DEBUG SLEEP"],
];

#[rustfmt::skip]
const SLOWLOG: Table = &[
    &["SLOWLOG", "SLOWLOG FOO", "SLOWLOG HELP", "SLOWLOG HELP x"],
    // No request is slow on any machine.
    &["CONFIG SET slowlog-log-slower-than -1", "SLOWLOG RESET", "SLOWLOG GET", "SLOWLOG GET 0",
      "SLOWLOG GET -1", "SLOWLOG LEN", "SLOWLOG LEN x", "SLOWLOG RESET x",
      "SLOWLOG GET 9223372036854775807"],
    &["SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG GET 1 2", "SLOWLOG GET 99999999999999999999",
      "SLOWLOG GET \"\""],
    // Every request is slow.
    &["CONFIG SET slowlog-log-slower-than 0", "SLOWLOG RESET", "PING x", "CLIENT SETNAME me",
      "HELLO 2 AUTH default x", "AUTH x y", "ECHO a b", "FOO", "SELECT x",
      "CONFIG SET requirepass \"\"", "SLOWLOG GET", "SLOWLOG LEN", "SLOWLOG GET 2",
      "SLOWLOG GET -1", "CONFIG SET slowlog-log-slower-than -1", "SLOWLOG RESET", "SLOWLOG LEN"],
];

#[rustfmt::skip]
const LATENCY: Table = &[
    &["LATENCY", "LATENCY FOO", "LATENCY HELP", "LATENCY HELP x", "latency latest"],
    &["LATENCY LATEST", "LATENCY LATEST x", "LATENCY HISTORY", "LATENCY HISTORY command",
      "LATENCY HISTORY foo bar", "LATENCY RESET", "LATENCY RESET a b"],
    &["CONFIG RESETSTAT", "LATENCY HISTOGRAM foo", "SLOWLOG RESET", "SLOWLOG RESET", "HELLO 3",
      "CONFIG GET port", "LATENCY HISTOGRAM slowlog hello foo", "LATENCY HISTOGRAM SLOWLOG|RESET",
      "LATENCY HISTOGRAM slowlog slowlog", "LATENCY HISTOGRAM config|get slowlog|reset"],
    &["CONFIG RESETSTAT", "LATENCY HISTOGRAM", "CLIENT SETNAME a", "LATENCY HISTOGRAM client"],
    &["LATENCY DOCTOR", "LATENCY GRAPH command", "LATENCY DOCTOR x", "LATENCY GRAPH"],
];

#[rustfmt::skip]
const ACL: Table = &[
    &["ACL", "ACL FOO", "ACL HELP", "ACL HELP x"],
    &["ACL WHOAMI", "ACL WHOAMI x", "ACL LIST", "ACL LIST x", "ACL USERS", "ACL USERS x"],
    &["ACL CAT", "ACL CAT foo", "ACL CAT connection", "ACL CAT Dangerous", "ACL CAT fast",
      "ACL CAT slow", "ACL CAT keyspace", "ACL CAT a b", r#"ACL CAT "a\r\nb""#],
    &["ACL CAT admin", "ACL CAT pubsub", "ACL CAT read", "ACL CAT write", "ACL CAT blocking",
      "ACL CAT scripting", "ACL CAT transaction"],
    &["ACL GETUSER default"],
];

#[rustfmt::skip]
const UNKNOWN: Table = &[
    &["FOO", "foo bar baz", "FOO \"\"", "\"\"", "FOO \"a b\" 'c'", r#"FOO "a\x00b" c"#,
      r#""F\x00O" a"#, r#"FOO "a\r\nb""#, r#""F\r\nO""#, r#""\xff" "\xff""#],
    &["PING|X", "CLIENT|ID", "SENTINEL MASTERS", "GET a", "MODULE LIST"],
    &["END: POST / HTTP/1.1"],
    &["END: post / HTTP/1.0\r\nHost: localhost\r\n\r\nPING"],
    &["END: GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPING"],
    &["END: POST x"],
    // An array is not HTTP, and neither is a line of another length.
    &["RAW: *3\r\n$3\r\nFOO\r\n$1\r\n/\r\n$8\r\nHTTP/1.1\r\n", "FOO HTTP/1.1", "FOO a b HTTP/1.1",
      "FOO / http/1.1", "FOO / HTTP/2"],
    &["END: host: localhost"],
    &["END: Host: localhost\r\nPING"],
    &["HOST: x", "POSTS"],
];

/// Without a NUL in the header of a bulk string: Redis does not see the line end and waits for
/// another. respool replies with an error at once.
#[rustfmt::skip]
const PROTOCOL: Table = &[
    &["RAW: *1\r\n$4\r\nPING\r\n", "RAW: *2\r\n$4\r\nPING\r\n$0\r\n\r\n",
      "RAW: *2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n", "RAW: *1\r\n$4\r\npingXX", "RAW: PING\n",
      "RAW: *01\r\n$4\r\nPING\r\n"],
    &["RAW: *0\r\n", "RAW: *-1\r\n", "RAW: *-99\r\n", "RAW: \r\n", "RAW: \n",
      "RAW: \r\n\r\n \t \r\n", "RAW: *1\r\n$0\r\n\r\n", "  PING  \t", "PING 'x y' \"a\"",
      r"PING '\'x\n'"],
    &["END: RAW: *x\r\n"],
    &["RAW: \u{16}\u{3}\n", "RAW: \u{16}\u{3}\u{5}\n", "RAW: \u{16}\u{2}\u{1}\n"],
    &["END: RAW: *\r\n"],
    &["END: RAW: *+1\r\n"],
    &["END: RAW: * 1\r\n"],
    &["END: RAW: *1.0\r\n"],
    &["END: RAW: *2147483648\r\n"],
    &["END: RAW: *99999999999999999999\r\n"],
    &["END: RAW: *1\r\nPING\r\n"],
    &["END: RAW: *1\r\n+PING\r\n"],
    &["END: RAW: *1\r\n\r\n"],
    &["END: RAW: *1\r\n\u{ff}\r\n"],
    &["END: RAW: *1\r\n\n\r\n"],
    &["END: RAW: *1\r\n*1\r\n$4\r\nPING\r\n"],
    &["END: RAW: *1\r\n$x\r\n"],
    &["END: RAW: *1\r\n$\r\n"],
    &["END: RAW: *1\r\n$-1\r\n"],
    &["END: RAW: *1\r\n$536870913\r\n"],
    &["END: RAW: *1\r\n$99999999999999999999\r\n"],
    &["END: RAW: *2\r\n$4\r\nPING\r\n:1\r\n"],
    // Earlier requests are answered, later ones are not.
    &["END: RAW: *1\r\n$4\r\nPING\r\n*x\r\nPING\r\n"],
    &["END: PING \"x"],
    &["END: PING 'x"],
    &["END: PING \"x\"y"],
    &["END: PING\r\nPING 'x'y\r\nPING"],
    &["CLIENT REPLY ON", "END: CLIENT REPLY SKIP\r\nPING\r\nPING \"x"],
    &["SUBSCRIBE a", "END: PING \"x"],
];

/// Names, arguments and lines at the limits of their lengths.
fn long_ones() -> Vec<Vec<String>> {
    let x = |count: usize| "x".repeat(count);
    // The longest line, and one byte more.
    let line_max = 64 * 1024;
    let long_words = [127, 128, 129, 300].map(|count| {
        vec![
            format!("{} a", x(count)),
            format!("FOO {} b c", x(count)),
            format!("FOO {} b c", x(count - 6)),
            format!("FOO a {} b c", x(count - 3)),
            format!("CLIENT {}", x(count)),
            format!("PUBSUB CHANNELS {} a", x(count)),
            format!("CONFIG SET {} a", x(count)),
            format!("ACL CAT {}", x(count)),
            format!("SLOWLOG GET {} a", x(count)),
        ]
    });
    let mut all = long_words.to_vec();
    all.extend([
        vec![format!("PING {}", x(line_max - "PING \r".len()))],
        vec![format!(
            "RAW: *2\r\n$4\r\nECHO\r\n$100000\r\n{}\r\n",
            x(100_000)
        )],
        vec![
            "COMMAND INFO{ no x1024}".into(),
            "COMMAND DOCS{ no x1024}".into(),
        ],
        vec![
            "CLIENT SETNAME {x1024}".into(),
            "CLIENT SETNAME {x1025}".into(),
            "HELLO 2 SETNAME {x1025}".into(),
            "PUBLISH {x1024} a".into(),
            "PUBLISH {x1025} a".into(),
            "CLIENT TRACKING on BCAST {257 prefixes}".into(),
        ],
        vec![
            "SUBSCRIBE {x1024}".into(),
            "UNSUBSCRIBE".into(),
            "SUBSCRIBE {x1025}".into(),
        ],
        vec![
            "COMMAND INFO{ no x1025}".into(),
            "COMMAND DOCS{ no x1025}".into(),
            "CONFIG GET *{x1025}".into(),
            "CONFIG GET{ no x1025}".into(),
            "COMMAND LIST FILTERBY PATTERN *{x1025}".into(),
            "PUBSUB CHANNELS *{x1025}".into(),
            "LATENCY HISTOGRAM{ no x1025}".into(),
        ],
        vec![format!("FOO{}", " a".repeat(100))],
        vec![format!("END: RAW: {}", x(line_max + 1))],
        vec![format!("END: RAW: *{}", "1".repeat(line_max))],
        vec![format!("END: RAW: *1\r\n${}", "1".repeat(line_max))],
    ]);
    all
}

/// Requests before and after authentication.
#[rustfmt::skip]
const WITH_A_PASSWORD: Table = &[
    // Existence is checked first, then the arity, then authentication.
    &["PING", "ECHO x", "FOO", "FOO a", "PING a b", "ECHO", "CLIENT", "CLIENT FOO",
      "CLIENT SETNAME", "CLIENT ID", "COMMAND", "COMMAND FOO", "COMMAND COUNT", "INFO",
      "CONFIG GET port", "TIME", "TIME x", "SELECT x"],
    &["SUBSCRIBE a", "UNSUBSCRIBE", "PUBLISH a b", "MONITOR", "SLOWLOG GET", "LATENCY LATEST",
      "ACL WHOAMI", "DEBUG SLEEP 0", "SHUTDOWN NOSAVE", "LOLWUT", "CLUSTER SLOTS",
      "PUBSUB CHANNELS", "CLIENT REPLY OFF", "CLIENT KILL x"],
    &["AUTH", "AUTH a b c", "AUTH wrong", "PING", "AUTH \"\"", "AUTH secret2", "AUTH secre",
      "AUTH other secret", "AUTH Default secret", "AUTH default wrong", "PING", "AUTH secret",
      "PING", "AUTH wrong", "PING", "AUTH default secret"],
    &["HELLO", "HELLO 2", "HELLO 3", "HELLO 4", "HELLO x", "HELLO 3 SETNAME x", "HELLO 3 FOO",
      "HELLO 3 SETNAME \"a b\"", "HELLO 3 AUTH default", "HELLO 3 AUTH default wrong",
      "HELLO 3 AUTH other secret", "PING"],
    &["HELLO 3 AUTH default secret", "PING", "CLIENT GETNAME", "hello", "RESET", "PING", "HELLO 3",
      "AUTH secret", "PING", "CLIENT GETNAME"],
    &["HELLO 2 SETNAME me AUTH default secret", "CLIENT GETNAME", "HELLO 2 AUTH default wrong",
      "PING"],
    // The name is invalid, the password is right.
    &["HELLO 3 AUTH default secret SETNAME \"a b\"", "ping"],
    &["HELLO 3 AUTH default secret FOO", "ping"],
    &["HELLO 3 AUTH default wrong FOO", "HELLO 3 SETNAME \"a b\" FOO",
      "HELLO 3 FOO SETNAME \"a b\"", "PING"],
    &["HELLO 4 AUTH default secret", "PING"],
    &["AUTH secret", "ACL WHOAMI", "ACL LIST", "ACL USERS", "CONFIG GET requirepass", "RESET",
      "ACL WHOAMI"],
    &["RESET", "RESET x", "PING"],
    &["END: QUIT"],
    &["END: QUIT x"],
    &["END: PING\r\nQUIT\r\nPING"],
    &["END: POST x"],
    &["END: RAW: *x\r\n"],
    &["END: PING \"x"],
    // The password is removed, and another one is set.
    &["B: PING", "AUTH secret", "CONFIG SET requirepass \"\"", "B: PING", "PING", "AUTH secret",
      "AUTH default x", "CONFIG SET requirepass secret", "PING", "B: PING", "B: AUTH secret",
      "B: PING"],
    &["AUTH secret", "CONFIG SET requirepass other", "PING", "B: AUTH secret", "B: AUTH other",
      "CONFIG SET requirepass secret", "PING", "B: PING"],
    &["AUTH secret", "MONITOR", "B: AUTH secret", "B: AUTH wrong",
      "B: HELLO 2 AUTH default secret SETNAME me", "B: CONFIG SET requirepass secret", "B: PING",
      ""],
    &["AUTH secret", "CONFIG SET slowlog-log-slower-than 0", "SLOWLOG RESET", "B: PING",
      "B: AUTH wrong", "B: AUTH secret", "B: HELLO 2 AUTH default secret SETNAME me",
      "CONFIG SET requirepass secret timeout 0", "SLOWLOG GET",
      "CONFIG SET slowlog-log-slower-than 10000"],
];

/// Requests at the limits before authentication, beyond them, and after authentication.
fn limits_before_the_password() -> Vec<Vec<String>> {
    let array = |count: usize| format!("RAW: *{count}\r\n{}", "$1\r\na\r\n".repeat(count));
    let bulk = |count: usize| {
        format!(
            "RAW: *2\r\n$4\r\nECHO\r\n${count}\r\n{}\r\n",
            "x".repeat(count)
        )
    };
    vec![
        vec![array(9), array(10)],
        vec!["END: RAW: *11\r\n".into()],
        vec!["END: RAW: *1000000\r\n".into()],
        vec!["END: RAW: *2147483648\r\n".into()],
        vec![
            auth(),
            array(11),
            "RESET".into(),
            array(10),
            "END: RAW: *11\r\n".into(),
        ],
        vec![bulk(16_383), bulk(16_384)],
        vec!["END: RAW: *2\r\n$4\r\nECHO\r\n$16385\r\n".into()],
        vec!["END: RAW: *1\r\n$536870913\r\n".into()],
        vec![
            auth(),
            bulk(16_385),
            "RESET".into(),
            bulk(16_384),
            "END: RAW: *1\r\n$16385\r\n".into(),
        ],
        // A line has no such limit.
        vec![
            format!("FOO{}", " a".repeat(20)),
            format!("PING {}", "x".repeat(20_000)),
        ],
    ]
}

#[rustfmt::skip]
const WITH_DEBUG: Table = &[
    &["DEBUG", "DEBUG SLEEP 0", "debug sleep 0.001", "DEBUG SLEEP x", "DEBUG SLEEP \"\"",
      "DEBUG SLEEP -1", "DEBUG SLEEP", "DEBUG SLEEP 0 0"],
    &["DEBUG FOO", "DEBUG FOO bar", "DEBUG HELP", "DEBUG HELP x", "DEBUG \"\"",
      "DEBUG SET-ACTIVE-EXPIRE 1", "CONFIG GET enable-debug-command"],
];

#[rustfmt::skip]
const WITH_A_FILE: Table = &[
    &["CONFIG REWRITE", "CONFIG SET timeout 100", "config rewrite", "CONFIG SET timeout 0",
      "CONFIG REWRITE"],
];

#[rustfmt::skip]
const WITH_A_LOST_FILE: Table = &[
    &["CONFIG REWRITE"],
];

#[rustfmt::skip]
const STOPPED: Table = &[
    &["PING", "END: SHUTDOWN NOSAVE"],
];
