//! `unixsocketperm`: permissions of a file in octal digits, as in redis.conf.

use std::borrow::Cow;
use std::str::FromStr;

use crate::config::values::{Value, out_of_range};

/// The permissions of a file, up to 777. 0 means those of the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions(u32);

/// The text is not a number in octal digits, or too large.
#[derive(Debug, thiserror::Error)]
#[error("expected permissions in octal digits from 0 to 777, as for chmod")]
pub(crate) struct PermissionsError;

impl FromStr for Permissions {
    type Err = PermissionsError;

    fn from_str(text: &str) -> Result<Self, PermissionsError> {
        let number = octal(text).filter(|number| *number <= MAX);
        number.map(Self).ok_or(PermissionsError)
    }
}

impl Value for Permissions {
    type Plain = u32;

    fn plain(self) -> u32 {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        match octal(text) {
            Some(number) if number <= MAX => Ok(Self(number)),
            Some(_) => Err(out_of_range("0", format_args!("{MAX:o}"))),
            None => Err("argument couldn't be parsed as an octal number".into()),
        }
    }

    fn text(permissions: &u32) -> String {
        format!("{permissions:o}")
    }
}

fn octal(text: &str) -> Option<u32> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|_| are_digits)
}

/// All permissions that a socket can have.
const MAX: u32 = 0o777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_octal_digits_up_to_777() {
        let read = |text: &str| text.parse::<Permissions>().ok().map(Value::plain);
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("700"), Some(0o700));
        assert_eq!(read("0777"), Some(0o777));
        for wrong in ["", "1000", "8", "rwx", "+7", "-1", "0o700", "99999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Permissions::text(&0o640), "640");
    }

    #[test]
    fn config_replies_to_wrong_permissions_as_redis() {
        let reason = |text| Permissions::from_argument(text).unwrap_err();
        assert_eq!(
            reason("1000"),
            "argument must be between 0 and 777 inclusive"
        );
        let not_octal = "argument couldn't be parsed as an octal number";
        assert_eq!(reason("888"), not_octal);
        assert_eq!(reason("x"), not_octal);
    }
}
