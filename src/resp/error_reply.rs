//! An error as a value, which a handler returns.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::Location;

/// An error for the client: a code in capitals, by which clients distinguish errors, and a text for
/// people. Redis's own are constants and functions here.
///
/// The readers of arguments return it, and a handler may do so. It then becomes the reply, in place
/// of everything that the handler wrote before:
///
/// ```
/// use respool::{Arity, Commands, ErrorReply};
///
/// const LOCKED: ErrorReply = ErrorReply::constant("LOCKED", "the job is running");
///
/// let mut commands = Commands::builtin();
/// commands.register("JOB.RENAME", Arity::Exactly(3), |_session, request, reply| {
///     let (id, name) = (request.integer(0)?, request.text(1)?);
///     if id == 7 {
///         return Err(LOCKED);
///     }
///     Ok(reply.bulk(name))
/// });
/// ```
///
/// No other error becomes an `ErrorReply` by itself, so `?` on an error of the program does not
/// compile: its text may not be for clients. Say what they get:
///
/// ```
/// # use respool::ErrorReply;
/// # fn main() -> Result<(), ErrorReply> {
/// # let file = "Cargo.toml";
/// let text = std::fs::read(file).map_err(|_| ErrorReply::err("the job has no file"))?;
/// # Ok(())
/// # }
/// ```
///
/// [`ErrorReply::showing`] shows the text of an error. For an error type of your own, implement
/// `From<YourError> for ErrorReply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    code: &'static str,
    // Invariant: without CR and LF.
    text: Cow<'static, str>,
}

/// Errors of Redis whose text is always the same.
impl ErrorReply {
    /// `ERR syntax error`: an option is unknown, or an argument is missing.
    pub const SYNTAX: Self = Self::constant("ERR", "syntax error");
    /// `ERR value is not an integer or out of range`
    pub const NOT_AN_INTEGER: Self =
        Self::constant("ERR", "value is not an integer or out of range");
    /// `ERR value is not a valid float`
    pub const NOT_A_FLOAT: Self = Self::constant("ERR", "value is not a valid float");
    /// `ERR value is not valid UTF-8`, for which Redis has no error.
    pub const NOT_UTF8: Self = Self::constant("ERR", "value is not valid UTF-8");
    /// `ERR increment or decrement would overflow`
    pub const OVERFLOW: Self = Self::constant("ERR", "increment or decrement would overflow");
    /// `ERR no such key`
    pub const NO_SUCH_KEY: Self = Self::constant("ERR", "no such key");
    /// `ERR index out of range`
    pub const INDEX_OUT_OF_RANGE: Self = Self::constant("ERR", "index out of range");
    /// `WRONGTYPE Operation against a key holding the wrong kind of value`
    pub const WRONGTYPE: Self = Self::constant(
        "WRONGTYPE",
        "Operation against a key holding the wrong kind of value",
    );
    /// `NOAUTH Authentication required.`
    pub const NOAUTH: Self = Self::constant("NOAUTH", "Authentication required.");
    /// `WRONGPASS invalid username-password pair or user is disabled.`
    pub const WRONGPASS: Self = Self::constant(
        "WRONGPASS",
        "invalid username-password pair or user is disabled.",
    );
    /// `BUSYKEY Target key name already exists.`
    pub const BUSYKEY: Self = Self::constant("BUSYKEY", "Target key name already exists.");
}

/// Errors of Redis whose text has variables.
impl ErrorReply {
    /// Returns the error for an integer outside `range`: `ERR value is out of range, …`.
    #[must_use]
    pub fn out_of_range(range: &RangeInclusive<i64>) -> Self {
        let (min, max) = (range.start(), range.end());
        if (*min, *max) == (0, i64::MAX) {
            return Self::constant("ERR", "value is out of range, must be positive");
        }
        Self::err(format!(
            "value is out of range, value must between {min} and {max}"
        ))
    }

    /// Returns the error for too few or too many arguments: `ERR wrong number of arguments for
    /// 'command' command`. The [`Arity`](crate::Arity) finds most of these; this is for the others,
    /// such as an odd number of keys and values.
    #[must_use]
    pub fn wrong_arity(command: &str) -> Self {
        Self::err(format!("wrong number of arguments for '{command}' command"))
    }

    /// Returns the error for a user who may not run a command: `NOPERM User alice has no
    /// permissions to run the 'get' command`.
    #[must_use]
    pub fn noperm(user: &str, command: &str) -> Self {
        Self::new(
            "NOPERM",
            format!("User {user} has no permissions to run the '{command}' command"),
        )
    }
}

