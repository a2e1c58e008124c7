//! The answer to each request.

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::{Answer, Status};
use super::host;
use super::metrics::{self, Metrics};
use super::request::{HEAD_BYTES_MAX, Method, Request};
use crate::config::HostName;
use crate::state::ServerState;
use crate::state::health::{Health, Unfit};

#[derive(Debug)]
pub(super) struct Routes {
    state: Arc<ServerState>,
    metrics: Metrics,
    /// `http-hosts`.
    names: Vec<HostName>,
}

impl Routes {
    pub(super) fn new(state: Arc<ServerState>) -> Self {
        let names = state.config.lock().http_hosts.clone();
        Self {
            state,
            metrics: Metrics::default(),
            names,
        }
    }

    /// Returns the bytes of the answer to a request, or to something else.
    pub(super) fn answer(&mut self, request: Result<Request, Status>) -> Vec<u8> {
        let with_body = !matches!(
            request,
            Ok(Request {
                method: Method::Head,
                ..
            })
        );
        let answer = request.map_or_else(refusal, |request| self.of(&request));
        answer.into_bytes(with_body)
    }

    fn of(&mut self, request: &Request) -> Answer {
        // First: a page of another site learns nothing.
        if let Some(host) = &request.host
            && !host::is_allowed(host, &self.names)
        {
            return refusal(Status::MisdirectedRequest);
        }
        if request.method == Method::Other {
            return refusal(Status::MethodNotAllowed);
        }
        match &*request.path {
            "/metrics" => Answer {
                status: Status::Ok,
                content_type: metrics::CONTENT_TYPE,
                body: self.metrics.text(&self.state).into(),
            },
            "/livez" => self.health(|health| health.live),
            "/readyz" => self.health(|health| health.ready),
            "/" => file("text/html; charset=utf-8", include_str!("page/index.html")),
            "/page.css" => file("text/css; charset=utf-8", include_str!("page/page.css")),
            "/page.js" => file(SCRIPT, include_str!("page/page.js")),
            "/figures.js" => file(SCRIPT, include_str!("page/figures.js")),
            _ => refusal(Status::NotFound),
        }
    }

    /// Returns the answer to a health check, with the reason if something is wrong.
    fn health(&self, of: impl FnOnce(Health) -> Result<(), Unfit>) -> Answer {
        let control = self.state.control();
        match control.map(|control| of(control.health())) {
            Some(Ok(())) => Answer::text(Status::Ok, "ok"),
            Some(Err(reason)) => Answer::text(Status::ServiceUnavailable, reason.to_string()),
            None => Answer::text(Status::ServiceUnavailable, "the server has ended"),
        }
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Returns one of the page's files.
fn file(content_type: &'static str, text: &'static str) -> Answer {
    Answer {
        status: Status::Ok,
        content_type,
        body: text.into(),
    }
}

/// Returns an answer that says what was wrong.
fn refusal(status: Status) -> Answer {
    let text: Cow<'static, str> = match status {
        Status::BadRequest => {
            "this port answers HTTP/1.1 requests with one Host header, such as: GET /metrics".into()
        }
        Status::NotFound => "there are /, /metrics, /livez and /readyz".into(),
        Status::MethodNotAllowed => "only GET and HEAD are answered".into(),
        Status::MisdirectedRequest => {
            "the Host header is neither an IP address, nor localhost, nor a name in `http-hosts`; \
             add the name there, if this server has it"
                .into()
        }
        Status::HeaderTooLarge => {
            format!("a request may have {HEAD_BYTES_MAX} bytes before its body, and 64 headers")
                .into()
        }
        Status::VersionNotSupported => "only HTTP/1.0 and HTTP/1.1 are answered".into(),
        Status::Ok | Status::ServiceUnavailable => status.line().into(),
    };
    Answer::text(status, text)
}
