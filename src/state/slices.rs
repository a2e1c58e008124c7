//! Walks through a locked list in slices, so that no thread waits for the lock during the whole
//! walk.

use std::iter;

/// Returns every item once. `slice_after` returns some items after the given one, or the first
/// ones; only it takes the lock.
pub(super) fn in_slices<T: Clone>(
    mut slice_after: impl FnMut(Option<&T>) -> Vec<T>,
) -> impl Iterator<Item = T> {
    let mut slice = Vec::new().into_iter();
    let mut last = None;
    iter::from_fn(move || {
        if slice.len() == 0 {
            slice = slice_after(last.as_ref()).into_iter();
        }
        last = slice.next();
        last.clone()
    })
    .fuse()
}

/// Items of one slice. Copying so many references takes some microseconds.
pub(super) const SLICE_ITEMS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_once_and_none_after_the_end() {
        let slice_after = |last: Option<&u32>| {
            let first = last.map_or(0, |last| last + 1);
            (first..10).take(3).collect()
        };
        let mut items = in_slices(slice_after);
        assert!(items.by_ref().eq(0..10));
        assert_eq!(items.next(), None);
    }
}
