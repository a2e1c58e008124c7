//! The costs as tables.

use std::fmt::{self, Write};

use crate::costs::{Costs, FEW, MANY};
use crate::sockets::{Placement, SocketCosts};

impl fmt::Display for Costs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_points(out)?;
        self.write_calls(out)?;
        self.write_kernel(out)
    }
}

impl Costs {
    fn write_points(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "| shared point, ns | alone | moved |\n|---|---|---|")?;
        let rows = [
            ("a lock: lock and unlock", self.lock),
            (
                "the watch: lock, take a woken client, unlock",
                self.take_woken,
            ),
            ("the channel: send", self.channel_send),
            ("the channel: take", self.channel_take),
            ("a counter: add", self.atomic),
            ("a line: read", self.read),
            ("a client: 7 lines", self.client),
            ("epoll's ready list: add a socket", self.ready_list),
        ];
        for (name, cost) in rows {
            writeln!(out, "| {name} | {:.0} | {:.0} |", cost.alone, cost.moved)?;
        }
        Ok(())
    }

    fn write_calls(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "\n| call or wake-up | ns |\n|---|---|")?;
        let wakes = &self.wakes;
        let rows = [
            (
                "a line: to another core, half of there and back",
                self.transfer,
            ),
            ("give way to no thread", self.give_way),
            ("poll without an event", self.few[0].poll_call),
            ("wake a sleeping leader: the call", wakes.leader_call),
            ("wake a sleeping leader: until it runs", wakes.leader_delay),
            ("wake a follower: the call", wakes.follower_call),
            ("wake a follower: until it runs", wakes.follower_delay),
            ("wake a thread on the same core, and sleep", wakes.switch),
        ];
        for (name, ns) in rows {
            writeln!(out, "| {name} | {ns:.0} |")?;
        }
        let slower = self.busy_factor;
        writeln!(
            out,
            "\nWhile both cores are busy, a turn takes {slower:.2} x as long."
        )
    }

    fn write_kernel(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(
            out,
            "\n| kernel, ns | P=1, {FEW} clients | P=16 | P=1, {MANY} clients | P=16 |\n\
             |---|---|---|---|---|"
        )?;
        let turn = |costs: &SocketCosts, placement: Placement| costs.turn[placement as usize];
        let rows = [
            "poll: each event",
            "recv and send, peer on the same core",
            "recv and send, peer on another core",
            "the same, last served on another core",
            "the load: send",
            "the load: poll and recv",
        ];
        for (row, name) in rows.into_iter().enumerate() {
            write!(out, "| {name} |")?;
            for costs in self.few.iter().chain(&self.many) {
                let values = [
                    costs.poll_event,
                    turn(costs, Placement::Same),
                    turn(costs, Placement::Split),
                    turn(costs, Placement::Moved),
                    costs.load_send,
                    costs.load_recv,
                ];
                write!(out, " {:.0} |", values[row])?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
