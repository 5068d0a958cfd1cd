//! What a request asks for, read leniently: a simulated provider refuses only what it cannot make
//! sense of at all. One type for the three dialects, since they differ in a few names only.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::calls::Digest;

/// A request body; fields of all dialects together, everything else ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    pub model: String,
    pub messages: Vec<Message>,
    pub system: Option<Value>,
    pub prompt: Option<Value>,
    pub input: Option<Value>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub n: Option<u32>,
    pub logprobs: Option<Value>,
    pub tools: Vec<Value>,
    pub tool_choice: Option<Value>,
    pub response_format: Option<Value>,
    pub dimensions: Option<usize>,
    pub encoding_format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub role: String,
    pub content: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamOptions {
    pub include_usage: Option<bool>,
}

/// A tool the request offers.
pub(super) struct Tool<'a> {
    pub name: &'a str,
    pub schema: Option<&'a Value>,
}

/// A body that is no request; says why.
#[derive(Debug)]
pub(super) struct Senseless(String);

impl fmt::Display for Senseless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ask {
    pub(super) fn read(body: &[u8]) -> Result<Self, Senseless> {
        serde_json::from_slice(body)
            .map_err(|error| Senseless(format!("the body is not a request: {error}")))
    }

    pub(super) fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(super) fn include_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .and_then(|options| options.include_usage)
            == Some(true)
    }

    /// Whether token probabilities are asked for: `true` in a chat, a count in a completion.
    pub(super) fn logprobs(&self) -> bool {
        matches!(self.logprobs, Some(Value::Bool(true) | Value::Number(_)))
    }

    /// The texts the answer is about: the last user message, the prompts, or the inputs.
    pub(super) fn texts(&self) -> Vec<String> {
        if let Some(prompts) = self.prompt.as_ref().or(self.input.as_ref()) {
            return items(prompts);
        }
        let last = self.messages.iter().rfind(|message| message.role == "user");
        vec![
            last.map(|message| text_of(&message.content))
                .unwrap_or_default(),
        ]
    }

    /// The conversation's size in tokens, by the usual four letters to one.
    pub(super) fn tokens(&self) -> u32 {
        let said = self
            .messages
            .iter()
            .map(|message| text_of(&message.content).len());
        let rest = [&self.system, &self.prompt, &self.input]
            .into_iter()
            .flatten();
        let rest = rest.flat_map(items).map(|text| text.len());
        (said.chain(rest).sum::<usize>() / 4 + 1)
            .try_into()
            .unwrap_or(u32::MAX)
    }

    /// Every tool on offer, the forced one first.
    pub(super) fn tools(&self) -> Vec<Tool<'_>> {
        let mut tools: Vec<_> = self.tools.iter().filter_map(tool).collect();
        if let Some(forced) = self.forced_name() {
            tools.sort_by_key(|tool| tool.name != forced);
        }
        tools
    }

    /// Whether the request leaves no choice but to call a tool.
    pub(super) fn forces_tool(&self) -> bool {
        let word = self
            .tool_choice
            .as_ref()
            .map(|choice| &choice["type"])
            .and_then(Value::as_str);
        let required = self.tool_choice.as_ref().and_then(Value::as_str) == Some("required");
        required || word == Some("any") || self.forced_name().is_some()
    }

    /// The JSON schema the answer must meet; `{}` for `json_object`.
    pub(super) fn schema(&self) -> Option<Value> {
        let format = self.response_format.as_ref()?;
        match format["type"].as_str()? {
            "json_schema" => Some(format["json_schema"]["schema"].clone()),
            "json_object" => Some(serde_json::json!({"type": "object"})),
            _ => None,
        }
    }

    fn forced_name(&self) -> Option<&str> {
        let choice = self.tool_choice.as_ref()?;
        choice["function"]["name"]
            .as_str()
            .or_else(|| choice["name"].as_str())
    }
}

/// One digest for all the texts, each with its length so that no two lists meet.
pub(super) fn digest(texts: &[String]) -> Digest {
    if let [one] = texts {
        return Digest::of(one.as_bytes());
    }
    let parts = texts.iter().map(|text| format!("{}:{text}", text.len()));
    Digest::of(parts.collect::<String>().as_bytes())
}

/// A prompt or input: one text, several, or tokens in place of text.
fn items(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) if !items.iter().all(Value::is_number) => {
            items.iter().map(text_of).collect()
        }
        one => vec![text_of(one)],
    }
}

/// The text of a message: a string, or the text parts of a list; tokens as they are written.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) if parts.iter().any(Value::is_object) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        Value::Object(part) => part
            .get("text")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A tool as OpenAI writes it (`function.name`) or as Anthropic does (`name`, `input_schema`).
fn tool(value: &Value) -> Option<Tool<'_>> {
    let function = value.get("function").unwrap_or(value);
    let schema = function
        .get("parameters")
        .or_else(|| function.get("input_schema"));
    Some(Tool {
        name: function.get("name")?.as_str()?,
        schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Ask {
        Ask::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn texts_are_found_in_every_dialect() {
        #[rustfmt::skip]
        let table: [(&str, &[&str]); 8] = [
            (r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#, &["b"]),
            (r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant"}]}"#,          &["a"]),
            (r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]}"#, &["a"]),
            (r#"{"prompt":"p"}"#,           &["p"]),
            (r#"{"prompt":["p","q"]}"#,     &["p", "q"]),
            (r#"{"input":[1,2]}"#,          &["[1,2]"]),
            (r#"{"input":[[1,2],[3]]}"#,    &["[1,2]", "[3]"]),
            ("{}",                          &[""]),
        ];
        for (json, texts) in table {
            assert_eq!(read(json).texts(), texts, "{json}");
        }
    }

    #[test]
    fn the_forced_tool_comes_first() {
        let tools = r#""tools":[{"type":"function","function":{"name":"a"}},{"name":"b"}]"#;
        let table = [
            ("", "a", false),
            (r#","tool_choice":"required""#, "a", true),
            (r#","tool_choice":{"type":"any"}"#, "a", true),
            (r#","tool_choice":{"type":"tool","name":"b"}"#, "b", true),
            (
                r#","tool_choice":{"type":"function","function":{"name":"b"}}"#,
                "b",
                true,
            ),
        ];
        for (choice, first, forced) in table {
            let ask = read(&format!("{{{tools}{choice}}}"));
            assert_eq!(
                (ask.tools()[0].name, ask.forces_tool()),
                (first, forced),
                "{choice}"
            );
        }
    }

    #[test]
    fn lists_of_texts_do_not_run_together() {
        let lists = [
            vec!["ab".to_owned()],
            vec!["a".into(), "b".into()],
            vec!["a".into(), "".into()],
        ];
        let digests: std::collections::HashSet<_> = lists.iter().map(|list| digest(list)).collect();
        assert_eq!(digests.len(), 3);
    }
}
