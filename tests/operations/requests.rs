//! One request on a connection, and its answer.

use std::net::{Ipv4Addr, TcpStream};

use respool::{Commands, Config, Server, StartError};
use respool_testing::http::{Answer, exchange, get};
use respool_testing::{Peer, TestServer, config, free_port};

use crate::Operated;

#[test]
fn each_path_has_its_content_type() {
    let operated = Operated::start(1);
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/figures.js", "text/javascript; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics?x=y", "text/plain; version=0.0.4; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
    ] {
        let answer = get(operated.http, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length), "{path}");
    }
}

#[test]
fn every_answer_has_the_headers_for_security() {
    let operated = Operated::start(1);
    for request in [
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
        "not HTTP\r\n\r\n",
    ] {
        let answer = exchange(operated.http, request);
        for (name, value) in [
            ("connection", "close"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{request}");
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|own| own == part), "{policy}");
        }
    }
}

#[test]
fn head_is_answered_as_get_without_the_body() {
    let operated = Operated::start(1);
    for path in ["/", "/livez", "/nothing"] {
        let whole = get(operated.http, path);
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = exchange(operated.http, request);
        assert_eq!((head.head, head.body), (whole.head, String::new()));
    }
}

#[test]
fn requests_that_are_not_answered_get_a_reason() {
    let operated = Operated::start(1);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(70));
    for (request, status, reason) in [
        (
            "POST / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            405,
            "GET and HEAD",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: ::1\r\n\r\n",
            421,
            "`http-hosts`",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "HEAD"),
        (
            "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
            404,
            "/metrics",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            421,
            "`http-hosts`",
        ),
        (
            "GET http://a.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            421,
            "`http-hosts`",
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        (
            "GET / HTTP/1.1\r\nHost: ::1\r\nHost: ::1\r\n\r\n",
            400,
            "Host",
        ),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "HTTP/1.1"),
        ("*1\r\n$4\r\nPING\r\n", 400, "HTTP/1.1"),
        ("\u{16}\u{3}\u{1}\u{2}", 400, "HTTP/1.1"),
        (&long, 431, "8192"),
        (&many, 431, "64"),
    ] {
        let answer = exchange(operated.http, request);
        assert_eq!(answer.status, status, "{request:.60}: {}", answer.body);
        assert!(
            answer.body.contains(reason),
            "{request:.60}: {}",
            answer.body
        );
        let allow = answer.header("allow");
        assert_eq!(
            allow,
            (status == 405).then_some("GET, HEAD"),
            "{request:.60}"
        );
    }
}

#[test]
fn http_1_0_needs_no_host() {
    let operated = Operated::start(1);
    assert_eq!(
        exchange(operated.http, "GET /livez HTTP/1.0\r\n\r\n").status,
        200
    );
    let foreign = "GET /livez HTTP/1.0\r\nHost: a.example\r\n\r\n";
    assert_eq!(exchange(operated.http, foreign).status, 421);
}

#[test]
fn names_of_http_hosts_are_answered() {
    let config = Config {
        http_hosts: vec!["metrics.example.com".parse().expect("a name")],
        ..config(1)
    };
    let operated = Operated::with(config, Commands::builtin());
    let status = |host: &str| {
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
        exchange(operated.http, request).status
    };
    assert_eq!(status("Metrics.Example.com:9121"), 200);
    assert_eq!(status("example.com"), 421);
}

#[test]
fn request_in_single_bytes_is_answered() {
    let operated = Operated::start(1);
    let mut peer = Peer::connect(operated.http);
    for byte in b"\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n" {
        peer.send([*byte]);
    }
    let answer = Answer::parse(peer.rest());
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
}

#[test]
fn one_request_is_answered_whatever_follows_it() {
    let operated = Operated::start(1);
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    for rest in ["some body", request, "\0\u{1}garbage", &"x".repeat(100_000)] {
        let mut peer = Peer::connect(operated.http);
        peer.send(format!("{request}{rest}"));
        // A close with unread input would be a reset.
        let answer = Answer::parse(peer.rest());
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    }
}

#[test]
fn half_closed_peer_has_its_answer() {
    let operated = Operated::start(1);
    let mut peer = Peer::connect(operated.http);
    peer.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer.end_sending();
    assert_eq!(Answer::parse(peer.rest()).status, 200);
    let mut incomplete = Peer::connect(operated.http);
    incomplete.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n");
    incomplete.end_sending();
    incomplete.expect_end();
}

#[test]
fn http_port_listens_on_http_bind() {
    let config = Config {
        http_port: free_port(),
        http_bind: vec!["127.0.0.2".parse().expect("an address")],
        ..config(1)
    };
    let port = config.http_port;
    let server = Server::bind(config, Commands::builtin()).expect("the server starts");
    assert_eq!(server.http_addrs(), [([127, 0, 0, 2], port).into()]);
    let addr = server.http_addrs()[0];
    let server = TestServer::serve(server);
    assert_eq!(get(addr, "/livez").body, "ok\n");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    drop(server);
}

#[test]
fn errors_about_the_port_name_its_key() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let taken_port = taken.local_addr().expect("it is bound").port();
    let with = |http_port, http_bind: &[&str], port| {
        let bind = http_bind
            .iter()
            .map(|addr| addr.parse().expect("an address"));
        let config = Config {
            http_port,
            http_bind: bind.collect(),
            port,
            ..config(1)
        };
        let error = |result: Result<(), StartError>| result.expect_err("it is refused").to_string();
        let check = Server::check(&config).map(|_| ());
        let bind = Server::bind(config, Commands::builtin()).map(|_| ());
        (check.err().map(|error| error.to_string()), error(bind))
    };
    let (check, bind) = with(taken_port, &["127.0.0.1"], 0);
    assert_eq!(check, None, "another server may be running");
    let expected = format!("cannot listen on 127.0.0.1:{taken_port} for HTTP: ");
    assert!(bind.starts_with(&expected), "{bind}");
    assert!(bind.ends_with("choose another `http-port`)"), "{bind}");
    for (http_port, bind, port, key) in [
        (9121, &["192.0.2.1"][..], 0, "`http-bind`"),
        (9121, &["-192.0.2.1"], 0, "`http-bind`"),
        (9121, &[], 0, "`http-bind`"),
        (9121, &["127.0.0.1"], 9121, "`http-port`"),
    ] {
        let (check, bind) = with(http_port, bind, port);
        assert!(bind.contains(key), "{bind}");
        assert_eq!(check.as_deref(), Some(&*bind));
    }
}
