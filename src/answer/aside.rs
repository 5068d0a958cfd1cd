//! What a provider says beside its answer, in headers: for the one whose request went upstream,
//! never kept and never told to anyone else.

use bytes::Bytes;

/// Header names, lower-case, and their values, in the provider's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside(pub Vec<(String, String)>);

impl Aside {
    /// As bytes; nothing said is no bytes.
    pub fn encode(&self) -> Bytes {
        if self.0.is_empty() {
            return Bytes::new();
        }
        // Texts always have a JSON form; were it not so, saying nothing is right.
        serde_json::to_vec(&self.0).unwrap_or_default().into()
    }

    /// The reverse; what cannot be read was not said.
    pub fn decode(bytes: &[u8]) -> Aside {
        Aside(serde_json::from_slice(bytes).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_heard() {
        let aside = Aside(vec![
            ("retry-after".into(), "3".into()),
            ("openai-model".into(), "é".into()),
        ]);
        assert_eq!(Aside::decode(&aside.encode()), aside);
        assert_eq!(Aside::default().encode(), "");
        assert_eq!(Aside::decode(b""), Aside::default());
        assert_eq!(Aside::decode(b"junk"), Aside::default());
    }
}