/// Errors of the program's own. CR and LF in a text become blanks.
impl ErrorReply {
    /// Returns the error `ERR text`: for errors that no client has to distinguish. The text is a
    /// literal or a `String`.
    #[must_use]
    pub fn err(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: "ERR",
            text: without_line_ends(text.into()),
        }
    }

    /// Returns an error with a code of the program's own, such as `LOCKED`.
    ///
    /// # Panics
    ///
    /// Panics if the code is not one: a capital letter, and then capital letters, digits and `_`.
    #[must_use]
    #[track_caller]
    pub fn new(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        assert!(
            is_code(code.as_bytes()),
            "an error's code is capitals, not {code:?}, at {}",
            Location::caller()
        );
        Self {
            code,
            text: without_line_ends(text.into()),
        }
    }

    /// Returns an error with a constant text. In a `const`, a code that [`Self::new`] would refuse
    /// does not compile.
    ///
    /// # Panics
    ///
    /// Panics like [`Self::new`], and if the text contains CR or LF.
    #[must_use]
    #[track_caller]
    pub const fn constant(code: &'static str, text: &'static str) -> Self {
        assert!(is_code(code.as_bytes()), "an error's code is capitals");
        assert!(is_one_line(text.as_bytes()), "an error is one line");
        Self {
            code,
            text: Cow::Borrowed(text),
        }
    }

    /// Shows the text of another error to the client, as `ERR text`: by
    /// `.map_err(ErrorReply::showing)?`.
    #[must_use]
    pub fn showing(error: impl fmt::Display) -> Self {
        Self::err(error.to_string())
    }

    /// Returns the code, such as `ERR`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the text after the code.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

impl std::error::Error for ErrorReply {}

/// Returns whether this is an error's code: a capital letter, then capital letters, digits and `_`.
pub(crate) const fn is_code(code: &[u8]) -> bool {
    let mut index = 0;
    while index < code.len() {
        let is_allowed = match code[index] {
            b'A'..=b'Z' => true,
            b'0'..=b'9' | b'_' => index > 0,
            _ => false,
        };
        if !is_allowed {
            return false;
        }
        index += 1;
    }
    index > 0
}

/// Returns `text` with blanks in place of CR and LF.
pub(crate) fn without_line_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_one_line(text.as_bytes()) {
        text
    } else {
        text.replace(['\r', '\n'], " ").into()
    }
}

/// Returns whether `text` has neither CR nor LF. The compiler evaluates this for a literal.
pub(super) const fn is_one_line(text: &[u8]) -> bool {
    let mut index = 0;
    while index < text.len() {
        if matches!(text[index], b'\r' | b'\n') {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_displays_as_its_line() {
        assert_eq!(ErrorReply::SYNTAX.to_string(), "ERR syntax error");
        assert_eq!(
            ErrorReply::noperm("alice", "get").to_string(),
            "NOPERM User alice has no permissions to run the 'get' command"
        );
        assert_eq!(
            ErrorReply::wrong_arity("mset").to_string(),
            "ERR wrong number of arguments for 'mset' command"
        );
        let own = ErrorReply::new("LOCKED", format!("job {}", 7));
        assert_eq!((own.code(), own.text()), ("LOCKED", "job 7"));
    }

    #[test]
    fn line_ends_in_a_text_become_blanks() {
        let error = ErrorReply::showing("a\r\n-OOPS b");
        assert_eq!(error.to_string(), "ERR a  -OOPS b");
        assert_eq!(ErrorReply::new("X", "\n").text(), " ");
    }

    #[test]
    fn range_from_zero_has_a_text_of_its_own() {
        let text = |range| ErrorReply::out_of_range(&range).text().to_owned();
        assert_eq!(
            text(0..=i64::MAX),
            "value is out of range, must be positive"
        );
        assert_eq!(
            text(0..=9),
            "value is out of range, value must between 0 and 9"
        );
    }

    #[test]
    fn code_is_capitals() {
        for code in ["ERR", "E", "BUSY_KEY2"] {
            assert!(is_code(code.as_bytes()), "{code:?}");
        }
        for code in ["", "err", "E R", "2E", "_E", "ÄRR", "E\r\n", "E-R"] {
            assert!(!is_code(code.as_bytes()), "{code:?}");
        }
    }

    #[test]
    #[should_panic(expected = "an error's code is capitals, not \"Locked\"")]
    fn other_codes_panic() {
        let _ = ErrorReply::new("Locked", "text");
    }
}
