//! One request to one answer: which path, who asks, what is to happen, and the answer in time.
//! Read top to bottom; every request comes through [`reply`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use tokio::time::{Instant, sleep_until};

use super::anthropic::Messages;
use super::ask::{Ask, digest};
use super::behaviour::{Behaviour, Fail, Turn};
use super::calls::{Asked, Call, Digest, End};
use super::dialect::{Dialect, Event, Events, json as bytes_of};
use super::openai::{self, Chat, Embeddings, Text};
use super::paced::{Break, Pace, Paced};
use super::script::Script;
use super::{Provider, control, directive, echo};

/// A flood is written in pieces of this size.
const FLOOD_PIECE: &[u8; 64 << 10] = &[b' '; 64 << 10];

/// A request as it arrived.
struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    arrived: Instant,
}

/// One call under way: what it asked, what it is told to do.
struct Play {
    provider: Arc<Provider>,
    dialect: &'static dyn Dialect,
    ask: Ask,
    behaviour: Arc<Behaviour>,
    call: Arc<Call>,
    prompt: Digest,
    pace: Pace,
}

/// Says that the asker went away, if it goes before there is an answer to hand it; from then on
/// the body says how it ended.
struct Leaving(Option<Arc<Call>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.ended(End::Abandoned);
        }
    }
}

/// Answers any request.
pub(super) async fn reply(
    State(provider): State<Arc<Provider>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(told) = control::answer(&provider, &method, &uri, &body) {
        return told;
    }
    let request = Request {
        method,
        uri,
        headers,
        body,
        arrived: Instant::now(),
    };
    let path = request.uri.path();
    let dialect: &'static dyn Dialect = match path.strip_prefix("/v1").unwrap_or(path) {
        "/chat/completions" => &Chat,
        "/completions" => &Text,
        "/embeddings" => &Embeddings,
        "/messages" => &Messages,
        _ => return aside(&provider, &request),
    };
    perform(provider, dialect, request).await
}

/// The paths that make no answer of their own: the models, and the echo.
fn aside(provider: &Provider, request: &Request) -> Response<Body> {
    let call = provider
        .calls
        .begin(asked(request, &Ask::default(), Digest::of(b"")));
    let list = request.method == Method::GET && request.uri.path().ends_with("/models");
    let (status, body) = if !allowed(provider, &request.headers) {
        (401, openai::error(401, UNKNOWN_KEY))
    } else if list {
        (200, openai::models(&provider.settings.models))
    } else {
        let Request {
            method,
            uri,
            headers,
            body,
            ..
        } = request;
        (200, bytes_of(&echo::of(method, uri, headers, body.len())))
    };
    call.ended(End::Complete);
    response(&call, status, "application/json", Body::from(body))
}

const UNKNOWN_KEY: &str = "Incorrect API key provided: send the one given by --require-key.";

async fn perform(
    provider: Arc<Provider>,
    dialect: &'static dyn Dialect,
    request: Request,
) -> Response<Body> {
    let read = Ask::read(&request.body);
    let senseless = read.as_ref().err().map(ToString::to_string);
    let ask = read.unwrap_or_default();
    let texts = ask.texts();
    let prompt = digest(&texts);
    let call = provider.calls.begin(asked(&request, &ask, prompt));
    let mut leaving = Leaving(Some(call.clone()));
    let wrong = |status, message: &str| {
        call.ended(End::Complete);
        let body = Body::from(dialect.error(status, message));
        response(&call, status, "application/json", body)
    };
    if !allowed(&provider, &request.headers) {
        return wrong(401, UNKNOWN_KEY);
    }
    if let Some(complaint) = senseless {
        return wrong(400, &complaint);
    }
    let behaviour = match behaviour(&provider, &texts, &request) {
        Ok(behaviour) => behaviour,
        Err(complaint) => return wrong(400, &complaint),
    };
    let first = request.arrived + Duration::from_millis(behaviour.latency_ms);
    let pace = Pace {
        first,
        step: Duration::from_micros(behaviour.pace_micros),
    };
    let play = Play {
        provider,
        dialect,
        ask,
        behaviour,
        call: call.clone(),
        prompt,
        pace,
    };
    let answer = play.answer().await;
    leaving.0 = None;
    answer
}

