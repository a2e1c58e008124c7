//! `ACL`: there is one user, `default`, who may do everything once it has said the password.

use sha2::{Digest, Sha256};

use super::arguments::{argument, wrong_arguments};
use crate::client::session::Session;
use crate::command::refusal::{QUOTED_BYTES_MAX, c_string};
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::CATEGORIES;

pub(super) fn register(mut acl: Container<'_>) {
    acl.register_own("WHOAMI", Arity::Exactly(2), whoami);
    acl.register_own("LIST", Arity::Exactly(2), list);
    acl.register_own("USERS", Arity::Exactly(2), users);
    acl.register_own("CAT", Arity::AtLeast(2), cat);
}

/// `ACL WHOAMI`: the user as whom the client is known.
fn whoami(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.bulk("default")
}

/// `ACL USERS`: the names of all users.
fn users(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.array(1, |users| users.add(|user| user.bulk("default")))
}

/// `ACL LIST`: what users may do, as an ACL file would say it. A password is shown as its SHA-256.
fn list(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let password = session.server().config.lock().requirepass.clone();
    let secret = match password {
        None => "nopass".to_owned(),
        Some(password) => {
            let digest = Sha256::digest(password);
            let digits: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("#{}", digits.concat())
        }
    };
    reply.array(1, |users| {
        users.add(|user| user.bulk(format!("user default on {secret} ~* &* +@all")));
    })
}

/// `ACL CAT [category]`: the categories of commands, or the commands of one.
fn cat(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let names: Vec<String> = match request.word_count() {
        2 => CATEGORIES.iter().map(ToString::to_string).collect(),
        3 => {
            let wanted = argument(request, 1);
            if !CATEGORIES
                .iter()
                .any(|category| wanted.eq_ignore_ascii_case(category.as_bytes()))
            {
                let wanted = c_string(wanted, QUOTED_BYTES_MAX);
                return reply.error([b"ERR Unknown category '", wanted, b"'"].concat());
            }
            session
                .server()
                .catalog
                .all()
                .filter(|command| command.is_in_category(wanted))
                .map(|command| command.full_name.to_string())
                .collect()
        }
        _ => return wrong_arguments("ACL", request, reply),
    };
    reply.array(names.len(), |items| {
        for name in &names {
            items.add(|item| item.bulk(name));
        }
    })
}
