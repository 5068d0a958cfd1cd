//! A batch of embeddings, taken apart into answers to each item alone, and put together again. An
//! item is kept as a whole answer of its own, so that asking for it alone plays it as it lies; its
//! vector is never read as numbers, so never altered.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::answer::Malformed;
use crate::answer::usage::Usage;
use crate::json::{self, Member};

/// The answer to one item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// a whole embeddings answer with this item alone, its index 0
    pub body: Bytes,
    /// its share of the batch; `None` if the provider said nothing
    pub usage: Option<Usage>,
}

const NOT_EMBEDDINGS: Malformed = Malformed("not a list of embeddings, one for each input");

/// Takes the answer to a batch apart, in the order of the inputs. `weights` are the bytes of each
/// input: by them the tokens are shared out, rounded down and marked as estimated. The one item of
/// a batch of one is the whole answer, its usage as told.
pub fn split(body: &Bytes, weights: &[usize]) -> Result<Vec<Item>, Malformed> {
    let answer = Answer::read(body)?;
    let elements = answer.in_order(weights.len())?;
    if weights.len() == 1 {
        let usage = answer.tokens.map(|tokens| tokens.usage(false));
        return Ok(vec![Item {
            body: body.clone(),
            usage,
        }]);
    }
    let total: u128 = weights.iter().map(|weight| *weight as u128).sum();
    let shares = weights.iter().map(|weight| (*weight as u128, total));
    let item = |(element, (weight, total))| {
        let tokens = answer.tokens.map(|tokens| tokens.share(weight, total));
        let usage = tokens.map(|tokens| tokens.usage(true));
        Ok(Item {
            body: answer.with(&[element], tokens)?,
            usage,
        })
    };
    elements.into_iter().zip(shares).map(item).collect()
}

/// Puts answers to single items together, in this order: what stands beside data and usage is the
/// first one's, the tokens are summed. The usage is left out where no item has any.
pub fn join(bodies: &[Bytes]) -> Result<Bytes, Malformed> {
    let answers = bodies
        .iter()
        .map(|body| Answer::read(body))
        .collect::<Result<Vec<_>, _>>()?;
    let first = answers.first().ok_or(NOT_EMBEDDINGS)?;
    let elements: Vec<&str> = answers
        .iter()
        .flat_map(|one| one.elements.iter().copied())
        .collect();
    let tokens = answers
        .iter()
        .filter_map(|answer| answer.tokens)
        .reduce(Tokens::plus);
    first.with(&elements, tokens)
}

/// An embeddings answer in its text.
struct Answer<'a> {
    text: &'a str,
    members: Vec<Member<'a>>,
    elements: Vec<&'a str>,
    tokens: Option<Tokens>,
}

#[derive(Clone, Copy)]
struct Tokens {
    prompt: u64,
    total: u64,
}

impl Tokens {
    fn read(raw: &str) -> Option<Tokens> {
        let tree = json::parse(raw.as_bytes()).ok()?.tree()?;
        let prompt = tree.member("prompt_tokens")?.as_u64()?;
        let total = tree.member("total_tokens").and_then(json::Json::as_u64);
        Some(Tokens {
            prompt,
            total: total.unwrap_or(prompt),
        })
    }

    /// Rounded down: the shares never add up to more than the whole.
    fn share(self, weight: u128, total: u128) -> Tokens {
        let part = |tokens: u64| match total {
            0 => 0,
            _ => u64::try_from(u128::from(tokens) * weight / total).unwrap_or(u64::MAX),
        };
        Tokens {
            prompt: part(self.prompt),
            total: part(self.total),
        }
    }

    fn plus(self, more: Tokens) -> Tokens {
        Tokens {
            prompt: self.prompt.saturating_add(more.prompt),
            total: self.total.saturating_add(more.total),
        }
    }

    fn usage(self, estimated: bool) -> Usage {
        let input = u32::try_from(self.prompt).unwrap_or(u32::MAX);
        Usage {
            input,
            cached_input: 0,
            output: 0,
            estimated,
        }
    }
}

impl<'a> Answer<'a> {
    fn read(body: &'a [u8]) -> Result<Answer<'a>, Malformed> {
        let text = std::str::from_utf8(body).map_err(|_| NOT_EMBEDDINGS)?;
        let members = json::members(text).map_err(|_| NOT_EMBEDDINGS)?;
        let raw = |name: &str| {
            members
                .iter()
                .find(|member| member.name == name)
                .map(|one| one.raw)
        };
        let data = raw("data").ok_or(NOT_EMBEDDINGS)?;
        let elements = json::elements(data).map_err(|_| NOT_EMBEDDINGS)?;
        let tokens = raw("usage").and_then(Tokens::read);
        Ok(Answer {
            text,
            elements,
            tokens,
            members,
        })
    }

    /// The elements by their index; each from 0 on must be there once.
    fn in_order(&self, count: usize) -> Result<Vec<&'a str>, Malformed> {
        if self.elements.len() != count {
            return Err(NOT_EMBEDDINGS);
        }
        let mut ordered = vec![None; count];
        for element in &self.elements {
            let at = index_of(element).ok_or(NOT_EMBEDDINGS)?;
            let place = ordered.get_mut(at).ok_or(NOT_EMBEDDINGS)?;
            if place.replace(*element).is_some() {
                return Err(NOT_EMBEDDINGS);
            }
        }
        ordered
            .into_iter()
            .map(|element| element.ok_or(NOT_EMBEDDINGS))
            .collect()
    }

    /// This answer with other elements and tokens, all other bytes as they are.
    fn with(&self, elements: &[&str], tokens: Option<Tokens>) -> Result<Bytes, Malformed> {
        let size = elements
            .iter()
            .map(|element| element.len() + 8)
            .sum::<usize>();
        let mut out = String::with_capacity(size + 256);
        let mut after = 0;
        for member in &self.members {
            let value = member.value_span();
            let replaced = matches!(
                (member.name.as_ref(), tokens),
                ("data", _) | ("usage", Some(_))
            );
            if !replaced {
                continue;
            }
            out.push_str(self.text.get(after..value.start).unwrap_or_default());
            match (member.name.as_ref(), tokens) {
                ("usage", Some(tokens)) => write_tokens(tokens, &mut out),
                _ => write_elements(elements, &mut out)?,
            }
            after = value.end;
        }
        out.push_str(self.text.get(after..).unwrap_or_default());
        Ok(Bytes::from(out))
    }
}

fn write_tokens(Tokens { prompt, total }: Tokens, out: &mut String) {
    out.push_str(&format!(
        r#"{{"prompt_tokens":{prompt},"total_tokens":{total}}}"#
    ));
}

/// The elements with their place in this list as their index.
fn write_elements(elements: &[&str], out: &mut String) -> Result<(), Malformed> {
    out.push('[');
    for (place, element) in elements.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let members = json::members(element).map_err(|_| NOT_EMBEDDINGS)?;
        let index = members
            .iter()
            .find(|member| member.name == "index")
            .ok_or(NOT_EMBEDDINGS)?;
        let (before, after) = (index.value_span().start, index.value_span().end);
        out.push_str(element.get(..before).unwrap_or_default());
        out.push_str(&place.to_string());
        out.push_str(element.get(after..).unwrap_or_default());
    }
    out.push(']');
    Ok(())
}

fn index_of(element: &str) -> Option<usize> {
    let members = json::members(element).ok()?;
    members
        .iter()
        .find(|member| member.name == "index")?
        .raw
        .parse()
        .ok()
}
