//! `/metrics`: what INFO and LATENCY show, for Prometheus.
//!
//! Names that begin with `redis_` are those of `redis_exporter`, so that its dashboards and alerts
//! work; the values are INFO's, so a count of keys is 0. Names that begin with `respool_` are
//! respool's own. Values of time are in seconds.
//!
//! Every value is read from where INFO reads it: `ServerState`. None of its locks is one that a
//! PING takes.

mod durations;
mod own;
mod redis;
mod scrape;
mod text;

use std::time::{Duration, Instant};

use crate::state::ServerState;
use crate::time::now_since_1970;
use durations::{CommandDurations, Shown};
use scrape::{Scrape, Settings};
use text::Text;

/// The content type of [`Metrics::text`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics, and what they remember from one scrape to the next.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    settings: Settings,
    durations: CommandDurations,
    queue_wait: Shown,
    /// The time of the start in seconds since 1970, as it was first computed: the clock may be set.
    started_s: Option<u64>,
    /// The latest text, and until when it is shown again.
    latest: Option<(String, Instant)>,
}

impl Metrics {
    /// Returns all metrics, which are some milliseconds old if they are asked for all the time:
    /// making them takes at most a quarter of a processor away from the workers.
    pub(super) fn text(&mut self, state: &ServerState) -> String {
        let start = Instant::now();
        if let Some((text, until)) = &self.latest
            && start < *until
        {
            return text.clone();
        }
        let text = self.make_text(state);
        let until = start + age_max(start.elapsed());
        self.latest = Some((text.clone(), until));
        text
    }

    fn make_text(&mut self, state: &ServerState) -> String {
        self.read_settings(state);
        let (totals, resets) = state.stats.totals_since_reset();
        self.durations.advance(state, &totals, resets);
        self.queue_wait.advance_by_waits(&totals.queue_wait, resets);
        let started_s = *self.started_s.get_or_insert_with(|| {
            let started = now_since_1970().saturating_sub(state.started.elapsed());
            started.as_secs()
        });
        let scrape = Scrape {
            state,
            totals: &totals,
            settings: self.settings,
            durations: &self.durations,
            queue_wait: &self.queue_wait,
            started_s,
        };
        let mut text = Text::default();
        redis::write(&scrape, &mut text);
        own::write(&scrape, &mut text);
        text.finish()
    }

    /// Reads the configuration, except while another one is put into force: that may take long, and
    /// the health checks would wait.
    fn read_settings(&mut self, state: &ServerState) {
        if let Some(config) = state.config.try_lock() {
            self.settings = Settings {
                maxclients: config.maxclients,
                workers: config.worker_count(),
            };
        }
    }
}

/// At most one part of the time, of this many, is spent on making texts.
const SHARE: u32 = 4;

/// Returns the age up to which a text is shown that took so long to make. It has a limit: if the
/// process stood still meanwhile, the text must not be shown for longer than that.
fn age_max(took: Duration) -> Duration {
    took.saturating_mul(SHARE).min(Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_soon_made_again_after_a_standstill() {
        let ms = Duration::from_millis;
        assert_eq!(age_max(ms(5)), ms(20));
        assert_eq!(age_max(Duration::from_secs(3600)), ms(500));
    }

    #[test]
    fn text_is_made_again_when_its_time_is_over() {
        let (mut metrics, state) = (Metrics::default(), ServerState::for_test());
        let has = |text: &str, count| {
            let line = format!("\nredis_connections_received_total {count}\n");
            text.contains(&line)
        };
        assert!(has(&metrics.text(&state), 0));
        state.connections.count();
        let (_, until) = metrics.latest.as_mut().expect("a text");
        *until = Instant::now() + Duration::from_secs(60);
        assert!(has(&metrics.text(&state), 0));
        let (_, until) = metrics.latest.as_mut().expect("a text");
        *until = Instant::now();
        assert!(has(&metrics.text(&state), 1));
    }
}
