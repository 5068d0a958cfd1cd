//! What an answer says, before any dialect spells it: pieces of text that name their call and
//! place (`7/0:amber 7/1:birch …`, so that two generations cannot be mixed unseen), tool calls,
//! usage. Deterministic in the prompt and the call number; pure.

use super::ask::Ask;
use super::behaviour::{Behaviour, Finish, UsageTold};
use super::calls::Digest;
use super::sample;

/// Words to fill texts with; any will do, as long as they never change.
const WORDS: [&str; 16] = [
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet", "juniper",
    "knoll", "lagoon", "meadow", "north", "orchard", "pebble",
];

/// One answer, in parts.
#[derive(Debug)]
pub(super) struct Script {
    pub call: u64,
    pub model: String,
    pub created: u64,
    pub choices: u32,
    pub reasoning: Vec<String>,
    /// What choice 0 says; another choice says the same under its own name, see [`Self::piece`].
    pieces: Vec<String>,
    made: bool,
    pub refused: bool,
    pub tools: Vec<ToolCall>,
    pub finish: Finish,
    pub logprobs: bool,
    pub usage: Usage,
    pub usage_in_stream: bool,
    pub usage_in_plain: bool,
    pub extra: bool,
    pub alike: bool,
}

/// One tool call, its arguments in pieces.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Vec<String>,
}

/// Tokens, as a provider counts them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub prompt: u32,
    pub cached: u32,
    pub completion: u32,
}

impl Script {
    /// Writes the answer to `ask`, call number `call`, under `behaviour`.
    pub(super) fn write(ask: &Ask, behaviour: &Behaviour, call: u64, prompt: Digest) -> Self {
        let tools = tool_calls(ask, behaviour, call);
        let (pieces, made) = match (&behaviour.refusal, tools.is_empty()) {
            (Some(refusal), _) => (split(refusal, behaviour.chunks), false),
            (_, false) => (Vec::new(), false),
            _ => said(ask, behaviour, call, prompt),
        };
        let by_tools = if tools.is_empty() {
            Finish::Stop
        } else {
            Finish::ToolCalls
        };
        let choices = ask.n.unwrap_or(behaviour.choices).clamp(1, 128);
        let told = behaviour.usage;
        let reasoning = 0..behaviour.reasoning;
        let reasoning: Vec<_> = reasoning
            .map(|at| format!("{call}/r{at}:ponder "))
            .collect();
        let arguments = tools.iter().map(|tool| tool.arguments.len()).sum::<usize>();
        let spoken = (pieces.len() + arguments + reasoning.len()) as u32 * choices;
        Self {
            call,
            model: ask.model.clone(),
            created: 0,
            choices,
            reasoning,
            pieces,
            made,
            refused: behaviour.refusal.is_some(),
            tools,
            finish: behaviour.finish.unwrap_or(by_tools),
            logprobs: behaviour.logprobs || ask.logprobs(),
            usage: usage(ask, behaviour, spoken),
            usage_in_stream: told == UsageTold::Always
                || (told == UsageTold::Asked && ask.include_usage()),
            usage_in_plain: told != UsageTold::Never,
            extra: behaviour.extra,
            alike: behaviour.alike,
        }
    }

    /// How many pieces each choice has.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Piece `at` of choice `choice`: `7/3:word ` of the first, `7/3.1:word ` of the second.
    pub(super) fn piece(&self, choice: u32, at: usize) -> std::borrow::Cow<'_, str> {
        let piece = &self.pieces[at];
        match piece.split_once(':') {
            Some((name, rest)) if self.made && choice > 0 => {
                format!("{name}.{choice}:{rest}").into()
            }
            _ => piece.into(),
        }
    }

    /// All pieces of a choice together.
    pub(super) fn text(&self, choice: u32) -> String {
        (0..self.pieces())
            .map(|at| self.piece(choice, at))
            .collect()
    }
}

/// What the answer says in words: given, fitting a schema, or made.
fn said(ask: &Ask, behaviour: &Behaviour, call: u64, prompt: Digest) -> (Vec<String>, bool) {
    if let Some(text) = &behaviour.text {
        return (split(text, behaviour.chunks), false);
    }
    if let Some(schema) = ask.schema() {
        return (
            split(&sample::of(&schema, call).to_string(), behaviour.chunks),
            false,
        );
    }
    (made(behaviour, call, prompt), true)
}

