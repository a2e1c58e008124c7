//! Log lines with the name of the server that they are about, if it has one: see
//! `Server::with_name`.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::Arc;

thread_local! {
    /// The name of the server that this thread works for.
    static NAME: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Has the lines of this thread begin with the name of a server, until the guard is dropped.
#[must_use = "the name is used until this is dropped"]
pub(crate) fn enter(name: Option<Arc<str>>) -> Entered {
    Entered(NAME.replace(name))
}

/// Restores the former name of the thread on drop.
pub(crate) struct Entered(Option<Arc<str>>);

impl Drop for Entered {
    fn drop(&mut self) {
        // At the end of a thread, its name may be gone already.
        let _ = NAME.try_with(|name| name.replace(mem::take(&mut self.0)));
    }
}

/// The beginning of a line: the name and a colon, or nothing.
pub(crate) struct Prefix;

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAME.try_with(|name| name.borrow().clone());
        match name {
            Ok(Some(name)) => write!(f, "{name}: "),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

/// Defines a macro for each level: as that of `log`, with [`Prefix`].
macro_rules! levels {
    ($dollar:tt: $($level:ident as $name:ident),+) => {$(
        macro_rules! $name {
            ($dollar($dollar argument:tt)+) => {
                log::$level!("{}{}", $crate::logging::Prefix, format_args!($dollar($dollar argument)+))
            };
        }

        pub(crate) use $name as $level;
    )+};
}

// The names of macros that are not those of attributes or of the standard library.
levels! { $: trace as trace_line, debug as debug_line, info as info_line, warn as warn_line,
error as error_line }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_with_the_name_of_the_innermost_server() {
        let outer = enter(Some("cache".into()));
        assert_eq!(Prefix.to_string(), "cache: ");
        let inner = enter(Some("queue".into()));
        assert_eq!(Prefix.to_string(), "queue: ");
        drop(inner);
        assert_eq!(Prefix.to_string(), "cache: ");
        drop(outer);
        assert_eq!(Prefix.to_string(), "");
    }
}
