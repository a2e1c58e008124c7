//! A cache line that cores share.

use crate::sim::params::Access;

/// A cache line, or a few that are used together. Accesses that need it exclusively wait for one
/// another, so it bounds how often all cores together can do something.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// A bit for each core that has a copy. No bit is set after an access from outside.
    copies: u128,
    /// The end of the last exclusive access.
    free_at: u64,
}

impl Line {
    /// Writes from a core. Returns how long that takes, with the wait.
    pub(super) fn write(&mut self, core: usize, now: u64, cost: Access) -> u64 {
        let own = 1 << core;
        let ns = if self.copies == own {
            cost.alone
        } else {
            cost.moved
        };
        self.copies = own;
        self.occupy(now, ns)
    }

    /// Writes from a core that runs no worker: one of the load or of the network.
    pub(super) fn write_outside(&mut self, now: u64, cost: Access) -> u64 {
        self.copies = 0;
        self.occupy(now, cost.moved)
    }

    /// Reads from a core, which then has a copy. Readers do not wait for one another.
    pub(super) fn read(&mut self, core: usize, now: u64, cost: Access) -> u64 {
        let own = 1 << core;
        if self.copies & own != 0 {
            return cost.alone;
        }
        self.copies |= own;
        self.free_at.saturating_sub(now) + cost.moved
    }

    fn occupy(&mut self, now: u64, ns: u64) -> u64 {
        let end = self.free_at.max(now) + ns;
        self.free_at = end;
        end - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Access = Access {
        alone: 2,
        moved: 50,
    };

    #[test]
    fn a_line_moves_only_between_cores() {
        let mut line = Line::default();
        assert_eq!(line.write(0, 0, COST), 50);
        assert_eq!(line.write(0, 100, COST), 2);
        assert_eq!(line.read(1, 200, COST), 50);
        assert_eq!(line.read(1, 300, COST), 2);
        // The other core's copy has to go.
        assert_eq!(line.write(0, 400, COST), 50);
        line.write_outside(500, COST);
        assert_eq!(line.write(0, 600, COST), 50);
    }

    #[test]
    fn writers_wait_for_one_another() {
        let mut line = Line::default();
        let ends = [0, 1, 2].map(|core| line.write(core, 0, COST));
        assert_eq!(ends, [50, 100, 150]);
    }
}