/// Pieces of made text, padded so that together they reach the length asked for exactly.
fn made(behaviour: &Behaviour, call: u64, prompt: Digest) -> Vec<String> {
    let count = behaviour.chunks;
    let word = |at: u32| WORDS[(prompt.seed().rotate_left(at * 4) % 16) as usize];
    let mut pieces: Vec<_> = (0..count)
        .map(|at| format!("{call}/{at}:{} ", word(at)))
        .collect();
    let mut missing = (behaviour.answer_bytes as usize)
        .saturating_sub(pieces.iter().map(String::len).sum::<usize>());
    for (at, piece) in pieces.iter_mut().enumerate() {
        let share = missing / (count as usize - at);
        missing -= share;
        piece.extend(word(at as u32).chars().cycle().take(share));
    }
    pieces
}

/// Cuts `text` into about `count` pieces, never inside a letter.
fn split(text: &str, count: u32) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = letters.len().div_ceil(count as usize).max(1);
    letters
        .chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// The tool calls: as many as told; else one where a tool is forced or the finish reason says so.
fn tool_calls(ask: &Ask, behaviour: &Behaviour, call: u64) -> Vec<ToolCall> {
    let wanted = ask.forces_tool() || behaviour.finish == Some(Finish::ToolCalls);
    let count = behaviour
        .tools
        .unwrap_or(u32::from(wanted && behaviour.refusal.is_none()));
    let offered = ask.tools();
    (0..count)
        .map(|at| {
            let tool = offered.get(at as usize % offered.len().max(1));
            let schema = tool.and_then(|tool| tool.schema);
            let made = schema.map_or_else(|| "{}".into(), |s| sample::of(s, call).to_string());
            let arguments = behaviour.text.as_deref().unwrap_or(&made);
            ToolCall {
                id: format!("call_mock_{call}_{at}"),
                name: tool.map_or("mock", |tool| tool.name).to_owned(),
                arguments: split(arguments, behaviour.chunks),
            }
        })
        .collect()
}

fn usage(ask: &Ask, behaviour: &Behaviour, completion: u32) -> Usage {
    let prompt = ask.tokens();
    Usage {
        prompt,
        cached: behaviour.cached_tokens.min(prompt),
        completion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(settings: &[(&str, &str)], ask: &str, call: u64) -> Script {
        let mut behaviour = Behaviour::default();
        settings
            .iter()
            .for_each(|(name, value)| behaviour.set(name, value).unwrap());
        let ask = Ask::read(ask.as_bytes()).unwrap();
        Script::write(
            &ask,
            &behaviour,
            call,
            super::super::ask::digest(&ask.texts()),
        )
    }

    #[test]
    fn a_made_text_names_its_call_place_and_choice_and_never_changes() {
        let ask = r#"{"n":2,"messages":[{"role":"user","content":"hello"}]}"#;
        let text = |call| script(&[("chunks", "2")], ask, call);
        assert_eq!(text(7).text(0), "7/0:cedar 7/1:orchard ");
        assert_eq!(text(7).text(1), "7/0.1:cedar 7/1.1:orchard ");
        assert_eq!(text(7).text(0), text(7).text(0));
        assert_ne!(text(7).text(0), text(8).text(0));
    }

    #[test]
    fn a_made_text_is_as_long_as_asked() {
        for chunks in ["1", "7", "8"] {
            let script = script(&[("answer_bytes", "1024"), ("chunks", chunks)], "{}", 12);
            assert_eq!(
                (script.text(0).len(), script.pieces().to_string().as_str()),
                (1024, chunks)
            );
        }
    }

    #[test]
    fn a_given_text_is_cut_at_letters_and_loses_none() {
        let text = "größer als ∞ 🦀🦀";
        for chunks in ["1", "2", "5", "1000"] {
            let script = script(&[("text", text), ("chunks", chunks)], "{}", 1);
            assert_eq!(script.text(0), text);
            assert!(script.pieces() <= chunks.parse().unwrap());
        }
    }

    #[test]
    fn a_forced_tool_is_called_with_arguments_that_fit() {
        let ask = r#"{"tool_choice":"required","tools":[{"type":"function","function":{"name":"w",
            "parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}"#;
        let script = script(&[("chunks", "3")], ask, 4);
        let arguments = script.tools[0].arguments.concat();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&arguments).unwrap()["city"],
            "city-4"
        );
        assert_eq!((script.finish, script.pieces()), (Finish::ToolCalls, 0));
        assert!(
            script.tools[0].arguments.len() > 1,
            "arguments come in pieces"
        );
    }

    #[test]
    fn usage_is_told_when_asked_always_or_never() {
        let asking = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
        #[rustfmt::skip]
        let table = [
            ("asked",  "{}",   false, true),
            ("asked",  asking, true,  true),
            ("always", "{}",   true,  true),
            ("never",  asking, false, false),
        ];
        for (told, ask, stream, plain) in table {
            let script = script(&[("usage", told)], ask, 1);
            assert_eq!(
                (script.usage_in_stream, script.usage_in_plain),
                (stream, plain),
                "{told}"
            );
        }
    }
}
