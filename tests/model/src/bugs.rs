//! The seeded bugs, which the check must find. Each is seeded into its own copy of the pool.

/// A seeded bug.
#[derive(Debug)]
pub struct Bug {
    /// Its name, also in test filters.
    pub name: &'static str,
    /// The scenario that finds it.
    pub shown_by: &'static str,
    /// The file of the pool that is edited.
    pub file: &'static str,
    /// Texts of that file and their replacements. Each text occurs once.
    pub edits: &'static [(&'static str, &'static str)],
}

/// All seeded bugs.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "lead_without_a_fence",
        shown_by: "two_clients_ping",
        file: "mod.rs",
        edits: &[(
            "(true, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
            "(true, Ordering::Relaxed);",
        )],
    },
    Bug {
        name: "follow_without_a_fence",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[(
            "(1, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
            "(1, Ordering::Relaxed);",
        )],
    },
    Bug {
        name: "send_without_a_fence",
        shown_by: "two_clients_ping",
        file: "mod.rs",
        edits: &[(
            "send(work);\n        fence(Ordering::SeqCst);",
            "send(work);",
        )],
    },
    Bug {
        name: "hand_over_without_a_fence",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[(
            "hand_over(&self) {\n        fence(Ordering::SeqCst);",
            "hand_over(&self) {",
        )],
    },
    Bug {
        name: "lead_ignores_the_queue",
        shown_by: "two_clients_ping",
        file: "mod.rs",
        edits: &[(
            "let has_work = !self.queue.is_empty();",
            "let has_work = false;",
        )],
    },
    Bug {
        name: "send_wakes_no_leader",
        shown_by: "two_clients_ping",
        file: "mod.rs",
        edits: &[("fence(Ordering::SeqCst);\n        self.wake_leader();", "")],
    },
    Bug {
        name: "follow_ignores_the_watch",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[(
            "self.parking.has_leader().then(|| self.queue.take())",
            "Some(self.queue.take())",
        )],
    },
    Bug {
        name: "follow_counts_itself_too_late",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[
            (
                "self.followers.fetch_add(1, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
                "let has_leader = self.parking.has_leader();\n        \
                 self.followers.fetch_add(1, Ordering::Relaxed);",
            ),
            ("self.parking.has_leader().then(||", "has_leader.then(||"),
        ],
    },
    Bug {
        name: "hand_over_ignores_the_queue",
        shown_by: "handler_of_a_new_client_blocks",
        file: "mod.rs",
        edits: &[("if !self.queue.is_empty() {", "if false {")],
    },
    Bug {
        name: "hand_over_wakes_no_follower_for_spent_clients",
        shown_by: "follower_takes_a_spent_client",
        file: "mod.rs",
        edits: &[(
            "self.send_recheck();\n        } else if",
            "self.wake_leader();\n        } else if",
        )],
    },
    Bug {
        name: "hand_over_ignores_spent_clients",
        shown_by: "spent_client_does_not_wait_for_a_handler",
        file: "mod.rs",
        edits: &[(
            "self.send_recheck();\n        } else if",
            "self.wake_follower();\n        } else if",
        )],
    },
    Bug {
        // This bug was once in the pool: a worker may start to follow between the two.
        name: "hand_over_reads_the_followers_twice",
        shown_by: "follower_takes_a_spent_client",
        file: "mod.rs",
        edits: &[(
            "self.send_recheck();\n        } else if",
            "self.wake_follower();\n            self.wake_leader();\n        } else if",
        )],
    },
    Bug {
        name: "spent_clients_are_not_counted",
        shown_by: "spent_client_does_not_wait_for_a_handler",
        file: "queue.rs",
        edits: &[(
            "spent.push_back(client);\n        self.spent_count.store(spent.len(), Ordering::Relaxed);",
            "spent.push_back(client);",
        )],
    },
    Bug {
        name: "empty_leaves_spent_clients",
        shown_by: "shutdown_closes_spent_clients",
        file: "mod.rs",
        edits: &[(
            "while let Some(work) = self.queue.try_take_any() {",
            "while let Some(work) = self.queue.try_take() {",
        )],
    },
    Bug {
        // This bug was once in the pool.
        name: "hand_over_wakes_no_leader",
        shown_by: "idle_workers_are_retired",
        file: "mod.rs",
        edits: &[(
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send_recheck();",
            "if self.followers.load(Ordering::Relaxed) > 0\n            \
             && !self.recheck_sent.swap(true, Ordering::AcqRel)\n        {\n            \
             self.queue.send(Work::Recheck);",
        )],
    },
    Bug {
        name: "hand_over_sends_a_second_recheck",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[(
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send_recheck();",
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send(Work::Recheck);",
        )],
    },
    Bug {
        name: "ending_worker_does_not_hand_over",
        shown_by: "busy_workers_are_resized",
        file: "mod.rs",
        edits: &[(
            "self.hand_over();\n                    self.wake",
            "self.wake",
        )],
    },
    Bug {
        name: "ending_worker_does_not_wake_the_next",
        shown_by: "idle_workers_are_retired",
        file: "mod.rs",
        edits: &[(
            "self.wake_surplus();\n                    return None;",
            "return None;",
        )],
    },
    Bug {
        name: "recheck_is_cleared_without_acquire",
        shown_by: "busy_workers_are_resized",
        file: "mod.rs",
        edits: &[(
            "Some(Work::Recheck) => self.take_recheck()",
            "Some(Work::Recheck) => self.recheck_sent.store(false, Ordering::Relaxed)",
        )],
    },
    Bug {
        name: "recheck_is_never_cleared",
        shown_by: "handler_blocks",
        file: "mod.rs",
        edits: &[(
            "Some(Work::Recheck) => self.take_recheck()",
            "Some(Work::Recheck) => {}",
        )],
    },
    Bug {
        name: "empty_drops_the_recheck_of_another_worker",
        shown_by: "shutdown_closes_all_clients",
        file: "mod.rs",
        edits: &[(
            "another worker that should end.\n        self.wake_surplus();",
            "another worker that should end.",
        )],
    },
    Bug {
        name: "poll_ready_does_not_poll",
        shown_by: "client_does_not_starve_beside_a_flood",
        file: "mod.rs",
        edits: &[("self.parking.wait(&mut watch, Some(Duration::ZERO));", "")],
    },
    Bug {
        name: "poll_ready_drops_woken_clients",
        shown_by: "client_does_not_starve_beside_a_flood",
        file: "mod.rs",
        edits: &[("in watch.woken.drain(..) {", "in watch.woken.drain(..0) {")],
    },
    Bug {
        name: "drain_fetches_before_it_begins",
        shown_by: "drain_closes_all_clients",
        file: "mod.rs",
        edits: &[(
            "self.parking.begin_drain();\n        self.fetch(|_| true, |client| self.submit(client));",
            "self.fetch(|_| true, |client| self.submit(client));\n        self.parking.begin_drain();",
        )],
    },
    Bug {
        name: "park_reads_the_drain_before_it_locks",
        shown_by: "drain_closes_all_clients",
        file: "parking.rs",
        edits: &[
            (
                "let index = client.slot();\n",
                "let index = client.slot();\n        \
                 let draining = self.draining.load(Ordering::Relaxed);\n",
            ),
            ("(self.draining.load(Ordering::Relaxed) &&", "(draining &&"),
        ],
    },
    Bug {
        name: "park_calls_may_rest_before_it_locks",
        shown_by: "pause_ends",
        file: "parking.rs",
        edits: &[
            (
                "let index = client.slot();\n",
                "let index = client.slot();\n        let rests = may_rest(&client);\n",
            ),
            ("!may_rest(&client) {", "!rests {"),
        ],
    },
    Bug {
        name: "park_ignores_an_event",
        shown_by: "two_clients_ping",
        file: "parking.rs",
        edits: &[(
            "slot.take_event() {",
            "slot.take_event().filter(|_| false) {",
        )],
    },
    Bug {
        name: "notify_ignores_clients_in_a_turn",
        shown_by: "message_comes",
        file: "parking.rs",
        edits: &[(
            "self.slots[slot].lock().event(Readiness::default())",
            "self.slots[slot].lock().fetch(|_| true)",
        )],
    },
    Bug {
        name: "slot_is_reused_too_early",
        shown_by: "slots_are_reused",
        file: "parking.rs",
        edits: &[(
            "*self.slots[slot].lock() = Slot::Free;\n        self.free_slots.lock().give_back(slot);",
            "self.free_slots.lock().give_back(slot);\n        *self.slots[slot].lock() = Slot::Free;",
        )],
    },
    Bug {
        name: "socket_is_watched_before_its_slot_is_away",
        shown_by: "two_clients_ping",
        file: "parking.rs",
        edits: &[("*self.slots[slot].lock() = Slot::Away;\n", "")],
    },
    Bug {
        name: "event_for_an_away_client_is_lost",
        shown_by: "two_clients_ping",
        file: "slot.rs",
        edits: &[(
            "Self::Away => *self = Self::AwayAndReady(readiness),",
            "Self::Away => {}",
        )],
    },
    Bug {
        name: "later_event_hides_the_fin",
        shown_by: "message_comes_with_the_fin",
        file: "slot.rs",
        edits: &[("before.and(readiness)", "readiness")],
    },
    Bug {
        name: "fin_is_not_noted",
        shown_by: "fin_comes_with_the_last_bytes",
        file: "parking.rs",
        edits: &[(
            "client.connection.note(readiness);\n            return",
            "return",
        )],
    },
    Bug {
        name: "event_counts_as_notification",
        shown_by: "message_comes_with_the_fin",
        file: "parking.rs",
        edits: &[(
            "                client.connection.note(readiness);\n                watch",
            "                client.connection.note(readiness);\n                client.is_notified = true;\n                watch",
        )],
    },
];
