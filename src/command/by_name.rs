//! Look-up by name, in any case.

pub(crate) trait Named {
    /// Returns the name, in the case that requests use most.
    fn name(&self) -> &[u8];
}

/// Values by name, grouped by the name's length. The groups are small, so a look-up is one or two
/// comparisons, which is faster than hashing the name.
#[derive(Debug)]
pub(crate) struct ByName<T>(Vec<Vec<T>>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Named> ByName<T> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    // Every request comes here, and a call would cost as much as the search.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&T> {
        let group = self.0.get(name.len())?;
        group.iter().find(|value| is_named(*value, name))
    }

    pub(crate) fn find_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        let group = self.0.get_mut(name.len())?;
        group.iter_mut().find(|value| is_named(*value, name))
    }

    /// Adds `value` at the end of its group.
    pub(crate) fn add(&mut self, value: T) -> &mut T {
        let length = value.name().len();
        if self.0.len() <= length {
            self.0.resize_with(length + 1, Vec::new);
        }
        let group = &mut self.0[length];
        group.push(value);
        let last = group.len() - 1;
        &mut group[last]
    }

    /// Removes the value of this name and returns it.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let group = self.0.get_mut(name.len())?;
        let index = group.iter().position(|value| is_named(value, name))?;
        Some(group.swap_remove(index))
    }
}

#[inline]
fn is_named<T: Named>(value: &T, name: &[u8]) -> bool {
    // Most clients send this case, and an exact comparison takes half the time.
    *value.name() == *name || value.name().eq_ignore_ascii_case(name)
}
