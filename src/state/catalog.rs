//! The names, arity, keys and documentation of each command, by index, without the handlers.
//!
//! Statistics, CLIENT LIST, SLOWLOG and MONITOR take names from it, and COMMAND answers from it.

use std::borrow::Cow;
use std::num::NonZero;
use std::sync::Arc;

use super::keys::Keys;
use super::own_info::OwnInfo;
use crate::resp::Request;

/// The number of words in a command's requests. The name counts, as in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// This number of words.
    Exactly(usize),
    /// This number of words or more.
    AtLeast(usize),
    /// A minimum and a maximum number of words. `COMMAND` shows the minimum only.
    Between(usize, usize),
}

impl Arity {
    pub(crate) fn admits(self, words: usize) -> bool {
        match self {
            Self::Exactly(count) => words == count,
            Self::AtLeast(count) => words >= count,
            Self::Between(min, max) => (min..=max).contains(&words),
        }
    }

    /// Whether some request of at least so many words is admitted.
    pub(crate) fn admits_up_to(self, words: usize) -> bool {
        match self {
            Self::Exactly(max) | Self::Between(_, max) => words <= max,
            Self::AtLeast(_) => true,
        }
    }

    /// Whether only requests of at least so many words are admitted.
    pub(crate) fn admits_some_from(self, words: usize) -> bool {
        let (Self::Exactly(min) | Self::AtLeast(min) | Self::Between(min, _)) = self;
        min >= words
    }
}

/// The description of a command or subcommand.
#[derive(Debug, Clone)]
pub(crate) struct CommandInfo {
    /// In lower case; a subcommand with its container: `client|id`.
    pub(crate) full_name: Box<str>,
    pub(crate) arity: Arity,
    /// The index in the [`Catalog`] and in the statistics.
    pub(crate) index: u16,
    /// The position of the first word that is secret, as are those after it.
    pub(crate) secret_from: Option<NonZero<u32>>,
    pub(crate) docs: Box<Docs>,
    pub(crate) keys: Option<Arc<Keys>>,
}

impl CommandInfo {
    /// Returns the names of the container and of the subcommand, which is empty for a whole
    /// command.
    pub(super) fn names(&self) -> (&str, &str) {
        self.full_name
            .split_once('|')
            .unwrap_or((&self.full_name, ""))
    }

    /// Returns the name of a subcommand without its container; `None` for a whole command.
    pub(crate) fn subcommand_name(&self) -> Option<&str> {
        self.full_name.split_once('|').map(|(_, name)| name)
    }

    /// Returns the number of words in its name.
    pub(crate) fn name_words(&self) -> usize {
        1 + usize::from(self.subcommand_name().is_some())
    }

    /// Returns the keys in `request`, which has the right number of words. None if the command has
    /// no keys, or the request is malformed.
    pub(crate) fn keys_in<'a>(&self, request: &Request<'a>) -> Vec<&'a [u8]> {
        let keys = self.keys.as_ref();
        let indices = keys.map_or_else(Vec::new, |keys| keys.indices(request));
        let key = |index| request.argument(index);
        indices.into_iter().filter_map(key).collect()
    }

    /// Whether MONITOR shows its requests.
    pub(crate) fn is_shown_to_monitors(&self) -> bool {
        !self.docs.has_flag("admin") && !self.docs.has_flag("skip_monitor")
    }

    /// Whether it takes constant time.
    pub(crate) fn is_fast(&self) -> bool {
        self.docs.has_flag("fast")
    }

    /// Whether it belongs to the ACL category `name`, in any case.
    pub(crate) fn is_in_category(&self, name: &[u8]) -> bool {
        self.docs
            .categories()
            .any(|category| category.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Every command of a server, sorted by full name; the subcommands follow their container.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    infos: Vec<CommandInfo>,
    pub(crate) own_info: OwnInfo,
}

impl Catalog {
    /// Sorts `infos` and numbers them.
    pub(crate) fn new(mut infos: Vec<CommandInfo>, own_info: OwnInfo) -> Self {
        infos.sort_unstable_by(|one, other| one.names().cmp(&other.names()));
        for (index, info) in infos.iter_mut().enumerate() {
            // No program has more than 65,535 commands.
            info.index = index as u16;
        }
        Self { infos, own_info }
    }

    pub(crate) fn len(&self) -> usize {
        self.infos.len()
    }

    /// Returns the command with this index.
    pub(crate) fn get(&self, index: usize) -> Option<&CommandInfo> {
        self.infos.get(index)
    }

    /// Returns the command or subcommand of this full name, in any case: `ping`, `client|id`.
    pub(crate) fn find(&self, full_name: &[u8]) -> Option<&CommandInfo> {
        let full_name = str::from_utf8(full_name).ok()?.to_ascii_lowercase();
        let wanted = full_name.split_once('|').unwrap_or((&full_name, ""));
        let index = self
            .infos
            .binary_search_by(|info| info.names().cmp(&wanted));
        // `client|` is no name.
        index
            .ok()
            .map(|index| &self.infos[index])
            .filter(|info| *info.full_name == *full_name)
    }

    /// Returns every command and subcommand.
    pub(crate) fn all(&self) -> impl Iterator<Item = &CommandInfo> {
        self.infos.iter()
    }

    /// Returns every command without its subcommands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &CommandInfo> + Clone {
        self.infos
            .iter()
            .filter(|info| info.subcommand_name().is_none())
    }

    /// Returns the subcommands of a container; none for any other command.
    pub(crate) fn subcommands(&self, container: &CommandInfo) -> &[CommandInfo] {
        let first = usize::from(container.index) + 1;
        let rest = &self.infos[first.min(self.infos.len())..];
        let is_part = |info: &CommandInfo| {
            container.subcommand_name().is_none() && info.names().0 == &*container.full_name
        };
        &rest[..rest.partition_point(is_part)]
    }
}

