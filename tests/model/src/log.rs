//! What stands in for the crate of this name.

/// Nothing in the model may go so wrong that it is logged.
macro_rules! error {
    ($($text:tt)*) => {
        panic!($($text)*)
    };
}

pub(crate) use error;
