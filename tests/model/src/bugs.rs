//! Bugs that the check must find: each is seeded into a copy of the pool of its own.

/// A bug.
#[derive(Debug)]
pub struct Bug {
    /// What it is called.
    pub name: &'static str,
    /// The scenario that shows it.
    pub shown_by: &'static str,
    /// The file of the pool that has it.
    pub file: &'static str,
    /// What is replaced there, once, by what.
    pub edits: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "lead_without_a_fence",
        shown_by: "talks",
        file: "mod.rs",
        edits: &[(
            "(true, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
            "(true, Ordering::Relaxed);",
        )],
    },
    Bug {
        name: "follow_without_a_fence",
        shown_by: "handlers_block",
        file: "mod.rs",
        edits: &[(
            "(1, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
            "(1, Ordering::Relaxed);",
        )],
    },
    Bug {
        name: "send_without_a_fence",
        shown_by: "talks",
        file: "mod.rs",
        edits: &[(
            "send(work);\n        fence(Ordering::SeqCst);",
            "send(work);",
        )],
    },
    Bug {
        name: "hand_over_without_a_fence",
        shown_by: "handlers_block",
        file: "mod.rs",
        edits: &[(
            "hand_over(&self) {\n        fence(Ordering::SeqCst);",
            "hand_over(&self) {",
        )],
    },
    Bug {
        name: "lead_does_not_look_at_the_queue",
        shown_by: "talks",
        file: "mod.rs",
        edits: &[(
            "let timeout = if self.queue.is_empty() && !self.queue.has_spent() {",
            "let timeout = if !self.queue.has_spent() {",
        )],
    },
    Bug {
        name: "send_wakes_no_leader",
        shown_by: "talks",
        file: "mod.rs",
        edits: &[("fence(Ordering::SeqCst);\n        self.wake_leader();", "")],
    },
    Bug {
        name: "follow_does_not_look_at_the_watch",
        shown_by: "handlers_block",
        file: "mod.rs",
        edits: &[(
            "self.parking.has_leader().then(|| self.queue.take())",
            "Some(self.queue.take())",
        )],
    },
    Bug {
        name: "follow_counts_itself_too_late",
        shown_by: "handlers_block",
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
        name: "hand_over_forgets_the_queue",
        shown_by: "handlers_of_new_clients_block",
        file: "mod.rs",
        edits: &[(
            "if self.queue.has_spent() || !self.queue.is_empty() {",
            "if self.queue.has_spent() {",
        )],
    },
    Bug {
        name: "hand_over_wakes_no_follower_for_spent_clients",
        shown_by: "spent_client_is_for_a_follower",
        file: "mod.rs",
        edits: &[(
            "if !self.parking.has_leader() || self.queue.has_spent() {",
            "if !self.parking.has_leader() {",
        )],
    },
    Bug {
        name: "hand_over_forgets_spent_clients",
        shown_by: "spent_client_does_not_wait_for_a_handler",
        file: "mod.rs",
        edits: &[(
            "if self.queue.has_spent() || !self.queue.is_empty() {",
            "if !self.queue.is_empty() {",
        )],
    },
    Bug {
        name: "lead_does_not_look_for_spent_clients",
        shown_by: "spent_client_does_not_wait_for_a_handler",
        file: "mod.rs",
        edits: &[(
            "let timeout = if self.queue.is_empty() && !self.queue.has_spent() {",
            "let timeout = if self.queue.is_empty() {",
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
        name: "spent_clients_are_left_at_the_end",
        shown_by: "crew_leaves_no_spent_client",
        file: "mod.rs",
        edits: &[(
            "while let Some(work) = self.queue.try_take_any() {",
            "while let Some(work) = self.queue.try_take() {",
        )],
    },
    Bug {
        // This one was real.
        name: "hand_over_wakes_no_leader",
        shown_by: "a_quiet_crew_shrinks",
        file: "mod.rs",
        edits: &[(
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send_recheck();",
            "if self.followers.load(Ordering::Relaxed) > 0\n            \
             && !self.recheck_sent.swap(true, Ordering::AcqRel)\n        {\n            \
             self.queue.send(Work::Recheck);",
        )],
    },
    Bug {
        name: "hand_over_wakes_again_and_again",
        shown_by: "handlers_block",
        file: "mod.rs",
        edits: &[(
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send_recheck();",
            "if self.followers.load(Ordering::Relaxed) > 0 {\n            self.send(Work::Recheck);",
        )],
    },
    Bug {
        name: "who_ends_does_not_hand_over",
        shown_by: "a_busy_crew_shrinks_and_grows",
        file: "mod.rs",
        edits: &[("self.leave();\n        self.hand_over();", "self.leave();")],
    },
    Bug {
        name: "who_ends_does_not_call_the_next",
        shown_by: "a_quiet_crew_shrinks",
        file: "mod.rs",
        edits: &[(
            "self.hand_over();\n        self.wake_surplus();",
            "self.hand_over();",
        )],
    },
    Bug {
        name: "recheck_is_cleared_without_acquiring",
        shown_by: "a_busy_crew_shrinks_and_grows",
        file: "mod.rs",
        edits: &[(
            "Some(Work::Recheck) => self.take_recheck()",
            "Some(Work::Recheck) => self.recheck_sent.store(false, Ordering::Relaxed)",
        )],
    },
    Bug {
        name: "recheck_is_never_cleared",
        shown_by: "handlers_block",
        file: "mod.rs",
        edits: &[(
            "Some(Work::Recheck) => self.take_recheck()",
            "Some(Work::Recheck) => {}",
        )],
    },
    Bug {
        name: "empty_swallows_a_call",
        shown_by: "a_crew_leaves_nobody_behind",
        file: "mod.rs",
        edits: &[(
            "another worker that should end.\n        self.wake_surplus();",
            "another worker that should end.",
        )],
    },
    Bug {
        name: "nobody_polls_ready_clients",
        shown_by: "nobody_starves_beside_a_flood",
        file: "mod.rs",
        edits: &[("self.parking.wait(&mut watch, Some(Duration::ZERO));", "")],
    },
    Bug {
        name: "poll_ready_drops_woken_clients",
        shown_by: "nobody_starves_beside_a_flood",
        file: "mod.rs",
        edits: &[("in watch.woken.drain(..) {", "in watch.woken.drain(..0) {")],
    },
    Bug {
        name: "drain_fetches_before_it_says_so",
        shown_by: "a_drain_empties",
        file: "mod.rs",
        edits: &[(
            "self.parking.begin_drain();\n        self.fetch(|_| true, |client| self.submit(client));",
            "self.fetch(|_| true, |client| self.submit(client));\n        self.parking.begin_drain();",
        )],
    },
    Bug {
        name: "park_looks_at_the_drain_before_it_locks",
        shown_by: "a_drain_empties",
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
        name: "park_looks_at_the_reason_before_it_locks",
        shown_by: "a_pause_ends",
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
        name: "park_does_not_look_for_an_event",
        shown_by: "talks",
        file: "parking.rs",
        edits: &[(
            "slot.take_event() {",
            "slot.take_event().filter(|_| false) {",
        )],
    },
    Bug {
        name: "notify_skips_clients_in_a_turn",
        shown_by: "mail_comes",
        file: "parking.rs",
        edits: &[(
            "self.slots[slot].lock().event(Readiness::default())",
            "self.slots[slot].lock().fetch(|_| true)",
        )],
    },
    Bug {
        name: "a_place_is_given_away_too_early",
        shown_by: "places_are_used_again",
        file: "parking.rs",
        edits: &[(
            "*self.slots[slot].lock() = Slot::Free;\n        self.free_slots.lock().give_back(slot);",
            "self.free_slots.lock().give_back(slot);\n        *self.slots[slot].lock() = Slot::Free;",
        )],
    },
    Bug {
        name: "a_socket_is_watched_before_its_slot_is_taken",
        shown_by: "talks",
        file: "parking.rs",
        edits: &[("*self.slots[slot].lock() = Slot::Away;\n", "")],
    },
    Bug {
        name: "an_event_for_who_is_away_is_forgotten",
        shown_by: "talks",
        file: "slot.rs",
        edits: &[(
            "Self::Away => *self = Self::AwayAndReady(readiness),",
            "Self::Away => {}",
        )],
    },
    Bug {
        name: "a_later_event_hides_the_end",
        shown_by: "mail_comes_with_the_end",
        file: "slot.rs",
        edits: &[("before.and(readiness)", "readiness")],
    },
    Bug {
        name: "an_end_is_not_noted",
        shown_by: "ends_come_with_the_last_bytes",
        file: "parking.rs",
        edits: &[(
            "client.connection.note(readiness);\n            return",
            "return",
        )],
    },
];
