//! `ACL`: the only user is `default`, which may run every command once it is authenticated. If the
//! program checks logins, it alone knows the users.

use hmac_sha256::Hash;

use super::common::{argument, bulks, is, wrong_arguments};
use crate::client::session::Session;
use crate::command::refusal::{QUOTED_BYTES_MAX, c_string};
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::CATEGORIES;
use crate::state::clients::DEFAULT_USER;

pub(super) fn register(mut acl: Container<'_>) {
    acl.register_own("WHOAMI", Arity::Exactly(2), whoami);
    acl.register_own("LIST", Arity::Exactly(2), list);
    acl.register_own("USERS", Arity::Exactly(2), users);
    acl.register_own("CAT", Arity::AtLeast(2), cat);
}

/// `ACL WHOAMI`: the client's user.
fn whoami(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.bulk(session.user())
}

/// `ACL USERS`: the names of all users.
fn users(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.server_state().settings.has_on_auth() {
        return reply.error(USERS_OF_PROGRAM);
    }
    bulks([DEFAULT_USER], reply)
}

/// `ACL LIST`: the user's line of an ACL file, with the SHA-256 of the password.
fn list(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.server_state().settings.has_on_auth() {
        return reply.error(USERS_OF_PROGRAM);
    }
    let password = session.server_state().config.lock().requirepass.clone();
    let secret = match password {
        None => "nopass".to_owned(),
        Some(password) => {
            let digest = Hash::hash(password.as_bytes());
            let digits: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("#{}", digits.concat())
        }
    };
    bulks([format!("user default on {secret} ~* &* +@all")], reply)
}

/// An empty list would say that nobody may connect, and `requirepass` has no effect.
const USERS_OF_PROGRAM: &str = "ERR this server's users are known only to the program that runs it";

/// `ACL CAT [category]`: the categories of commands, or the commands of one.
fn cat(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let categories: Vec<_> = CATEGORIES.split_whitespace().collect();
    let wanted = match request.word_count() {
        2 => return bulks(categories, reply),
        3 => argument(request, 1),
        _ => return wrong_arguments("ACL", request, reply),
    };
    if !categories.iter().any(|category| is(wanted, category)) {
        let wanted = c_string(wanted, QUOTED_BYTES_MAX);
        return reply.error([b"ERR Unknown category '", wanted, b"'"].concat());
    }
    let commands = session.server_state().catalog.all();
    let commands = commands.filter(|command| command.is_in_category(wanted));
    let names: Vec<_> = commands.map(|command| &*command.full_name).collect();
    bulks(names, reply)
}
