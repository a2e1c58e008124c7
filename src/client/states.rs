//! The values that handlers keep for a client from request to request.

use std::any::Any;

/// One value of each type. Most clients have none, and then this is one machine word.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "each idle client has one, so it is small"
)]
pub(crate) struct States(Option<Box<Vec<State>>>);

type State = Box<dyn Any + Send>;

impl States {
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let states = self.0.as_deref()?;
        states.iter().find_map(|state| (**state).downcast_ref())
    }

    pub(crate) fn get_mut_or_default<T: Any + Send + Default>(&mut self) -> &mut T {
        let states = self.0.get_or_insert_default();
        let index = states
            .iter()
            .position(|state| (**state).is::<T>())
            .unwrap_or_else(|| {
                states.push(Box::<T>::default());
                states.len() - 1
            });
        let state = (*states[index]).downcast_mut();
        state.expect("the state at this index has this type")
    }

    /// Returns the former value.
    pub(crate) fn replace<T: Any + Send>(&mut self, value: T) -> Option<T> {
        let states = self.0.get_or_insert_default();
        let same = states.iter().position(|state| (**state).is::<T>());
        let before = same.map(|index| states.swap_remove(index));
        states.push(Box::new(value));
        before?.downcast().ok().map(|before| *before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type_is_kept() {
        let mut states = States::default();
        assert_eq!(states.get::<u32>(), None);
        *states.get_mut_or_default::<u32>() += 7;
        *states.get_mut_or_default::<u64>() += 8;
        assert_eq!(states.get::<u32>(), Some(&7));
        assert_eq!(*states.get_mut_or_default::<u32>(), 7);
        assert_eq!(states.replace(9_u32), Some(7));
        assert_eq!(states.get::<u32>(), Some(&9));
        assert_eq!(states.get::<u64>(), Some(&8));
        assert_eq!(states.replace("new"), None);
    }
}
