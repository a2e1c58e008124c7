//! `AUTH` and `HELLO`: logins, checked against `requirepass` or by the program.

use std::sync::Arc;

use super::common::{is, syntax_error};
use super::connection::invalid_name;
use crate::client::session::{Restrictions, Session};
use crate::command::entry::PausePolicy;
use crate::command::{Arity, Commands};
use crate::resp::{ErrorReply, Protocol, Replied, Reply, Request, parse_integer};
use crate::state::REDIS_VERSION;

/// Checks a user and a password.
type Check = dyn Fn(&mut Session, &[u8], &[u8]) -> Result<(), ErrorReply> + Send + Sync;

pub(super) fn register(commands: &mut Commands) {
    register_with(commands, Arc::new(by_requirepass));
}

fn register_with(commands: &mut Commands, check: Arc<Check>) {
    let check_again = Arc::clone(&check);
    let hello = move |session: &mut Session, request: &Request<'_>, reply: Reply<'_>| {
        hello(&*check, session, request, reply)
    };
    let auth = move |session: &mut Session, request: &Request<'_>, reply: Reply<'_>| {
        auth(&*check_again, session, request, reply)
    };
    commands.register_own("HELLO", Arity::AtLeast(1), hello);
    commands.register_own("AUTH", Arity::AtLeast(2), auth);
    for name in ["HELLO", "AUTH"] {
        let command = commands.get_mut(name).expect("registered above");
        command.allowed_under = Restrictions::PASSWORD;
        // During a pause, a client has to be able to connect and send CLIENT UNPAUSE.
        command.pause_policy = PausePolicy::Never;
    }
}

impl Commands {
    /// Has the program check every login, in place of `requirepass`: of `AUTH password` by the user
    /// `default`, of `AUTH user password`, and of `HELLO … AUTH user password`, which most clients
    /// send. Adds these commands, or replaces them.
    ///
    /// Clients have to log in, also without a `requirepass`, which is not asked. If `hook` returns
    /// an error, it is the reply, and the client stays what it was. If it returns `Ok`, the client
    /// is the user, unless `hook` has called [`Session::set_user`]. `RESET` logs out.
    ///
    /// ```
    /// use respool::{Commands, ErrorReply};
    /// # fn password_of(user: &str) -> Option<Vec<u8>> { None }
    /// # fn is_equal(one: &[u8], other: &[u8]) -> bool { false }
    ///
    /// let mut commands = Commands::builtin();
    /// commands.on_auth(|_session, user, password| {
    ///     let expected = password_of(user).ok_or(ErrorReply::WRONGPASS)?;
    ///     if is_equal(&expected, password) {
    ///         Ok(())
    ///     } else {
    ///         Err(ErrorReply::WRONGPASS)
    ///     }
    /// });
    /// ```
    ///
    /// `hook` runs on a worker, and may block as a handler may. It should take the same time for
    /// every password, and for every user: compare digests of passwords in constant time, as the
    /// crate `constant_time_eq` does, and never by `==`. Names that [`Session::set_user`] refuses
    /// get `WRONGPASS` without `hook`.
    ///
    /// Every user may run every command: set a [`Middleware`](crate::Middleware) to refuse some.
    /// `ACL LIST` and `ACL USERS` are errors, because only the program knows the users.
    pub fn on_auth(
        &mut self,
        hook: impl Fn(&mut Session, &str, &[u8]) -> Result<(), ErrorReply> + Send + Sync + 'static,
    ) -> &mut Self {
        let check = move |session: &mut Session, user: &[u8], password: &[u8]| {
            let user = str::from_utf8(user).map_err(|_| ErrorReply::WRONGPASS)?;
            session.log_in(user, |session| hook(session, user, password))
        };
        register_with(self, Arc::new(check));
        self.has_on_auth = true;
        self
    }
}

/// The only user is `default`, and its password is `requirepass`. If that is unset, every password
/// is right.
fn by_requirepass(session: &mut Session, user: &[u8], password: &[u8]) -> Result<(), ErrorReply> {
    // Compares the password in any case, so that a wrong user takes as long.
    let is_password = session.server_state().settings.is_password(password);
    if user == b"default" && is_password {
        session.forget_user();
        session.authenticate();
        Ok(())
    } else {
        Err(ErrorReply::WRONGPASS)
    }
}

/// The arguments of `HELLO`.
struct Hello<'a> {
    protocol: Protocol,
    /// The user and the password.
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`: switches the protocol and answers with
/// the server's properties. A refused `HELLO` changes nothing.
fn hello(check: &Check, session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let hello = match Hello::parse(session, request) {
        Ok(hello) => hello,
        Err(text) => return reply.error(text),
    };
    if let Some((user, password)) = hello.login {
        if let Err(error) = check(session, user, password) {
            return reply.value(error);
        }
    } else if session.wants_password() {
        return reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(Err(invalid)) = hello.name.map(|name| session.set_name(name)) {
        return reply.error(invalid_name(invalid));
    }
    session.set_protocol(hello.protocol);
    introduce(session, reply.with_protocol(hello.protocol))
}

impl<'a> Hello<'a> {
    /// Reads the arguments; an error is the text of the reply.
    fn parse(session: &Session, request: &Request<'a>) -> Result<Self, Vec<u8>> {
        let mut arguments = request.arguments();
        let protocol = match arguments.next().map(parse_integer) {
            None => session.protocol(),
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return Err(b"NOPROTO unsupported protocol version".into()),
            Some(None) => {
                return Err(b"ERR Protocol version is not an integer or out of range".into());
            }
        };
        let (mut login, mut name) = (None, None);
        while let Some(option) = arguments.next() {
            if is(option, "AUTH") && arguments.len() >= 2 {
                login = arguments.next().zip(arguments.next());
            } else if is(option, "SETNAME") && arguments.len() >= 1 {
                name = arguments.next();
                if let Some(Err(invalid)) = name.map(Session::check_name) {
                    return Err(invalid_name(invalid).into());
                }
            } else {
                return Err([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
            }
        }
        Ok(Self {
            protocol,
            login,
            name,
        })
    }
}

/// Answers all seven fields of Redis: some clients fail if one is missing.
fn introduce(session: &Session, reply: Reply<'_>) -> Replied {
    let proto = match session.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    // No server counts so many clients that their number does not fit.
    let id = session.id() as i64;
    let mode = session.server_state().catalog.own_info.mode();
    reply.map(7, |fields| {
        fields.pair("server", |value| value.bulk("redis"));
        fields.pair("version", |value| value.bulk(REDIS_VERSION));
        fields.pair("proto", |value| value.integer(proto));
        fields.pair("id", |value| value.integer(id));
        fields.pair("mode", |value| value.bulk(mode));
        fields.pair("role", |value| value.bulk("master"));
        fields.pair("modules", |value| value.array(0, |_| ()));
    })
}

/// `AUTH [user] password`: without a user, that is `default`.
fn auth(check: &Check, session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let argument = |index| request.argument(index).unwrap_or_default();
    let (user, password) = match request.word_count() {
        2 if !session.server_state().settings.requires_password() => {
            return reply.error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            );
        }
        2 => (&b"default"[..], argument(0)),
        3 => (argument(0), argument(1)),
        _ => return syntax_error(reply),
    };
    match check(session, user, password) {
        Ok(()) => reply.simple("OK"),
        Err(error) => reply.value(error),
    }
}
