//! Look-up of commands by name, in any case.

use super::Command;

/// Commands by name, grouped by the name's length. The groups are small, so a look-up is one or two
/// comparisons, which is faster than hashing the name.
#[derive(Debug, Default)]
pub(crate) struct ByName(Vec<Vec<Command>>);

impl ByName {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Command> {
        self.0.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Command> {
        self.0.iter_mut().flatten()
    }

    // Every request comes here, and a call would cost as much as the search.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Command> {
        let group = self.0.get(name.len())?;
        group.iter().find(|command| is_named(command, name))
    }

    pub(crate) fn find_mut(&mut self, name: &[u8]) -> Option<&mut Command> {
        let group = self.0.get_mut(name.len())?;
        group.iter_mut().find(|command| is_named(command, name))
    }

    /// Adds `command` at the end of its group.
    pub(crate) fn add(&mut self, command: Command) -> &mut Command {
        let length = command.name.len();
        if self.0.len() <= length {
            self.0.resize_with(length + 1, Vec::new);
        }
        let group = &mut self.0[length];
        group.push(command);
        let last = group.len() - 1;
        &mut group[last]
    }

    /// Removes the command of this name and returns it.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Command> {
        let group = self.0.get_mut(name.len())?;
        let index = group.iter().position(|command| is_named(command, name))?;
        Some(group.swap_remove(index))
    }
}

#[inline]
fn is_named(command: &Command, name: &[u8]) -> bool {
    // Most clients send this case, and an exact comparison takes half the time.
    *command.name == *name || command.name.eq_ignore_ascii_case(name)
}
