//! The requests of the hogs: each built-in command, with arguments that are expensive to answer.

/// A command to measure.
pub struct Row {
    /// The full name in COMMAND LIST.
    pub command: &'static str,
    /// The requests that each hog repeats.
    pub requests: &'static str,
}

impl Row {
    /// Returns the requests on one line, cut to the width of a column.
    pub fn title(&self) -> String {
        let line = self.requests.trim_end().replace("\r\n", " + ");
        match line.char_indices().nth(50) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }
}

const fn row(command: &'static str, requests: &'static str) -> Row {
    Row { command, requests }
}

/// Commands that end the client or the server.
pub const NOT_TRIED: [&str; 2] = ["quit", "shutdown"];

pub const ROWS: &[Row] = &[
    row("ping", "PING\r\n"),
    row(
        "ping",
        "PING 12345678901234567890123456789012345678901234567890\r\n",
    ),
    row(
        "echo",
        "ECHO 12345678901234567890123456789012345678901234567890\r\n",
    ),
    row("time", "TIME\r\n"),
    row("select", "SELECT 1\r\n"),
    row("hello", "HELLO 3\r\n"),
    row("hello", "HELLO 2 SETNAME hog\r\n"),
    row("auth", "AUTH wrong\r\n"),
    row("reset", "RESET\r\n"),
    row("lolwut", "LOLWUT\r\n"),
    row("lolwut", "LOLWUT VERSION 5 80 40 40\r\n"),
    row("debug", "DEBUG SLEEP 0\r\n"),
    row("monitor", "MONITOR\r\nECHO hog\r\n"),
    row("info", "INFO\r\n"),
    row("info", "INFO everything\r\n"),
    row("info", "INFO commandstats latencystats errorstats\r\n"),
    row("acl", "ACL\r\n"),
    row("acl|cat", "ACL CAT\r\n"),
    row("acl|cat", "ACL CAT connection\r\n"),
    row("acl|help", "ACL HELP\r\n"),
    row("acl|list", "ACL LIST\r\n"),
    row("acl|users", "ACL USERS\r\n"),
    row("acl|whoami", "ACL WHOAMI\r\n"),
    row("client", "CLIENT\r\n"),
    row("client|caching", "CLIENT CACHING YES\r\n"),
    row("client|getname", "CLIENT GETNAME\r\n"),
    row("client|getredir", "CLIENT GETREDIR\r\n"),
    row("client|help", "CLIENT HELP\r\n"),
    row("client|id", "CLIENT ID\r\n"),
    row("client|info", "CLIENT INFO\r\n"),
    row("client|kill", "CLIENT KILL ADDR 10.1.1.1:1\r\n"),
    row("client|kill", "CLIENT KILL 10.1.1.1:1\r\n"),
    row("client|kill", "CLIENT KILL ID 99999999\r\n"),
    row("client|kill", "CLIENT KILL TYPE pubsub\r\n"),
    row("client|kill", "CLIENT KILL LADDR 10.1.1.1:1 SKIPME yes\r\n"),
    row("client|list", "CLIENT LIST\r\n"),
    row("client|list", "CLIENT LIST TYPE pubsub\r\n"),
    row("client|list", "CLIENT LIST ID 1 2 3 4 5 6 7 8 9 10\r\n"),
    row(
        "client|no-evict",
        "CLIENT NO-EVICT ON\r\nCLIENT NO-EVICT OFF\r\n",
    ),
    row("client|no-touch", "CLIENT NO-TOUCH ON\r\n"),
    row("client|pause", "CLIENT PAUSE 0\r\n"),
    row("client|pause", "CLIENT PAUSE 1 WRITE\r\n"),
    row("client|pause", "CLIENT PAUSE 1 WRITE\r\nCLIENT UNPAUSE\r\n"),
    row("client|reply", "CLIENT REPLY ON\r\n"),
    row("client|reply", "CLIENT REPLY SKIP\r\nINFO everything\r\n"),
    row("client|reply", "CLIENT REPLY OFF\r\nCOMMAND DOCS\r\n"),
    row("client|setinfo", "CLIENT SETINFO LIB-NAME hog\r\n"),
    row("client|setname", "CLIENT SETNAME hog\r\n"),
    row(
        "client|tracking",
        "CLIENT TRACKING ON\r\nCLIENT TRACKING OFF\r\n",
    ),
    row("client|trackinginfo", "CLIENT TRACKINGINFO\r\n"),
    row("client|unblock", "CLIENT UNBLOCK 99999999\r\n"),
    row("client|unpause", "CLIENT UNPAUSE\r\n"),
    row("cluster", "CLUSTER INFO\r\n"),
    row("asking", "ASKING\r\n"),
    row("readonly", "READONLY\r\n"),
    row("readwrite", "READWRITE\r\n"),
    row("role", "ROLE\r\n"),
    row("dbsize", "DBSIZE\r\n"),
    row("scan", "SCAN 0 MATCH *a*e* COUNT 1000 TYPE string\r\n"),
    row("command", "COMMAND\r\n"),
    row("command|count", "COMMAND COUNT\r\n"),
    row("command|docs", "COMMAND DOCS\r\n"),
    row("command|docs", "COMMAND DOCS PING ECHO\r\n"),
    row("command|getkeys", "COMMAND GETKEYS PING\r\n"),
    row(
        "command|getkeysandflags",
        "COMMAND GETKEYSANDFLAGS PING\r\n",
    ),
    row("command|help", "COMMAND HELP\r\n"),
    row("command|info", "COMMAND INFO\r\n"),
    row("command|info", "COMMAND INFO PING ECHO CLIENT\r\n"),
    row("command|list", "COMMAND LIST\r\n"),
    row("command|list", "COMMAND LIST FILTERBY PATTERN *a*e*\r\n"),
    row("config", "CONFIG\r\n"),
    row("config|get", "CONFIG GET *\r\n"),
    row("config|get", "CONFIG GET *a*e*i*o*\r\n"),
    row("config|help", "CONFIG HELP\r\n"),
    row("config|resetstat", "CONFIG RESETSTAT\r\n"),
    row("config|rewrite", "CONFIG REWRITE\r\n"),
    row(
        "config|rewrite",
        "CONFIG SET timeout 0\r\nCONFIG REWRITE\r\n",
    ),
    row("config|set", "CONFIG SET timeout 0\r\n"),
    row(
        "config|set",
        "CONFIG SET maxclients 5000\r\nCONFIG SET maxclients 5001\r\n",
    ),
    row("config|set", "CONFIG SET requirepass \"\"\r\n"),
    row("config|set", "CONFIG SET workers 2\r\n"),
    row("latency", "LATENCY\r\n"),
    row("latency|help", "LATENCY HELP\r\n"),
    row("latency|histogram", "LATENCY HISTOGRAM\r\n"),
    row("latency|history", "LATENCY HISTORY command\r\n"),
    row("latency|latest", "LATENCY LATEST\r\n"),
    row("latency|reset", "LATENCY RESET\r\n"),
    row("subscribe", "SUBSCRIBE a b c d\r\n"),
    row("subscribe", "SUBSCRIBE a b c d\r\nUNSUBSCRIBE\r\n"),
    row("unsubscribe", "UNSUBSCRIBE\r\n"),
    row("psubscribe", "PSUBSCRIBE a* b* c*\r\nPUNSUBSCRIBE\r\n"),
    row("punsubscribe", "PUNSUBSCRIBE a b c d\r\n"),
    row("publish", "PUBLISH nobody hello\r\n"),
    row(
        "publish",
        "HELLO 3\r\nPSUBSCRIBE a*\r\nPUBLISH abc hello\r\n",
    ),
    row("pubsub", "PUBSUB\r\n"),
    row("pubsub|channels", "PUBSUB CHANNELS\r\n"),
    row("pubsub|help", "PUBSUB HELP\r\n"),
    row("pubsub|numpat", "PUBSUB NUMPAT\r\n"),
    row("pubsub|numsub", "PUBSUB NUMSUB a b c d\r\n"),
    row("slowlog", "SLOWLOG\r\n"),
    row("slowlog|get", "SLOWLOG GET -1\r\n"),
    row("slowlog|help", "SLOWLOG HELP\r\n"),
    row("slowlog|len", "SLOWLOG LEN\r\n"),
    row("slowlog|reset", "SLOWLOG RESET\r\n"),
];
