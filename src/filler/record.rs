//! From the provider's answer to a recording: a plain body is one frame, a stream is its events.
//! What the provider refuses is passed on in its own words and never recorded. It judges nothing
//! by itself: whether an answer may be kept is `openai::complete`'s word.

use fgy_cluster::{Fault, Filling, HeardBy, Recorder, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::answer::aside::Aside;
use crate::answer::event::{self, ChunkWriter, Tally};
use crate::answer::head::{Head, Origin, Shape};
use crate::answer::usage::Usage;
use crate::filler::Filler;
use crate::job::Job;
use crate::openai::complete::{self, Judge, Judgement, Verdict};
use crate::openai::sse::{DONE, SseDecoder, SseEvent};
use crate::provider::{Arriving, Call, CallFault};
use crate::semantic::matcher::Looked;

/// Bytes of text that are about one token, for answers whose provider does not count. Such counts
/// are marked as estimated and never billed.
const BYTES_PER_TOKEN: usize = 4;

/// A recording that came to its end.
pub(super) struct Recorded {
    /// Its first frame.
    pub(super) head: Head,
    /// Whether it may be kept.
    pub(super) storable: bool,
}

impl Filler {
    /// Makes the call and records the answer.
    pub(super) async fn record(
        &self,
        job: &Job,
        filling: &Filling,
        looked: &Looked,
        recorder: &Recorder,
    ) -> Result<Recorded, Fault> {
        let provider = self
            .providers
            .book()
            .still_at(&job.provider, &job.base_url)
            .cloned()
            .ok_or(Fault::Lost)?;
        let call = Call {
            method: Method::POST,
            path: job.endpoint.path().trim_start_matches("/v1/"),
            query: job.query.as_deref(),
            headers: headers(&job.headers),
            body: job.body.clone().into(),
            secret: filling.secret.as_ref(),
        };
        let arriving = self.providers.send(&provider, call).await.map_err(fault)?;
        let filled = self.clock.now();
        let head = |shape| Head {
            shape,
            origin: Origin::Fresh,
            status: arriving.status.as_u16(),
            filled,
            kept_until: None,
            declined: looked.declined.iter().map(|it| it.to_string()).collect(),
            aside: aside(&arriving.headers),
            paid: looked.paid,
        };
        let encoded = arriving
            .headers
            .contains_key(http::header::CONTENT_ENCODING);
        if arriving.status.is_success() && !encoded && arriving.is("text/event-stream") {
            let head = head(Shape::Events);
            self.record_stream(arriving, head, job, recorder).await
        } else if arriving.status.is_success() && !encoded && arriving.is("application/json") {
            let head = head(Shape::Plain);
            self.record_plain(arriving, head, job, recorder).await
        } else {
            Err(self.refusal(arriving, filling).await)
        }
    }

    async fn record_plain(
        &self,
        mut arriving: Arriving,
        head: Head,
        job: &Job,
        recorder: &Recorder,
    ) -> Result<Recorded, Fault> {
        let body = arriving
            .whole(self.limits.answer_bytes_max)
            .await
            .map_err(fault)?;
        let body = body.ok_or(Fault::TooLong)?;
        let judged = complete::judge_plain(job.endpoint, &body, job.items.len());
        recorder.push(head.encode())?;
        recorder.push(event::plain(&body))?;
        let storable = close(recorder, &judged, || estimate(job, body.len()))?;
        Ok(Recorded { head, storable })
    }

    async fn record_stream(
        &self,
        mut arriving: Arriving,
        head: Head,
        job: &Job,
        recorder: &Recorder,
    ) -> Result<Recorded, Fault> {
        let mut stream = Stream::new(self.limits.event_bytes_max);
        let mut events = Vec::new();
        while !stream.done
            && let Some(piece) = arriving.piece().await.map_err(fault)?
        {
            let fed = stream.decoder.feed(&piece, &mut events);
            for event in events.drain(..) {
                if stream.frames == 0 {
                    recorder.push(head.encode())?;
                }
                stream.hear(&event, recorder)?;
            }
            fed.map_err(|_| Fault::Lost)?;
        }
        if !stream.done && stream.decoder.is_left_done() {
            stream.judge.done();
        }
        let bytes = stream.bytes;
        let judged = stream.judge.verdict();
        // Broken off, or an error in the middle of a success: everyone hears what there was, and
        // then that it is not the whole.
        if matches!(
            judged.verdict,
            Verdict::Refuse(complete::TRUNCATED | complete::ERROR_INSIDE)
        ) {
            return Err(Fault::Lost);
        }
        let storable = close(recorder, &judged, || estimate(job, bytes))?;
        Ok(Recorded { head, storable })
    }

    /// What the provider said instead of an answer, verbatim, and whom it concerns.
    async fn refusal(&self, mut arriving: Arriving, filling: &Filling) -> Fault {
        let heard_by = match arriving.status {
            StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS => HeardBy::Holders(filling.credential),
            _ => HeardBy::All,
        };
        let told = [http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING];
        let told = told
            .iter()
            .filter_map(|name| text(name, arriving.headers.get(name)));
        let (head, aside) = (Aside(told.collect()), aside(&arriving.headers));
        let body = arriving.beginning(self.limits.refusal_bytes_max).await;
        let status = arriving.status.as_u16();
        let refusal = Refusal {
            status,
            head: head.encode(),
            aside: aside.encode(),
            body,
            heard_by,
        };
        Fault::Refused(refusal.into())
    }
}

/// A stream while it is heard.
struct Stream {
    decoder: SseDecoder,
    writer: ChunkWriter,
    judge: Judge,
    frames: usize,
    bytes: usize,
    done: bool,
}

impl Stream {
    fn new(event_bytes_max: usize) -> Stream {
        Stream {
            decoder: SseDecoder::new(event_bytes_max),
            writer: ChunkWriter::new(),
            judge: Judge::new(),
            frames: 0,
            bytes: 0,
            done: false,
        }
    }

    fn hear(&mut self, event: &SseEvent, recorder: &Recorder) -> Result<(), Fault> {
        if event.data == DONE {
            self.judge.done();
            self.done = true;
            return Ok(());
        }
        self.judge.chunk(&event.data);
        let frame = self.writer.write(&event.data);
        self.frames += 1;
        self.bytes += frame.len();
        recorder.push(frame)
    }
}

/// The last frame; whether the answer may be kept.
fn close(
    recorder: &Recorder,
    judged: &Judgement,
    estimate: impl FnOnce() -> Usage,
) -> Result<bool, Fault> {
    let storable = judged.verdict == Verdict::Store;
    let usage = Some(judged.usage.unwrap_or_else(estimate));
    recorder.push(
        Tally {
            usage,
            complete: storable,
        }
        .encode(),
    )?;
    Ok(storable)
}

fn estimate(job: &Job, answer_bytes: usize) -> Usage {
    let tokens = |bytes: usize| u32::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
    Usage {
        input: tokens(job.body.len()),
        cached_input: 0,
        output: tokens(answer_bytes),
        estimated: true,
    }
}

fn fault(fault: CallFault) -> Fault {
    match fault {
        CallFault::TooSlow => Fault::TooSlow,
        CallFault::Lost | CallFault::BadSecret => Fault::Lost,
    }
}

fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(pairs.len() + 3);
    for (name, value) in pairs {
        let name = HeaderName::try_from(name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
            headers.append(name, value);
        }
    }
    headers
}

/// The provider's own headers that the one whose request went upstream is told, and nobody else.
fn aside(headers: &HeaderMap) -> Aside {
    let told = headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            name == "retry-after"
                || name == "x-request-id"
                || name.starts_with("x-ratelimit-")
                || name.starts_with("openai-")
        })
        .filter_map(|(name, value)| text(name, Some(value)));
    Aside(told.collect())
}

fn text(name: &HeaderName, value: Option<&HeaderValue>) -> Option<(String, String)> {
    Some((name.as_str().to_owned(), value?.to_str().ok()?.to_owned()))
}
