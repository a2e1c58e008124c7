//! The servers of a pass, and what each kind of load does with them.

use std::io;

use crate::cores::Cores;
use crate::descriptors;
use crate::idle::idle_bytes;
use crate::loads::{Kind, Load, Talk};
use crate::options::Pace;
use crate::pings::Ping;
use crate::products::{CLIENTS_MAX, Product};
use crate::race::race;
use crate::results::{Figure, Samples};
use crate::server::{Recipe, Server};

pub(crate) struct Field<'a> {
    entrants: Vec<Entrant<'a>>,
    cores: &'a Cores,
    pace: Pace,
}

struct Entrant<'a> {
    recipe: &'a Recipe,
    /// Serves all loads of the pass. `None` for the bare server, which knows one request: each load
    /// starts its own.
    server: Option<Server>,
}

impl<'a> Field<'a> {
    pub(crate) fn start(recipes: &'a [Recipe], cores: &'a Cores, pace: Pace) -> io::Result<Self> {
        descriptors::make_room(CLIENTS_MAX)?;
        let mut entrants = Vec::new();
        for recipe in recipes {
            let server = match recipe.product {
                Product::Bare => None,
                _ => Some(recipe.start(Ping::Array, cores)?.0),
            };
            entrants.push(Entrant { recipe, server });
        }
        Ok(Self {
            entrants,
            cores,
            pace,
        })
    }

    pub(crate) fn measure(&self, load: &Load) -> io::Result<Vec<Samples>> {
        match load.kind {
            Kind::Talk(talk) => self.talk(talk),
            Kind::Idle(connections) => self.idle(connections),
            Kind::Start => self.start_up(),
        }
    }

    fn talk(&self, talk: Talk) -> io::Result<Vec<Samples>> {
        // One more for the client beside the hogs.
        let entrants = self.with_room(self.entrants.len(), talk.clients + 1)?;
        let bare = entrants.iter().find(|entrant| entrant.server.is_none());
        let bare = bare.map(|bare| bare.recipe.start(talk.ping, self.cores));
        let bare = bare.transpose()?.map(|(server, _)| server);
        let servers = entrants.iter().filter_map(|entrant| {
            let server = entrant.server.as_ref().or(bare.as_ref())?;
            Some((server, entrant.recipe.exchange(talk.ping)?))
        });
        race(talk, servers, self.pace)
    }

    /// Measures each server alone and fresh.
    fn idle(&self, connections: usize) -> io::Result<Vec<Samples>> {
        if self.with_room(1, connections)?.is_empty() {
            return Ok(Vec::new());
        }
        let samples = self.entrants.iter().map(|Entrant { recipe, .. }| {
            let (server, _) = recipe.start(Ping::Array, self.cores)?;
            let exchange = recipe.exchange(Ping::Array);
            let exchange = exchange.ok_or_else(|| io::Error::other("every server has this"))?;
            let bytes = idle_bytes(&server, &exchange, connections).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", recipe.name))
            })?;
            let mut samples = Samples::of(&recipe.name);
            samples.add(&[(Figure::ResidentBytesPerConnection, bytes)]);
            Ok(samples)
        });
        samples.collect()
    }

    fn start_up(&self) -> io::Result<Vec<Samples>> {
        let names = self.entrants.iter().map(|entrant| &entrant.recipe.name);
        let mut samples: Vec<_> = names.map(|name| Samples::of(name)).collect();
        for _ in 0..self.pace.rounds {
            for (entrant, samples) in self.entrants.iter().zip(&mut samples) {
                let (_, time) = entrant.recipe.start(Ping::Array, self.cores)?;
                samples.add(&[(Figure::StartMs, time.as_secs_f64() * 1000.0)]);
            }
        }
        Ok(samples)
    }

    /// Returns as many of the first `wanted` servers as can have this many connections each at the
    /// same time, and reports the others.
    fn with_room(&self, wanted: usize, connections: usize) -> io::Result<&[Entrant<'a>]> {
        let room = descriptors::make_room(wanted * connections)?;
        let count = wanted.min(room / connections);
        if count < wanted {
            let left_out = self.entrants[count..wanted].iter();
            let names: Vec<_> = left_out
                .map(|entrant| entrant.recipe.name.as_str())
                .collect();
            let names = match wanted {
                1 => "all servers".to_owned(),
                _ => names.join(", "),
            };
            eprintln!("left out: {names}; `ulimit -n` allows {room} connections");
        }
        Ok(&self.entrants[..count])
    }
}
