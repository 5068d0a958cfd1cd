//! The command line of `fgy mock-provider`. Words only: it opens nothing.

use super::Settings;
use super::behaviour::{Behaviour, Unreadable};

const EXAMPLE: &str = "\
Any setting, by --set, PUT /__behaviour (JSON), or for one call in its prompt:
  \"tell me a joke [[mock chunks=50 pace_ms=20 fail=cut fail_at=5]]\"
  time     latency_ms pace_ms pace_micros chunks hang
  words    text answer_bytes choices reasoning refusal tools logprobs extra echo
  ending   finish=stop|length|content_filter|tool_calls usage=asked|always|never
  errors   status body retry_after_seconds error_percent times=N (of a prompt)
  failures fail=cut|half|event|end|hang|inside fail_at length_error flood_bytes
  others   cached_tokens cookie alike (every embedding the same)
GET /__calls?last=N shows what was asked, DELETE /__calls forgets it.

Example:
  fgy mock-provider --listen 127.0.0.1:9000 --latency-ms 300 --set pace_ms=20 &
  curl 127.0.0.1:9000/v1/chat/completions \\\n    -d '{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'";

/// A simulated provider: OpenAI's and Anthropic's wire formats, plain and streamed
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct MockArgs {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000")]
    pub listen: String,
    /// Silence before the first byte
    #[arg(long, value_name = "N")]
    latency_ms: Option<u64>,
    /// Time from one token to the next
    #[arg(long, value_name = "N")]
    pace_ms: Option<u64>,
    /// Tokens of an answer
    #[arg(long, value_name = "N")]
    chunks: Option<u32>,
    /// Length of an answer, at least
    #[arg(long, value_name = "N")]
    answer_bytes: Option<u32>,
    /// Calls answered with an error
    #[arg(long, value_name = "PERCENT")]
    error_percent: Option<u32>,
    /// Never answer
    #[arg(long)]
    hang: bool,
    /// Any setting below
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Answer 401 to any other credential
    #[arg(long, value_name = "KEY")]
    require_key: Option<String>,
    /// Calls kept for GET /__calls
    #[arg(long, value_name = "N", default_value_t = super::CALLS_KEPT)]
    calls_kept_max: usize,
}

impl MockArgs {
    /// The settings these words mean, or the first that cannot be taken.
    pub fn settings(&self) -> Result<Settings, Unreadable> {
        let mut behaviour = Behaviour::default();
        for (name, value) in self.numbers() {
            value.map_or(Ok(()), |value| behaviour.set(name, &value.to_string()))?;
        }
        behaviour.hang = self.hang;
        for pair in &self.set {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            behaviour.set(name, value)?;
        }
        Ok(Settings {
            behaviour,
            require_key: self.require_key.clone(),
            calls_kept_max: self.calls_kept_max,
            ..Settings::default()
        })
    }

    fn numbers(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("latency_ms", self.latency_ms),
            ("pace_ms", self.pace_ms),
            ("chunks", self.chunks.map(u64::from)),
            ("answer_bytes", self.answer_bytes.map(u64::from)),
            ("error_percent", self.error_percent.map(u64::from)),
        ]
    }
}
