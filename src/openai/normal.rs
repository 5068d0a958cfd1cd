//! One meaning, one spelling: what of a request goes into its key, and the body that goes upstream.
//! What goes into the key is everything but a short list: a member nobody has heard of may change
//! the answer, so it counts.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::json::{self, Canonical, Json, write_separator, write_text};
use crate::openai::request::{Endpoint, Input, Request};

/// Top-level members that cannot change the answer: how it is carried, who asks, what the provider
/// notes down about it.
const ASIDE: [&str; 6] = [
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "prompt_cache_key",
];

/// What the key of a request is made from: the whole of it but the members that stand aside.
pub fn canonical(request: &Request<'_>) -> Canonical {
    Canonical::of_members(weighty(request), request.body_bytes())
}

/// The same without the model, for entries that are shared across models.
pub fn canonical_across_models(request: &Request<'_>) -> Canonical {
    let members = weighty(request).filter(|(name, _)| *name != "model");
    Canonical::of_members(members, request.body_bytes())
}

/// The same with a hole where the words are that are compared by meaning ([`Request::last_user_text`],
/// if it is the last thing said): two requests with the same text here differ in those words alone.
/// `None` where there are no such words. A hole is a null, which no text is: a request that has a
/// null there has no words.
pub fn canonical_around(request: &Request<'_>, across_models: bool) -> Option<Canonical> {
    let (name, around) = match request.endpoint {
        Endpoint::Chat => (
            "messages",
            around_last(request.member("messages")?.as_list()?)?,
        ),
        Endpoint::Completions => {
            request.member("prompt")?.as_text()?;
            ("prompt", Json::Null)
        }
        Endpoint::Embeddings => return None,
    };
    let rest = weighty(request)
        .filter(|(other, _)| *other != name && !(across_models && *other == "model"));
    let members = rest.chain(std::iter::once((name, &around)));
    Some(Canonical::of_members(members, request.body_bytes()))
}

/// The messages with the words of the last one left out, if it is the user's.
fn around_last<'t>(messages: &'t [Json<'t>]) -> Option<Json<'t>> {
    let (last, before) = messages.split_last()?;
    let is_users = last.member("role").and_then(Json::as_text) == Some("user");
    let hollow = last.as_object()?.iter().map(|(name, value)| {
        let value = if name == "content" {
            without_words(value)
        } else {
            value.clone()
        };
        (name.clone(), value)
    });
    let hollow = Json::Object(hollow.collect());
    let list = before.iter().cloned().chain(std::iter::once(hollow));
    is_users.then(|| Json::List(list.collect()))
}

/// Text is left out; what is no text (an image, a file, a sound) stays and must be the same.
fn without_words<'t>(content: &Json<'t>) -> Json<'t> {
    match content {
        Json::Text(_) => Json::Null,
        Json::List(parts) => Json::List(parts.iter().map(without_text).collect()),
        other => other.clone(),
    }
}

fn without_text<'t>(part: &Json<'t>) -> Json<'t> {
    let Json::Object(members) = part else {
        return part.clone();
    };
    let hollow = members.iter().map(|(name, value)| match value {
        Json::Text(_) if name == "text" => (name.clone(), Json::Null),
        _ => (name.clone(), value.clone()),
    });
    Json::Object(hollow.collect())
}

/// What the key of one embeddings item is made from, whether it was asked for alone or in a batch.
/// `None` if there is no such item.
pub fn canonical_item(request: &Request<'_>, at: usize) -> Option<Canonical> {
    let item = request.item(at)?;
    let rest = weighty(request).filter(|(name, _)| *name != "input");
    let members = rest.chain(std::iter::once(("input", item)));
    // The other items of the batch are most of the body.
    Some(Canonical::of_members(
        members,
        request.body_bytes() / request.input.count().max(1) + 64,
    ))
}

fn weighty<'t>(request: &'t Request<'_>) -> impl Iterator<Item = (&'t str, &'t Json<'t>)> {
    let members = request.tree().as_object().unwrap_or_default().iter();
    let named = members.map(|(name, value)| (name.as_ref(), value));
    named.filter(|(name, _)| !ASIDE.contains(name))
}

/// The body to send upstream: the caller's bytes, changed only where the shape asked for demands it.
/// A stream is always asked for its usage; a stream turned into a plain ask loses `stream_options`,
/// which providers refuse there.
pub fn upstream_body(request: &Request<'_>, raw: &Bytes, as_stream: bool) -> Bytes {
    let untouched = match (request.endpoint, as_stream) {
        // Nothing there can be streamed.
        (Endpoint::Embeddings, _) => true,
        (_, true) => request.stream && request.include_usage,
        (_, false) => !request.stream,
    };
    if untouched {
        return raw.clone();
    }
    // `raw` is the text the request was read from, so this finds what the reader found.
    let Ok(text) = std::str::from_utf8(raw) else {
        return raw.clone();
    };
    let edited = if as_stream {
        ask_for_usage(text, request)
    } else {
        plain(text)
    };
    edited.map_or_else(|_| raw.clone(), Bytes::from)
}

fn ask_for_usage(text: &str, request: &Request<'_>) -> Result<String, json::Malformed> {
    let text = if request.stream {
        text.to_owned()
    } else {
        set(text, "stream", "true")?
    };
    let options = json::members(&text)?
        .into_iter()
        .find(|member| member.name == "stream_options");
    match options {
        Some(options) if options.raw.starts_with('{') => {
            let merged = set(options.raw, "include_usage", "true")?;
            let mut text = text.clone();
            text.replace_range(options.value_span(), &merged);
            Ok(text)
        }
        _ => set(&text, "stream_options", r#"{"include_usage":true}"#),
    }
}

fn plain(text: &str) -> Result<String, json::Malformed> {
    remove(&set(text, "stream", "false")?, "stream_options")
}

/// The object with this member set, every other byte as it was.
fn set(object: &str, name: &str, value: &str) -> Result<String, json::Malformed> {
    let members = json::members(object)?;
    let mut text = object.to_owned();
    if let Some(member) = members.iter().find(|member| member.name == name) {
        text.replace_range(member.value_span(), value);
        return Ok(text);
    }
    let (at, comma) = match members.last() {
        Some(last) => (last.span.end, ","),
        None => (object.find('{').map_or(0, |brace| brace + 1), ""),
    };
    text.insert_str(at, &format!(r#"{comma}"{name}":{value}"#));
    Ok(text)
}

/// The object without this member and without one of the commas beside it.
fn remove(object: &str, name: &str) -> Result<String, json::Malformed> {
    let members = json::members(object)?;
    let mut text = object.to_owned();
    if let Some(cut) = json::cut_of(&members, name) {
        text.replace_range(cut, "");
    }
    Ok(text)
}

/// The body that asks for these items of an embeddings request alone, in this order.
pub fn embeddings_body(request: &Request<'_>, missing: &[usize]) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    for (at, (name, value)) in request
        .tree()
        .as_object()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        write_separator(at, &mut out);
        write_text(name, &mut out);
        out.push(b':');
        match (name.as_ref(), request.input) {
            ("input", Input::Batch(_)) => write_items(request, missing, &mut out),
            _ => value.write(&mut out),
        }
    }
    out.push(b'}');
    Bytes::from(out)
}

fn write_items(request: &Request<'_>, missing: &[usize], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in missing
        .iter()
        .filter_map(|item| request.item(*item))
        .enumerate()
    {
        write_separator(at, out);
        item.write(out);
    }
    out.push(b']');
}
