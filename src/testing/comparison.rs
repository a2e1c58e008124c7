//! Comparisons of answers with literals.

use super::answer::Answer;

/// Implements the comparison of an [`Answer`] with a type.
macro_rules! compare {
    ($([$($generic:tt)*] $type:ty => |$answer:ident, $other:ident| $is_equal:expr;)*) => {
        $(impl<$($generic)*> PartialEq<$type> for Answer {
            fn eq(&self, $other: &$type) -> bool {
                let $answer = self;
                $is_equal
            }
        })*
    };
}

compare! {
    [] str => |answer, text| answer.text() == Some(text.as_bytes());
    [] &str => |answer, text| answer == *text;
    [] String => |answer, text| answer == text.as_str();
    [const N: usize] &[u8; N] => |answer, bytes| answer.text() == Some(bytes.as_slice());
    [] i64 => |answer, value| matches!(answer, Answer::Integer(own) if own == value);
    [] bool => |answer, value| matches!(answer, Answer::Boolean(own) if own == value);
    [] f64 => |answer, value| matches!(answer, Answer::Double(own) if own == value);
}

impl<T, const N: usize> PartialEq<[T; N]> for Answer
where
    Answer: PartialEq<T>,
{
    fn eq(&self, others: &[T; N]) -> bool {
        has_items(self, others)
    }
}

impl<T> PartialEq<Vec<T>> for Answer
where
    Answer: PartialEq<T>,
{
    fn eq(&self, others: &Vec<T>) -> bool {
        has_items(self, others)
    }
}

fn has_items<T>(answer: &Answer, others: &[T]) -> bool
where
    Answer: PartialEq<T>,
{
    let is_equal = |items: Vec<&Answer>| {
        items.len() == others.len() && items.iter().zip(others).all(|(item, other)| *item == other)
    };
    answer.items().is_some_and(is_equal)
}

/// Implements the comparison with tuples, for items of several types.
macro_rules! compare_tuples {
    ($(($($type:ident $item:ident $other:ident),+))*) => {
        $(impl<$($type),+> PartialEq<($($type,)+)> for Answer
        where
            $(Answer: PartialEq<$type>),+
        {
            fn eq(&self, ($($other,)+): &($($type,)+)) -> bool {
                match self.items().as_deref() {
                    Some([$($item),+]) => $(*$item == $other)&&+,
                    _ => false,
                }
            }
        })*
    };
}

compare_tuples! {
    (A a other_a, B b other_b)
    (A a other_a, B b other_b, C c other_c)
    (A a other_a, B b other_b, C c other_c, D d other_d)
    (A a other_a, B b other_b, C c other_c, D d other_d, E e other_e)
    (A a other_a, B b other_b, C c other_c, D d other_d, E e other_e, F f other_f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_each_type_equal_their_text() {
        let verbatim = Answer::Verbatim {
            format: "txt".into(),
            text: b"OK".to_vec(),
        };
        for answer in [Answer::simple("OK"), Answer::bulk("OK"), verbatim] {
            assert_eq!(answer, "OK");
            assert_eq!(answer, b"OK");
            assert_eq!(answer, "OK".to_owned());
            assert_ne!(answer, "ok");
        }
        assert_eq!(Answer::bulk(b"\xff"), b"\xff");
        assert_ne!(Answer::error("OK"), "OK");
        assert_ne!(Answer::bulk("OK"), Answer::simple("OK"));
        assert_ne!(Answer::Null, "");
    }

    #[test]
    fn numbers_equal_those_of_their_type() {
        assert_eq!(Answer::Integer(7), 7);
        assert_eq!(Answer::Double(1.5), 1.5);
        assert_eq!(Answer::Boolean(true), true);
        assert_ne!(Answer::bulk("7"), 7);
        assert_ne!(Answer::Integer(1), true);
        assert_ne!(Answer::Integer(7), 8);
    }

    #[test]
    fn sequences_equal_arrays_and_tuples() {
        let items = vec![Answer::bulk("a"), Answer::simple("b")];
        for answer in [Answer::Array, Answer::Set, Answer::Push].map(|kind| kind(items.clone())) {
            assert_eq!(answer, ["a", "b"]);
            assert_eq!(answer, vec!["a", "b"]);
            assert_eq!(answer, ("a", Answer::simple("b")));
            assert_ne!(answer, ["a"]);
            assert_ne!(answer, ["a", "c"]);
            assert_ne!(answer, ("a", "b", "c"));
        }
        let nested = Answer::Array(vec![Answer::Integer(1), Answer::Array(items)]);
        assert_eq!(nested, (1, ["a", "b"]));
        assert_ne!(Answer::Null, [""; 0]);
    }

    #[test]
    fn maps_equal_their_keys_and_values_in_turn() {
        let pair = (Answer::bulk("a"), Answer::Integer(1));
        assert_eq!(Answer::Map(vec![pair.clone()]), ("a", 1));
        assert_eq!(
            Answer::Map(vec![pair.clone(), pair.clone()]),
            ("a", 1, "a", 1)
        );
        assert_ne!(Answer::Map(vec![pair]), ("a", 2));
        assert_eq!(Answer::Map(Vec::new()), [""; 0]);
    }
}
