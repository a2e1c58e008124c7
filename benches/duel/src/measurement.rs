//! What each kind of load does with the servers.

use std::io;

use crate::context;
use crate::descriptors;
use crate::idle::idle_bytes;
use crate::loads::{Kind, Load, Service, Talk, Transport};
use crate::results::{Figure, Samples};
use crate::rounds::run_rounds;
use crate::server::ServerSpec;
use crate::setup::Setup;

/// Measures one load with fresh servers.
pub(crate) fn measure(load: &Load, setup: &Setup) -> io::Result<Vec<Samples>> {
    let all = setup.specs.iter();
    let specs = all.filter(|spec| spec.product.takes_part_in(load.kind));
    let specs: Vec<_> = specs.collect();
    match load.kind {
        Kind::Talk(talk) => talk_to_all(talk, &specs, setup),
        Kind::Idle(connections, transport) => idle(connections, transport, &specs, setup),
        Kind::Start => start_up(&specs, setup),
    }
}

fn talk_to_all(talk: Talk, specs: &[&ServerSpec], setup: &Setup) -> io::Result<Vec<Samples>> {
    // One more for the client beside the hogs.
    let specs = with_room(specs, specs.len(), talk.clients + 1)?;
    let service = talk.service();
    let specs = specs.iter().filter(|spec| spec.can_provide(service));
    let servers = specs.map(|spec| Ok(spec.start(service, &setup.cores)?.0));
    let servers: Vec<_> = servers.collect::<io::Result<_>>()?;
    run_rounds(talk, &servers, setup.pace)
}

/// Measures each server alone.
fn idle(
    connections: usize,
    transport: Transport,
    specs: &[&ServerSpec],
    setup: &Setup,
) -> io::Result<Vec<Samples>> {
    let mut all = Vec::new();
    if with_room(specs, 1, connections)?.is_empty() {
        return Ok(all);
    }
    let service = Service::over(transport);
    for spec in specs.iter().filter(|spec| spec.can_provide(service)) {
        let (server, _) = spec.start(service, &setup.cores)?;
        let bytes = idle_bytes(&server, connections).map_err(context(&spec.name))?;
        let mut samples = Samples::of(&spec.name);
        samples.add(&[(Figure::ResidentBytesPerConnection, bytes)]);
        all.push(samples);
    }
    Ok(all)
}

fn start_up(specs: &[&ServerSpec], setup: &Setup) -> io::Result<Vec<Samples>> {
    let names = specs.iter().map(|spec| &spec.name);
    let mut all: Vec<_> = names.map(|name| Samples::of(name)).collect();
    for _ in 0..setup.pace.rounds {
        for (spec, samples) in specs.iter().zip(&mut all) {
            let (_, time) = spec.start(Service::over(Transport::Tcp), &setup.cores)?;
            samples.add(&[(Figure::StartMs, time.as_secs_f64() * 1000.0)]);
        }
    }
    Ok(all)
}

/// Returns as many of the first `wanted` servers as can have this many connections each at the same
/// time, and reports the others.
fn with_room<'a>(
    specs: &'a [&'a ServerSpec],
    wanted: usize,
    connections: usize,
) -> io::Result<&'a [&'a ServerSpec]> {
    let room = descriptors::make_room(wanted * connections)?;
    let count = wanted.min(room / connections);
    if count < wanted {
        let names = specs[count..wanted].iter().map(|spec| spec.name.as_str());
        let names = match wanted {
            1 => "all servers".to_owned(),
            _ => names.collect::<Vec<_>>().join(", "),
        };
        eprintln!("left out: {names}; `ulimit -n` allows {room} connections");
    }
    Ok(&specs[..count])
}
