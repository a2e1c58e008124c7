//! A store with accounts: each tenant logs in, and has the keys that begin with its name.
//!
//! ```console
//! $ cargo run --release --example tenants
//! ```
//!
//! ```console
//! $ redis-cli -p 6380 GET alice:color
//! (error) NOAUTH Authentication required.
//! $ export REDISCLI_AUTH=wonder
//! $ redis-cli -p 6380 --user alice SET alice:color red
//! OK
//! $ redis-cli -p 6380 --user alice/web GET alice:color
//! "red"
//! $ redis-cli -p 6380 --user alice GET bob:color
//! (error) NOPERM No permissions to access a key
//! $ redis-cli -p 6380 --user alice MONITOR
//! (error) NOPERM User alice has no permissions to run the 'monitor' command
//! $ redis-cli -p 6380 --user alice CLIENT KILL TYPE normal
//! (error) NOPERM User alice has no permissions to run the 'client|kill' command
//! ```
//!
//! - `on_auth` checks each login, of `AUTH` and of `HELLO … AUTH`, which most clients send.
//!   `set_user` sets what `ACL WHOAMI` and `CLIENT LIST` show: the tenant. So its programs may have
//!   names of their own, such as `alice/web`.
//! - The middleware sees each call, also of the built-in commands, and refuses by what commands
//!   declare: the category `admin` has all that reads, closes or pauses other clients. Channels
//!   belong to nobody, so nobody gets them. A command of yours has to declare its keys.
//! - The digests are for tokens that a machine has made. Passwords of people need a slow hash.

use std::collections::HashMap;
use std::sync::Arc;

use constant_time_eq::constant_time_eq;
use hmac_sha256::Hash;
use parking_lot::Mutex;
use respool::{Arity, Call, Commands, Config, ErrorReply, Middleware, Server, Session, StartError};

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    let commands = commands(&[("alice", "wonder"), ("bob", "builder"), ("root", "secret")]);
    Server::bind(config, commands)?.serve()?;
    Ok(())
}

/// Returns the built-in commands, `GET key` and `SET key value`, for these names and tokens.
pub(crate) fn commands(accounts: &[(&str, &str)]) -> Commands {
    let digest = |(name, token): &(&str, &str)| ((*name).to_owned(), Hash::hash(token.as_bytes()));
    let digests: HashMap<String, [u8; 32]> = accounts.iter().map(digest).collect();
    let mut commands = Commands::builtin();
    commands.on_auth(move |session, user, token| {
        let tenant = user.split('/').next().unwrap_or_default();
        // An unknown tenant takes as long as a wrong token. No token has the digest 0.
        let expected = digests.get(tenant).unwrap_or(&[0; 32]);
        if constant_time_eq(expected, &Hash::hash(token)) {
            session.set_user(tenant)
        } else {
            Err(ErrorReply::WRONGPASS)
        }
    });
    commands.set_middleware(Permissions);
    register_store(&mut commands);
    commands
}

fn register_store(commands: &mut Commands) {
    let written = Arc::new(Mutex::new(HashMap::<Vec<u8>, Vec<u8>>::new()));
    let read = Arc::clone(&written);
    commands
        .register("SET", Arity::Exactly(3), move |_, request, reply| {
            let (key, value) = (request.bytes(0)?, request.bytes(1)?);
            written.lock().insert(key.to_vec(), value.to_vec());
            Ok(reply.simple("OK"))
        })
        .keys(1, 1, 1)
        .writes()
        .register("GET", Arity::Exactly(2), move |_, request, reply| {
            Ok(reply.value(read.lock().get(request.bytes(0)?)))
        })
        .keys(1, 1, 1)
        .reads();
}

/// Every tenant may run what is not for operators, on its own keys. `root` may do everything.
struct Permissions;

impl Middleware for Permissions {
    fn before(&self, session: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        let user = session.user();
        if user == "root" {
            return Ok(());
        }
        if call
            .categories()
            .any(|category| matches!(category, "admin" | "pubsub"))
        {
            return Err(ErrorReply::noperm(&user, call.name()));
        }
        let own = format!("{user}:");
        if call
            .keys()
            .iter()
            .all(|key| key.starts_with(own.as_bytes()))
        {
            Ok(())
        } else {
            Err(ErrorReply::constant(
                "NOPERM",
                "No permissions to access a key",
            ))
        }
    }
}
