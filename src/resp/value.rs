//! Values as replies.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::error_reply::ErrorReply;
use super::reply::{Items, Replied, Reply};

/// A value that can be a reply: see [`Reply::value`].
///
/// | value | reply |
/// |---|---|
/// | an integer; one that an `i64` cannot hold | integer; big number |
/// | `f64` | double |
/// | `bool` | boolean |
/// | `str`, `String`, `[u8]`, `Vec<u8>` | bulk string |
/// | `Option` | null for `None` |
/// | a slice, an array, a `Vec` or a tuple of values | array |
/// | [`ErrorReply`], `Result<_, ErrorReply>` | error |
///
/// Implement it for a type of your own to reply with it anywhere:
///
/// ```
/// use respool::{Replied, Reply, Value};
///
/// struct Job {
///     id: u64,
///     name: String,
/// }
///
/// impl Value for Job {
///     fn write_to(&self, reply: Reply<'_>) -> Replied {
///         reply.map(2, |fields| {
///             fields.entry("id", self.id);
///             fields.entry("name", &self.name);
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value that can be a reply",
    label = "`Value` is not implemented for this",
    note = "values are integers other than `u8`, `f64`, `bool`, texts, bytes, and `Option`, `Vec`, \
            slices and tuples of them",
    note = "implement `Value` for a type of your own, or use the other methods of `Reply`"
)]
pub trait Value {
    /// Replies with the value.
    fn write_to(&self, reply: Reply<'_>) -> Replied;
}

impl Reply<'_> {
    /// Replies with a value: see [`Value`] for the types, and the type of the reply.
    pub fn value(self, value: impl Value) -> Replied {
        value.write_to(self)
    }

    /// Replies with an array of `values`.
    ///
    /// # Panics
    ///
    /// Panics if the iterator's length is not what it said.
    #[track_caller]
    pub fn array_of<I>(self, values: I) -> Replied
    where
        I: IntoIterator<Item: Value, IntoIter: ExactSizeIterator>,
    {
        let values = values.into_iter();
        self.array(values.len(), |items| items.extend(values))
    }

    /// Replies with a set of `values`; in RESP2, with an array.
    ///
    /// # Panics
    ///
    /// Panics if the iterator's length is not what it said.
    #[track_caller]
    pub fn set_of<I>(self, values: I) -> Replied
    where
        I: IntoIterator<Item: Value, IntoIter: ExactSizeIterator>,
    {
        let values = values.into_iter();
        self.set(values.len(), |items| items.extend(values))
    }

    /// Replies with a map of these keys and values; in RESP2, with one flat array.
    ///
    /// # Panics
    ///
    /// Panics if the iterator's length is not what it said.
    #[track_caller]
    pub fn map_of<I, K, V>(self, pairs: I) -> Replied
    where
        I: IntoIterator<Item = (K, V), IntoIter: ExactSizeIterator>,
        K: Value,
        V: Value,
    {
        let pairs = pairs.into_iter();
        self.map(pairs.len(), |items| {
            for (key, value) in pairs {
                items.value(key);
                items.value(value);
            }
        })
    }
}

/// Shorter forms of [`Items::add`].
///
/// # Panics
///
/// Each panics after the last item.
impl Items<'_> {
    /// Adds a value: see [`Value`].
    #[track_caller]
    pub fn value(&mut self, value: impl Value) {
        self.add(|item| value.write_to(item));
    }

    /// Adds a key as a bulk string, and a value: see [`Value`].
    #[track_caller]
    pub fn entry(&mut self, key: impl AsRef<[u8]>, value: impl Value) {
        self.pair(key, |item| value.write_to(item));
    }

    /// Adds an integer.
    #[track_caller]
    pub fn integer(&mut self, value: i64) {
        self.add(|item| item.integer(value));
    }

    /// Adds a floating-point number: see [`Reply::double`].
    #[track_caller]
    pub fn double(&mut self, value: f64) {
        self.add(|item| item.double(value));
    }

    /// Adds true or false: see [`Reply::boolean`].
    #[track_caller]
    pub fn boolean(&mut self, value: bool) {
        self.add(|item| item.boolean(value));
    }

    /// Adds a bulk string: any bytes, or none.
    #[track_caller]
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        self.add(|item| item.bulk(bytes));
    }

    /// Adds a simple string: see [`Reply::simple`].
    #[track_caller]
    pub fn simple(&mut self, text: &str) {
        self.add(|item| item.simple(text));
    }

    /// Adds null, in place of a single value.
    #[track_caller]
    pub fn null(&mut self) {
        self.add(|item| item.null());
    }

    /// Adds an array of `count` items: see [`Reply::array`].
    #[track_caller]
    pub fn array(&mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) {
        let Replied { .. } = self.next_item().array(count, fill);
    }

    /// Adds a map of `count` pairs: see [`Reply::map`].
    #[track_caller]
    pub fn map(&mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) {
        let Replied { .. } = self.next_item().map(count, fill);
    }

    fn extend(&mut self, values: impl Iterator<Item: Value>) {
        for value in values {
            self.value(value);
        }
    }
}

