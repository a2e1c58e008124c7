//! Stand-in for `logging.rs` of the library.

/// Panics: no error that the pool logs can happen in the model.
macro_rules! error {
    ($($text:tt)*) => {
        panic!($($text)*)
    };
}

pub(crate) use error;
