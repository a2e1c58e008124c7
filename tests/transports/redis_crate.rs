//! The `redis` crate over TLS and over a Unix socket.

use redis::{Client, Connection, cmd};
use respool_testing::{PATIENCE, Scratch, free_port};

use crate::start;

#[test]
fn redis_crate_works_over_a_unix_socket() {
    let folder = Scratch::for_sockets();
    let socket = format!("{}/socket", folder.arg());
    let port = free_port().to_string();
    let server = start(&["--port", &port, "--unixsocket", &socket]);
    for protocol in ["resp2", "resp3"] {
        let url = format!("unix://{socket}?protocol={protocol}");
        pings_and_gets_a_message(&Client::open(url).expect("an address"));
    }
    let log = server.stop();
    assert!(!log.contains("[warning]"), "{log}");
}

fn pings_and_gets_a_message(client: &Client) {
    let connect = || -> Connection {
        let connection = client.get_connection().expect("the server answers");
        let timeout = Some(PATIENCE);
        connection.set_read_timeout(timeout).expect("a socket");
        connection
    };
    let mut connection = connect();
    assert_eq!(cmd("PING").query(&mut connection), Ok("PONG".to_owned()));
    // More than one TLS record.
    let long = "x".repeat(100_000);
    let echoed = cmd("ECHO").arg(&long).query::<String>(&mut connection);
    assert!(echoed == Ok(long));

    let mut subscriber = connect();
    let mut news = subscriber.as_pubsub();
    news.subscribe("news").expect("the server answers");
    let publish = cmd("PUBLISH").arg("news").arg("hello").to_owned();
    assert_eq!(publish.query(&mut connection), Ok(1));
    let message = news.get_message().expect("a message");
    assert_eq!(message.get_payload(), Ok("hello".to_owned()));
}

#[cfg(feature = "tls")]
mod tls {
    use std::fs;

    use redis::{Client, ClientTlsConfig, TlsCertificates};
    use respool_testing::certificates::Folder;

    use super::pings_and_gets_a_message;
    use crate::secure::Secure;

    #[test]
    fn redis_crate_works_over_tls() {
        let secure = Secure::start(&[]);
        for url in ["rediss://127.0.0.1", "rediss://localhost"] {
            for protocol in ["resp2", "resp3"] {
                let url = format!("{url}:{}/?protocol={protocol}", secure.tls.port());
                pings_and_gets_a_message(&tls_client(url, &secure.files, None));
            }
        }
        let log = secure.server.stop();
        assert!(!log.contains("[warning]"), "{log}");
    }

    #[test]
    fn redis_crate_shows_its_certificate() {
        let secure = Secure::start_for("yes", &[]);
        let url = format!("rediss://localhost:{}/", secure.tls.port());
        let files = &secure.files;
        let anonymous = tls_client(url.clone(), files, None).get_connection();
        assert!(anonymous.is_err());
        let pair = ClientTlsConfig {
            client_cert: fs::read(files.client_certificate()).expect("a file"),
            client_key: fs::read(files.client_key()).expect("a file"),
        };
        pings_and_gets_a_message(&tls_client(url, files, Some(pair)));
    }

    fn tls_client(url: String, files: &Folder, client_tls: Option<ClientTlsConfig>) -> Client {
        let root_cert = Some(fs::read(files.ca()).expect("a file"));
        let certificates = TlsCertificates {
            client_tls,
            root_cert,
        };
        Client::build_with_tls(url, certificates).expect("an address")
    }
}
