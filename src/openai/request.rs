//! A request as fgy needs to see it: a few members typed, everything else kept in the tree. It never
//! judges a value that it does not need: what the provider would refuse, the provider refuses.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::json::{self, Json, Malformed, Parsed};
use crate::names::Name;

/// The reason token of a request that is passed through because of its shape.
pub const NOT_UNDERSTOOD: &str = "not-understood";

/// The endpoints whose answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// chat completions
    Chat,
    /// legacy text completions
    Completions,
    /// embeddings, kept item by item
    Embeddings,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Endpoint; 3] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];

    /// The path of our public API, which is also the part of the key.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Chat => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
            Endpoint::Embeddings => "/v1/embeddings",
        }
    }

    /// The endpoint at this path, if its answers are kept.
    pub fn at(path: &str) -> Option<Endpoint> {
        Endpoint::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }
}

/// What a body turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<'a> {
    /// a request that can have a key
    Understood(Request<'a>),
    /// JSON, but not of the shape we know: pass it through; the words are for `explain`
    NotUnderstood(&'static str),
}

/// A request whose shape is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// where it was sent
    pub endpoint: Endpoint,
    /// the model asked for
    pub model: Name,
    /// whether the answer shall be streamed
    pub stream: bool,
    /// whether a streamed answer shall end with its usage
    pub include_usage: bool,
    /// the end user: `safety_identifier`, else `user`
    pub user: Option<Name>,
    /// how `input` lists its items (embeddings)
    pub input: Input,
    body: &'a [u8],
    /// Read from `body` when it is first asked for, unless it was there from the start.
    tree: OnceLock<Json<'a>>,
}

/// What the walk needs of a request whose body it has met before: everything but its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gist {
    endpoint: Endpoint,
    model: Name,
    stream: bool,
    include_usage: bool,
    user: Option<Name>,
    input: Input,
}

/// How many things an embeddings request asks for, and how it spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// not an embeddings request
    None,
    /// one string or one list of tokens
    Single,
    /// a list of that many strings or token lists
    Batch(usize),
}

impl Input {
    /// How many items are asked for.
    pub fn count(self) -> usize {
        match self {
            Input::None => 0,
            Input::Single => 1,
            Input::Batch(items) => items,
        }
    }
}

type Shape<T> = Result<T, &'static str>;

impl<'a> Request<'a> {
    /// Reads a body sent to this endpoint. JSON that is no object is malformed; an object of another
    /// shape than ours is not, since the provider may know it.
    pub fn read(endpoint: Endpoint, body: &'a [u8]) -> Result<Reading<'a>, Malformed> {
        let tree = match json::parse(body)? {
            Parsed::Understood(tree @ Json::Object(_)) => tree,
            Parsed::Rounded(Json::Object(_)) => {
                return Ok(Reading::NotUnderstood("a number beyond 64 bits"));
            }
            Parsed::Unheld if body.trim_ascii_start().starts_with(b"{") => {
                return Ok(Reading::NotUnderstood(
                    "a number or character nothing can hold",
                ));
            }
            _ => return Err(Malformed::new("the body is not an object", 1, 1)),
        };
        Ok(match Request::of(endpoint, tree, body) {
            Ok(request) => Reading::Understood(request),
            Err(words) => Reading::NotUnderstood(words),
        })
    }

    /// The request a gist was taken of, before these very bytes: they are not read again unless
    /// somebody asks for the tree.
    pub fn recalled(gist: &Gist, body: &'a [u8]) -> Request<'a> {
        let gist = gist.clone();
        Request {
            endpoint: gist.endpoint,
            model: gist.model,
            stream: gist.stream,
            include_usage: gist.include_usage,
            user: gist.user,
            input: gist.input,
            body,
            tree: OnceLock::new(),
        }
    }

    /// What is worth remembering of it.
    pub fn gist(&self) -> Gist {
        Gist {
            endpoint: self.endpoint,
            model: self.model.clone(),
            stream: self.stream,
            include_usage: self.include_usage,
            user: self.user.clone(),
            input: self.input,
        }
    }

    fn of(endpoint: Endpoint, tree: Json<'a>, body: &'a [u8]) -> Shape<Request<'a>> {
        let (stream, include_usage, user) = (stream(&tree)?, include_usage(&tree)?, user(&tree)?);
        let model = text_of(&tree, "model", "`model` is not a string")?;
        let model = model.ok_or("no `model`")?;
        let input = match endpoint {
            Endpoint::Chat => messages(&tree)?,
            Endpoint::Completions => prompt(&tree)?,
            Endpoint::Embeddings => input(&tree)?,
        };
        Ok(Request {
            endpoint,
            model: model.as_ref().into(),
            stream,
            include_usage,
            user: user.as_deref().map(Name::from),
            input,
            body,
            tree: tree.into(),
        })
    }

    /// The whole request, its members in the caller's order.
    pub fn tree(&self) -> &Json<'a> {
        // The bytes were read once, so that they read again; were it otherwise, nothing is in them.
        let again = || {
            let parsed = json::parse(self.body).ok();
            parsed.and_then(Parsed::understood).unwrap_or(Json::Null)
        };
        self.tree.get_or_init(again)
    }

