//! Transactions of Redis libraries against the example `kv`, in the process of the test.

#[path = "../../../examples/kv.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod kv;

use respool_testing::case::{Case, Outcome};
use respool_testing::{TestServer, config};

use crate::languages::{NODE, REDIS_PY, run_node, run_python};

pub(crate) fn cases() -> Vec<Case> {
    let of_python = REDIS_PY.into_iter().map(|(version, pin, _)| {
        case("redis-py", version, "pipeline()", move |port| {
            run_python(&["redis-py", version, "transactions", port], &[pin])
        })
    });
    let has_multi = |name: &str| name.starts_with("ioredis") || name == "redis-6";
    let of_node = NODE.into_iter().filter(|(_, _, name)| has_multi(name));
    let of_node = of_node.map(|(client, version, name)| {
        case(client, version, "multi()", move |port| {
            run_node(&[name, version, "transactions", port])
        })
    });
    of_python.chain(of_node).collect()
}

fn case(
    client: &'static str,
    version: &str,
    method: &str,
    run: impl Fn(&str) -> Outcome + Send + 'static,
) -> Case {
    let does = format!("sets 1,000 keys of the example kv in a transaction, its {method}");
    Case::without_server(client, version, does, move || {
        let server = TestServer::with(config(2), kv::commands());
        run(&server.addr.port().to_string())
    })
}
