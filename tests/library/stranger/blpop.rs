//! A service with lists: `RPUSH key value` and `BLPOP key seconds`, as a stranger writes it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use respool::{Arity, Commands, Config, DeferredReply, Server};

#[derive(Default)]
struct Lists {
    values: HashMap<Vec<u8>, VecDeque<Vec<u8>>>,
    /// The clients that wait for a key, in their order.
    waiting: BTreeMap<(Vec<u8>, u64), DeferredReply>,
    last_number: u64,
}

impl Lists {
    fn pop(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let values = self.values.get_mut(key)?;
        let value = values.pop_front();
        if values.is_empty() {
            self.values.remove(key);
        }
        value
    }

    /// Sends the value to the first client that waits, or keeps it.
    fn push(&mut self, key: &[u8], value: &[u8]) {
        let of_key = (key.to_vec(), 0)..=(key.to_vec(), u64::MAX);
        while let Some((number, _)) = self.waiting.range(of_key.clone()).next() {
            let number = number.clone();
            let token = self.waiting.remove(&number).unwrap();
            if token.reply(|reply| reply.array_of([key, value])) {
                return;
            }
        }
        let values = self.values.entry(key.to_vec()).or_default();
        values.push_back(value.to_vec());
    }
}

fn commands() -> Commands {
    let lists: Arc<Mutex<Lists>> = Arc::default();
    let mut commands = Commands::builtin();
    let of_push = Arc::clone(&lists);
    commands.register("RPUSH", Arity::Exactly(3), move |_, request, reply| {
        let mut lists = of_push.lock().unwrap();
        lists.push(request.bytes(0)?, request.bytes(1)?);
        Ok(reply.integer(1))
    });
    commands.register(
        "BLPOP",
        Arity::Exactly(3),
        move |session, request, reply| {
            let (key, timeout) = (request.bytes(0)?, request.timeout(1)?);
            let mut own = lists.lock().unwrap();
            if let Some(value) = own.pop(key) {
                return Ok(reply.array_of([key, &value]));
            }
            own.last_number += 1;
            let number = (key.to_vec(), own.last_number);
            let (forgotten, lists) = (number.clone(), Arc::clone(&lists));
            Ok(session
                .defer(reply)
                .timeout(timeout, |reply| reply.null_array())
                .on_cancel(move || drop(lists.lock().unwrap().waiting.remove(&forgotten)))
                .start(|token| drop(own.waiting.insert(number, token))))
        },
    );
    commands
}

fn main() {
    let config = Config {
        port: 0,
        workers: 2,
        maxclients: 11_000,
        ..Config::default()
    };
    let server = Server::bind(config, commands()).unwrap();
    println!("{}", server.local_addrs()[0]);
    server.serve().unwrap();
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use respool::testing::{self, Answer, Offline};

    #[test]
    fn values_come_in_their_order() -> Result<(), Box<dyn Error>> {
        let server = testing::serve(commands())?;
        let (mut one, mut two) = (server.client()?, server.client()?);
        one.send(["BLPOP", "key", "0"])?;
        for value in ["1", "2", "3"] {
            assert_eq!(two.call(["RPUSH", "key", value])?, 1);
        }
        assert_eq!(one.receive()?, ["key", "1"]);
        assert_eq!(one.call(["BLPOP", "key", "0"])?, ["key", "2"]);
        assert_eq!(two.call(["BLPOP", "key", "0"])?, ["key", "3"]);
        assert_eq!(two.call(["BLPOP", "key", "0.01"])?, Answer::Null);
        Ok(())
    }

    #[test]
    fn value_for_a_client_that_has_left_is_kept() -> Result<(), Box<dyn Error>> {
        let server = Offline::new(commands())?;
        let (mut one, mut two) = (server.client(), server.client());
        one.send(["BLPOP", "key", "0"])?;
        drop(one);
        assert_eq!(two.call(["RPUSH", "key", "1"])?, 1);
        assert_eq!(two.call(["BLPOP", "key", "10"])?, ["key", "1"]);
        Ok(())
    }
}
