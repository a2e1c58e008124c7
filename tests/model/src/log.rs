//! Stand-in for the crate `log`.

/// Panics: no error that the pool logs can happen in the model.
macro_rules! error {
    ($($text:tt)*) => {
        panic!($($text)*)
    };
}

pub(crate) use error;
