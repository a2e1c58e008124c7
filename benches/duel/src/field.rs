//! Those who are measured, and how each kind of load is given to them.

use std::io;

use crate::cores::Cores;
use crate::descriptors;
use crate::loads::{Kind, Load, Talk};
use crate::options::Pace;
use crate::pings::Ping;
use crate::products::{CLIENTS_MAX, Rival};
use crate::race::{idle_bytes, race};
use crate::results::{Figure, Measured, Samples};
use crate::server::{Recipe, Server};

/// The servers of a pass. They stay for all loads, but for the bare one, which is started anew for
/// each because it knows but one request.
pub(crate) struct Field<'a> {
    entrants: Vec<Entrant<'a>>,
    cores: &'a Cores,
    pace: Pace,
}

struct Entrant<'a> {
    recipe: &'a Recipe,
    /// `None` if it is the bare one.
    server: Option<Server>,
}

/// What came of a load.
pub(crate) struct Outcome {
    pub(crate) measured: Measured,
    /// Why not all servers, or none, were measured.
    pub(crate) remark: Option<String>,
}

impl<'a> Field<'a> {
    pub(crate) fn start(recipes: &'a [Recipe], cores: &'a Cores, pace: Pace) -> io::Result<Self> {
        // Servers inherit the limit. Those that cannot have more make do with what there is.
        descriptors::make_room(CLIENTS_MAX)?;
        let entrant = |recipe: &'a Recipe| {
            let stays = recipe.rival != Rival::Bare;
            let server = stays
                .then(|| recipe.start(Ping::Array, cores))
                .transpose()?;
            Ok(Entrant { recipe, server })
        };
        Ok(Self {
            entrants: recipes.iter().map(entrant).collect::<io::Result<_>>()?,
            cores,
            pace,
        })
    }

    pub(crate) fn measure(&self, load: &Load) -> io::Result<Outcome> {
        let (servers, remark) = match load.kind {
            Kind::Talk(talk) => self.talk(talk)?,
            Kind::Idle(connections) => self.idle(connections)?,
            Kind::Start => (self.start_up()?, None),
        };
        let load = load.name.clone();
        Ok(Outcome {
            measured: Measured { load, servers },
            remark,
        })
    }

    fn talk(&self, talk: Talk) -> io::Result<(Vec<Samples>, Option<String>)> {
        // One more for a client beside hogs.
        let (count, remark) = self.room_for(self.entrants.len(), talk.clients + 1)?;
        let entrants = &self.entrants[..count];
        let bare = entrants.iter().find(|entrant| entrant.server.is_none());
        let bare = bare.map(|bare| bare.recipe.start(talk.ping, self.cores));
        let bare = bare.transpose()?;
        let servers: Vec<_> = entrants
            .iter()
            .filter_map(|entrant| entrant.server.as_ref().or(bare.as_ref()))
            .collect();
        Ok((race(talk, &servers, self.pace)?, remark))
    }

    /// Each alone, and fresh.
    fn idle(&self, connections: usize) -> io::Result<(Vec<Samples>, Option<String>)> {
        let (count, remark) = self.room_for(1, connections)?;
        if count == 0 {
            return Ok((Vec::new(), remark));
        }
        let samples = self.entrants.iter().map(|entrant| {
            let recipe = entrant.recipe;
            let server = recipe.start(Ping::Array, self.cores)?;
            let exchange = Ping::Array.exchange(&server.dialect);
            let exchange = exchange.ok_or_else(|| io::Error::other("everybody can say this"))?;
            let bytes = idle_bytes(&server, &exchange, connections).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", recipe.name))
            })?;
            let mut samples = Samples::of(&recipe.name);
            samples.add(&[(Figure::ResidentBytesPerConnection, bytes)]);
            Ok(samples)
        });
        Ok((samples.collect::<io::Result<_>>()?, remark))
    }

    fn start_up(&self) -> io::Result<Vec<Samples>> {
        let names = self.entrants.iter().map(|entrant| &entrant.recipe.name);
        let mut samples: Vec<_> = names.map(|name| Samples::of(name)).collect();
        for _ in 0..self.pace.rounds {
            for (entrant, samples) in self.entrants.iter().zip(&mut samples) {
                let time = entrant.recipe.time_to_start(Ping::Array, self.cores)?;
                samples.add(&[(Figure::StartMs, time.as_secs_f64() * 1000.0)]);
            }
        }
        Ok(samples)
    }

    /// How many of `wanted` servers can have so many connections each at the same time, and why not
    /// all.
    fn room_for(&self, wanted: usize, connections: usize) -> io::Result<(usize, Option<String>)> {
        let room = descriptors::make_room(wanted * connections)?;
        let count = wanted.min(room / connections);
        let without: Vec<_> = self.entrants.iter().take(wanted).skip(count).collect();
        let names: Vec<_> = without
            .iter()
            .map(|entrant| entrant.recipe.name.as_str())
            .collect();
        let remark = (count < wanted).then(|| {
            format!(
                "`ulimit -n` leaves room for {room} connections, so this leaves out {}",
                if wanted == 1 {
                    "everybody".to_owned()
                } else {
                    names.join(", ")
                }
            )
        });
        Ok((count, remark))
    }
}