/// Implements [`Value`] by a method of [`Reply`].
macro_rules! value {
    ($($type:ty => |$self:ident, $reply:ident| $write:expr;)*) => {
        $(impl Value for $type {
            #[inline]
            fn write_to(&$self, $reply: Reply<'_>) -> Replied {
                $write
            }
        })*
    };
}

value! {
    i8 => |self, reply| reply.integer((*self).into());
    i16 => |self, reply| reply.integer((*self).into());
    i32 => |self, reply| reply.integer((*self).into());
    i64 => |self, reply| reply.integer(*self);
    isize => |self, reply| reply.integer(*self as i64);
    u16 => |self, reply| reply.integer((*self).into());
    u32 => |self, reply| reply.integer((*self).into());
    u64 => |self, reply| match i64::try_from(*self) {
        Ok(value) => reply.integer(value),
        Err(_) => reply.big_number(&self.to_string()),
    };
    usize => |self, reply| (*self as u64).write_to(reply);
    f64 => |self, reply| reply.double(*self);
    bool => |self, reply| reply.boolean(*self);
    str => |self, reply| reply.bulk(self);
    String => |self, reply| reply.bulk(self);
    [u8] => |self, reply| reply.bulk(self);
    Vec<u8> => |self, reply| reply.bulk(self);
    ErrorReply => |self, reply| reply.error_of(self);
}

// `u8` is no value, so these do not overlap with those of bytes.

impl<const N: usize> Value for [u8; N] {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        reply.bulk(self)
    }
}

impl<T: Value> Value for [T] {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        reply.array_of(self)
    }
}

impl<T: Value, const N: usize> Value for [T; N] {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        reply.array_of(self)
    }
}

impl<T: Value> Value for Vec<T> {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        reply.array_of(self)
    }
}

impl<T: Value> Value for Option<T> {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        match self {
            Some(value) => value.write_to(reply),
            None => reply.null(),
        }
    }
}

impl<T: Value> Value for Result<T, ErrorReply> {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        match self {
            Ok(value) => value.write_to(reply),
            Err(error) => error.write_to(reply),
        }
    }
}

/// Implements [`Value`] for what points to one.
macro_rules! pointer {
    ($($type:ty: $bound:path),*) => {
        $(impl<T: $bound + ?Sized> Value for $type {
            fn write_to(&self, reply: Reply<'_>) -> Replied {
                (**self).write_to(reply)
            }
        })*
    };
}

pointer!(&T: Value, &mut T: Value, Box<T>: Value, Rc<T>: Value, Arc<T>: Value);

impl<T: Value + ToOwned + ?Sized> Value for Cow<'_, T> {
    fn write_to(&self, reply: Reply<'_>) -> Replied {
        (**self).write_to(reply)
    }
}

macro_rules! tuple {
    ($count:literal: $($name:ident $index:tt),*) => {
        impl<$($name: Value),*> Value for ($($name,)*) {
            fn write_to(&self, reply: Reply<'_>) -> Replied {
                reply.array($count, |items| {
                    $(items.value(&self.$index);)*
                })
            }
        }
    };
}

tuple!(1: A 0);
tuple!(2: A 0, B 1);
tuple!(3: A 0, B 1, C 2);
tuple!(4: A 0, B 1, C 2, D 3);
tuple!(5: A 0, B 1, C 2, D 3, E 4);
tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);

#[cfg(test)]
mod tests {
    use super::super::reply::Protocol;
    use super::*;