/// The documentation of a command. An empty text or list means that there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Docs {
    /// In lower case; a subcommand with its container: `client|id`.
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    /// The version of Redis that added it.
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// Words in Redis's order, as are all lists here.
    pub(crate) flags: &'static str,
    /// Flags declared by a program in addition: bits in the order of [`DECLARABLE`].
    pub(crate) declared: u8,
    /// The ACL category that does not follow from its flags.
    pub(crate) category: &'static str,
    /// ACL categories declared by a program in addition: bits in the order of [`CATEGORIES`].
    pub(crate) declared_categories: u32,
    /// Hints for clients and proxies.
    pub(crate) tips: &'static str,
    /// Flags of the documentation: `syscmd` is no command for users.
    pub(crate) doc_flags: &'static str,
    /// In each line a version, a space and what changed in it.
    pub(crate) history: &'static str,
    pub(crate) arguments: &'static [Argument],
}

/// An argument of a command. An empty text or list means that there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    /// Empty for a literal word, which is named by its token.
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// The word in front of it.
    pub(crate) token: &'static str,
    pub(crate) since: &'static str,
    pub(crate) deprecated_since: &'static str,
    /// `optional`, `multiple` and, if the token is repeated too, `multiple_token`.
    pub(crate) flags: &'static str,
    /// The alternatives, or the parts in their order.
    pub(crate) arguments: &'static [Self],
}

impl Docs {
    /// The documentation of a program's command. Redis documents commands of its modules so.
    pub(crate) const UNDOCUMENTED: Self = Self {
        name: "",
        group: "module",
        since: "",
        summary: "",
        complexity: "",
        flags: "",
        declared: 0,
        category: "",
        declared_categories: 0,
        tips: "",
        doc_flags: "",
        history: "",
        arguments: &[],
    };

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.all_flags().any(|own| own == flag)
    }

    /// Returns Redis's flags, then those declared by a program.
    pub(crate) fn all_flags(&self) -> impl Iterator<Item = &'static str> {
        self.flags
            .split_whitespace()
            .chain(members(DECLARABLE, self.declared.into()))
    }

    /// Declares a flag of [`DECLARABLE`] for a program, unless Redis's flags have it.
    pub(crate) fn add_flag(&mut self, flag: &str) {
        if !self.has_flag(flag) {
            // No more than eight flags can be declared.
            self.declared |= member(DECLARABLE, flag).expect("it can be declared") as u8;
        }
    }

    /// Declares an ACL category for a program. Returns false if Redis has none of this name.
    pub(crate) fn add_category(&mut self, category: &str) -> bool {
        let member = member(CATEGORIES, category);
        self.declared_categories |= member.unwrap_or(0);
        member.is_some()
    }

    /// Returns the ACL categories of the command.
    pub(crate) fn categories(&self) -> impl Iterator<Item = &'static str> {
        CATEGORIES
            .split_whitespace()
            .filter(|category| self.is_in(category))
    }

    /// Whether the command is in this ACL category. Most follow from the flags
    /// (`setImplicitACLCategories` in `src/server.c`).
    fn is_in(&self, category: &str) -> bool {
        self.category == category
            || members(CATEGORIES, self.declared_categories).any(|own| own == category)
            || match category {
                "read" => self.has_flag("readonly"),
                "write" | "pubsub" | "admin" | "fast" | "blocking" => self.has_flag(category),
                "slow" => !self.has_flag("fast"),
                "dangerous" => self.has_flag("admin") || self.category == "admin",
                _ => false,
            }
    }
}

impl Argument {
    pub(crate) fn name(&self) -> Cow<'static, str> {
        if self.name.is_empty() {
            self.token.to_ascii_lowercase().into()
        } else {
            self.name.into()
        }
    }
}

/// Returns the set of this one of `words`; `None` if it is not among them.
fn member(words: &str, word: &str) -> Option<u32> {
    let index = words.split_whitespace().position(|other| other == word)?;
    Some(1 << index)
}

/// Returns the words in a set of `words`.
fn members(words: &'static str, set: u32) -> impl Iterator<Item = &'static str> {
    let is_in = move |(index, _): &(usize, _)| set & (1 << index) != 0;
    let words = words.split_whitespace().enumerate();
    words.filter(is_in).map(|(_, word)| word)
}

/// The flags that a program can declare, in Redis's order.
const DECLARABLE: &str = "write readonly admin blocking fast no_auth";

/// Every ACL category, in Redis's order (`ACLCommandCategories` in `src/acl.c`).
pub(crate) const CATEGORIES: &str = "keyspace read write set sortedset list hash string bitmap \
    hyperloglog geo stream pubsub admin fast slow blocking dangerous connection transaction \
    scripting";