fn asked(request: &Request, ask: &Ask, prompt: Digest) -> Asked {
    Asked {
        path: request.uri.path().to_owned(),
        model: ask.model.clone(),
        credential: echo::credential(&request.headers).map(echo::digest_of),
        prompt,
        items: ask.input.as_ref().map_or(1, |_| ask.texts().len()),
        stream: ask.stream(),
    }
}

fn allowed(provider: &Provider, headers: &HeaderMap) -> bool {
    let required = provider.settings.require_key.as_ref();
    required.is_none_or(|key| echo::credential(headers) == Some(key.as_bytes()))
}

/// The provider's behaviour with the prompt's directive over it; shared where there is none.
fn behaviour(
    provider: &Provider,
    texts: &[String],
    request: &Request,
) -> Result<Arc<Behaviour>, String> {
    let mut behaviour = provider.behaviour();
    for text in texts.iter().filter(|text| text.contains(directive::OPEN)) {
        directive::apply(text, Arc::make_mut(&mut behaviour)).map_err(|e| e.to_string())?;
    }
    if behaviour.echo {
        let Request {
            method,
            uri,
            headers,
            body,
            ..
        } = request;
        let shown = echo::of(method, uri, headers, body.len()).to_string();
        Arc::make_mut(&mut behaviour).text = Some(shown);
    }
    Ok(behaviour)
}

impl Play {
    async fn answer(self) -> Response<Body> {
        let counted = self.behaviour.times.is_some();
        let seen = if counted {
            self.provider.calls.seen(self.prompt)
        } else {
            0
        };
        let turn = self.behaviour.decide(self.call.number, seen);
        if turn == Turn::Hang {
            return std::future::pending().await;
        }
        if self.pace.first > Instant::now() {
            sleep_until(self.pace.first).await;
        }
        match turn {
            Turn::Refuse(status) => self.refuse(status),
            Turn::Fail(how) => self.broken(how).await,
            _ => self.whole().await,
        }
    }

    fn refuse(&self, status: u16) -> Response<Body> {
        let message = format!("mock error {status} on call {}", self.call.number);
        let shaped = || self.dialect.error(status, &message);
        let body = self
            .behaviour
            .body
            .clone()
            .map_or_else(shaped, String::into_bytes);
        let mut response = response(&self.call, status, "application/json", Body::from(body));
        if let Some(seconds) = self.behaviour.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        self.call.ended(End::Complete);
        response
    }

    async fn whole(self) -> Response<Body> {
        if let Some(events) = self.events() {
            let events = flooded(events, self.behaviour.flood_bytes);
            return self.streamed(events, None);
        }
        let body = self.plain().await;
        if self.behaviour.length_error == 0 && self.behaviour.flood_bytes == 0 {
            self.call.wrote(self.provider.calls.now_micros());
            self.call.ended(End::Complete);
            return self.finish("application/json", Body::from(body));
        }
        self.swollen_or_lying(body.into())
    }