    fn bytes(protocol: Protocol, reply: impl FnOnce(Reply<'_>) -> Replied) -> String {
        let mut out = Vec::new();
        let Replied { .. } = reply(Reply::new(&mut out, protocol));
        String::from_utf8(out).expect("text").replace("\r\n", " ")
    }

    #[track_caller]
    fn assert_value(value: impl Value, resp2: &str, resp3: &str) {
        assert_eq!(bytes(Protocol::Resp2, |reply| reply.value(&value)), resp2);
        assert_eq!(bytes(Protocol::Resp3, |reply| reply.value(&value)), resp3);
    }

    #[test]
    fn numbers_have_their_types() {
        assert_value(-1_i8, ":-1 ", ":-1 ");
        assert_value(i64::MIN, ":-9223372036854775808 ", ":-9223372036854775808 ");
        assert_value(7_usize, ":7 ", ":7 ");
        assert_value(
            u64::MAX,
            "$20 18446744073709551615 ",
            "(18446744073709551615 ",
        );
        assert_value(1.5, "$3 1.5 ", ",1.5 ");
        assert_value(true, ":1 ", "#t ");
    }

    #[test]
    fn texts_and_bytes_are_bulk_strings() {
        assert_value("a", "$1 a ", "$1 a ");
        assert_value(String::from("a"), "$1 a ", "$1 a ");
        assert_value(b"ab", "$2 ab ", "$2 ab ");
        assert_value(&b"ab"[..], "$2 ab ", "$2 ab ");
        assert_value(vec![b'a'], "$1 a ", "$1 a ");
        assert_value(Cow::Borrowed("a"), "$1 a ", "$1 a ");
        assert_value(Arc::<[u8]>::from(*b"a"), "$1 a ", "$1 a ");
    }

    #[test]
    fn compound_values_are_nested_replies() {
        assert_value(None::<i64>, "$-1 ", "_ ");
        assert_value(Some("a"), "$1 a ", "$1 a ");
        assert_value(vec![1, 2], "*2 :1 :2 ", "*2 :1 :2 ");
        assert_value(&["a", "b"][..], "*2 $1 a $1 b ", "*2 $1 a $1 b ");
        assert_value(
            (1, "a", [None, Some(false)]),
            "*3 :1 $1 a *2 $-1 :0 ",
            "*3 :1 $1 a *2 _ #f ",
        );
        assert_value(
            [Ok(1), Err(ErrorReply::SYNTAX)],
            "*2 :1 -ERR syntax error ",
            "*2 :1 -ERR syntax error ",
        );
    }

    #[test]
    fn error_value_is_an_error_reply() {
        let mut out = Vec::new();
        let reply = Reply::new(&mut out, Protocol::Resp2);
        let replied = reply.value(Err::<i64, _>(ErrorReply::WRONGTYPE));
        let text = replied.error_in(&out).expect("an error");
        assert!(text.starts_with(b"WRONGTYPE Operation"));
    }

    #[test]
    fn iterators_are_aggregates() {
        for (protocol, set, map) in [
            (Protocol::Resp2, "*1 :1 ", "*4 $1 a :1 $1 b :2 "),
            (Protocol::Resp3, "~1 :1 ", "%2 $1 a :1 $1 b :2 "),
        ] {
            let squares = (1..4).map(|n| n * n);
            let array = bytes(protocol, |reply| reply.array_of(squares));
            assert_eq!(array, "*3 :1 :4 :9 ");
            assert_eq!(bytes(protocol, |reply| reply.set_of([1])), set);
            let pairs = [("a", 1), ("b", 2)];
            assert_eq!(bytes(protocol, |reply| reply.map_of(pairs)), map);
        }
    }

    #[test]
    fn items_have_short_forms() {
        let fill = |items: &mut Items<'_>| {
            items.integer(1);
            items.double(0.5);
            items.boolean(true);
            items.bulk("b");
            items.simple("s");
            items.null();
            items.array(1, |items| items.integer(2));
            items.map(1, |items| items.entry("k", 3));
            items.value("v");
        };
        assert_eq!(
            bytes(Protocol::Resp3, |reply| reply.array(9, fill)),
            "*9 :1 ,0.5 #t $1 b +s _ *1 :2 %1 $1 k :3 $1 v "
        );
    }

    struct Liar;

    impl Iterator for Liar {
        type Item = i64;

        fn next(&mut self) -> Option<i64> {
            None
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (1, Some(1))
        }
    }

    impl ExactSizeIterator for Liar {}

    #[test]
    #[should_panic(expected = "lacks 1 of its items")]
    fn iterator_of_a_wrong_length_panics() {
        bytes(Protocol::Resp2, |reply| reply.array_of(Liar));
    }
}