    /// How long the body is.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// A top-level member.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.tree().member(name)
    }

    /// The n-th thing an embeddings request asks for.
    pub fn item(&self, at: usize) -> Option<&Json<'a>> {
        let input = self.member("input")?;
        match self.input {
            Input::None => None,
            Input::Single => (at == 0).then_some(input),
            Input::Batch(_) => input.as_list()?.get(at),
        }
    }

    /// The stated temperature.
    pub fn temperature(&self) -> Option<f64> {
        match self.member("temperature")? {
            Json::Number(number) => Some(number.as_f64()),
            _ => None,
        }
    }

    /// The text of the last message of the role `user` (chat), its text parts joined by line ends,
    /// or the prompt if it is one string (completions).
    pub fn last_user_text(&self) -> Option<Cow<'_, str>> {
        if self.endpoint == Endpoint::Completions {
            return self.member("prompt")?.as_text().map(Cow::Borrowed);
        }
        let role =
            |message: &&Json<'_>| message.member("role").and_then(Json::as_text) == Some("user");
        let message = self
            .member("messages")?
            .as_list()?
            .iter()
            .rev()
            .find(role)?;
        content_text(message.member("content")?)
    }
}

fn content_text<'t>(content: &'t Json<'_>) -> Option<Cow<'t, str>> {
    if let Some(text) = content.as_text() {
        return Some(Cow::Borrowed(text));
    }
    let parts = content.as_list()?.iter();
    let texts: Vec<&str> = parts
        .filter_map(|part| part.member("text")?.as_text())
        .collect();
    (!texts.is_empty()).then(|| Cow::Owned(texts.join("\n")))
}

/// The text of a member that may be absent or null, and nothing else but a string.
fn text_of<'a>(
    tree: &Json<'a>,
    name: &str,
    otherwise: &'static str,
) -> Shape<Option<Cow<'a, str>>> {
    match tree.member(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(otherwise),
    }
}

fn flag_of(tree: &Json<'_>, name: &str, otherwise: &'static str) -> Shape<bool> {
    match tree.member(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(_) => Err(otherwise),
    }
}

fn stream(tree: &Json<'_>) -> Shape<bool> {
    flag_of(tree, "stream", "`stream` is neither true nor false")
}

fn include_usage(tree: &Json<'_>) -> Shape<bool> {
    match tree.member("stream_options") {
        None | Some(Json::Null) => Ok(false),
        Some(options @ Json::Object(_)) => flag_of(
            options,
            "include_usage",
            "`include_usage` is neither true nor false",
        ),
        Some(_) => Err("`stream_options` is not an object"),
    }
}

fn user<'a>(tree: &Json<'a>) -> Shape<Option<Cow<'a, str>>> {
    let safety = text_of(
        tree,
        "safety_identifier",
        "`safety_identifier` is not a string",
    )?;
    let user = text_of(tree, "user", "`user` is not a string")?;
    Ok(safety.or(user))
}

fn messages(tree: &Json<'_>) -> Shape<Input> {
    match tree.member("messages") {
        Some(Json::List(messages)) if messages.iter().all(|one| one.as_object().is_some()) => {
            Ok(Input::None)
        }
        _ => Err("`messages` is not a list of objects"),
    }
}

fn prompt(tree: &Json<'_>) -> Shape<Input> {
    match tree.member("prompt") {
        Some(Json::Text(_) | Json::List(_)) => Ok(Input::None),
        _ => Err("`prompt` is neither a string nor a list"),
    }
}

fn input(tree: &Json<'_>) -> Shape<Input> {
    match tree.member("input") {
        Some(Json::Text(_)) => Ok(Input::Single),
        Some(Json::List(items)) if items.is_empty() => Err("`input` is empty"),
        Some(Json::List(items)) if items.iter().all(is_token) => Ok(Input::Single),
        Some(Json::List(items)) if items.iter().all(|item| item.as_text().is_some()) => {
            Ok(Input::Batch(items.len()))
        }
        Some(Json::List(items)) if items.iter().all(is_token_list) => Ok(Input::Batch(items.len())),
        _ => Err("`input` is neither text nor tokens"),
    }
}

fn is_token(value: &Json<'_>) -> bool {
    value.as_u64().is_some()
}

fn is_token_list(value: &Json<'_>) -> bool {
    value
        .as_list()
        .is_some_and(|tokens| tokens.iter().all(is_token))
}
