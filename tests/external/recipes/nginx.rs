//! `docs/nginx.conf`.

use std::fs;
use std::process::Command;

use respool_testing::balancer::stream_module;
use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::setup::{installed, version};

use crate::fleet::Fleet;
use crate::proxy::{FOLDER, Proxy, recipe, shows_clients};
use crate::rolling::{rolling_restart, survives_a_crash};

pub(crate) fn cases() -> Vec<Case> {
    let nginx = version("nginx", "-v");
    let case = |does, run: fn() -> Outcome| Case::without_server("nginx", &nginx, does, run);
    vec![
        case(
            "nginx.conf: rolling restarts by its reload, under load",
            rolling,
        ),
        case("nginx.conf: a session with its address, and a crash", crash),
    ]
}

/// nginx has no checks. So the server is marked as down beforehand.
fn rolling() -> Outcome {
    let mut fleet = Fleet::start();
    let nginx = start(&fleet)?;
    shows_clients(fleet.balancer)?;
    let file = nginx.file();
    let all = fs::read_to_string(&file).expect("it is our file");
    let reload = |text: &str| {
        fs::write(&file, text).expect("it is our file");
        nginx.process.signal("HUP");
    };
    rolling_restart(&mut fleet, |server| {
        let line = format!("server {}", server.addr);
        reload(&all.replace(&line, &format!("{line} down")));
        server.restart();
        reload(&all);
    })?;
    nginx.stop("QUIT").without_complaint();
    Ok(())
}

fn crash() -> Outcome {
    let mut fleet = Fleet::start();
    let nginx = start(&fleet)?;
    shows_clients(fleet.balancer)?;
    survives_a_crash(&mut fleet);
    nginx.stop("QUIT");
    Ok(())
}

fn start(fleet: &Fleet) -> Result<Proxy, NotRun> {
    let [one, two] = &fleet.servers;
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let here = [
        ("listen 6379", format!("listen {}", fleet.balancer)),
        ("192.0.2.11:6379", one.addr.to_string()),
        ("192.0.2.12:6379", two.addr.to_string()),
        ("/run/nginx.pid", format!("{FOLDER}/pid")),
        (module, stream_module()?.display().to_string()),
    ];
    let mut command = Command::new(installed("nginx")?);
    // Until it has read the file, it would log where Debian wants it.
    command.args(["-g", "daemon off;", "-e", "stderr", "-c"]);
    Ok(Proxy::start(command, &recipe("nginx.conf", &here)))
}