    /// A plain answer that floods, or whose length is a lie. Where more is claimed than comes, the
    /// connection is cut behind the last byte, as by a server that died.
    fn swollen_or_lying(&self, body: Bytes) -> Response<Body> {
        let Behaviour {
            length_error,
            flood_bytes,
            ..
        } = *self.behaviour;
        let claimed = (body.len() as i64).saturating_add(length_error).max(0);
        let event = Bytes::new();
        let cut = (length_error > 0 && flood_bytes == 0).then_some(Break {
            how: Fail::Cut,
            at: 1,
            event,
        });
        let events = flooded(pieces([body, Bytes::new()]), flood_bytes);
        let mut response = self.in_pieces(events, cut);
        if length_error != 0 {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(claimed));
        }
        response
    }

    async fn broken(self, how: Fail) -> Response<Body> {
        let message = format!("mock failure on call {}", self.call.number);
        let event = self.dialect.error_event(&message);
        let at = if how == Fail::Inside {
            0
        } else {
            self.behaviour.fail_at
        };
        if let Some(events) = self.events() {
            return self.streamed(events, Some(Break { how, at, event }));
        }
        if matches!(how, Fail::Inside | Fail::Event) {
            let error = self.dialect.error(500, &message);
            self.call.ended(End::Failed);
            return self.finish("application/json", Body::from(error));
        }
        let body = Bytes::from(self.plain().await);
        let half = body.len() / 2;
        let claimed = HeaderValue::from(body.len());
        let halves = pieces([body.slice(..half), body.slice(half..)]);
        let how = if how == Fail::Half { Fail::Cut } else { how };
        let mut response = self.in_pieces(halves, Some(Break { how, at: 1, event }));
        if how != Fail::End {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, claimed);
        }
        response
    }

    /// The answer as events, where a stream was asked and the dialect has streams.
    fn events(&self) -> Option<Events> {
        self.ask
            .stream()
            .then(|| self.dialect.events(self.script()))
            .flatten()
    }

    /// The whole answer, once the time for all its tokens has passed.
    async fn plain(&self) -> Vec<u8> {
        let last = self.pace.due(self.behaviour.chunks.saturating_sub(1));
        if last > Instant::now() {
            sleep_until(last).await;
        }
        self.dialect.plain(&self.ask, &self.script())
    }

    fn script(&self) -> Script {
        let mut script = Script::write(&self.ask, &self.behaviour, self.call.number, self.prompt);
        script.created = self.call.began_micros / 1_000_000;
        script
    }

    fn streamed(&self, events: Events, order: Option<Break>) -> Response<Body> {
        let body = self.paced(events, order);
        self.finish("text/event-stream; charset=utf-8", body)
    }

    fn in_pieces(&self, events: Events, order: Option<Break>) -> Response<Body> {
        let body = self.paced(events, order);
        self.finish("application/json", body)
    }

    fn paced(&self, events: Events, order: Option<Break>) -> Body {
        let (calls, call) = (self.provider.calls.clone(), self.call.clone());
        Body::from_stream(Paced::new(events, self.pace, order, calls, call))
    }

    fn finish(&self, kind: &'static str, body: Body) -> Response<Body> {
        let mut response = response(&self.call, 200, kind, body);
        if self.behaviour.cookie {
            let cookie = HeaderValue::from_static("mock=1; Path=/");
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// Bodies as events that come at once.
fn pieces<const N: usize>(bodies: [Bytes; N]) -> Events {
    Box::new(bodies.into_iter().map(|bytes| Event {
        bytes,
        token: false,
    }))
}

/// Swells the first event to `bytes` with blanks before its closing brace, where JSON allows any.
fn flooded(mut events: Events, bytes: u64) -> Events {
    if bytes == 0 {
        return events;
    }
    let Some(first) = events.next() else {
        return events;
    };
    let brace = first
        .bytes
        .iter()
        .rposition(|byte| *byte == b'}')
        .unwrap_or(0);
    let piece = |bytes| Event {
        bytes,
        token: false,
    };
    let (head, tail) = (
        piece(first.bytes.slice(..brace)),
        piece(first.bytes.slice(brace..)),
    );
    let blanks = (0..bytes.div_ceil(FLOOD_PIECE.len() as u64))
        .map(move |_| piece(Bytes::from_static(FLOOD_PIECE)));
    Box::new([head].into_iter().chain(blanks).chain([tail]).chain(events))
}

/// An answer's head: the status written down, the call's number as the request id.
fn response(call: &Call, status: u16, kind: &'static str, body: Body) -> Response<Body> {
    call.answered(status);
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::try_from(format!("req-mock-{}", call.number)) {
        headers.insert("x-request-id", id);
    }
    headers.insert("openai-version", HeaderValue::from_static("mock"));
    headers.insert(
        "x-ratelimit-remaining-requests",
        HeaderValue::from_static("4999"),
    );
    response
}
