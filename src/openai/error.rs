//! The body of an error in the API's own shape. Which status goes with it is not decided here.

use bytes::Bytes;
use serde::Serialize;

/// The code of the event that ends a stream which broke off.
pub const TRUNCATED: &str = "fgy_truncated";

/// What stands under `error`; absent parts are null, as SDKs expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// what happened and what to do, for people
    pub message: &'a str,
    /// the family: `invalid_request_error`, `server_error`, …
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// the exact case, for programs
    pub code: Option<&'a str>,
    /// the member of the request at fault
    pub param: Option<&'a str>,
}

impl ErrorBody<'_> {
    /// `{"error":{"message":…,"type":…,"code":…,"param":…}}`
    pub fn to_bytes(&self) -> Bytes {
        #[derive(Serialize)]
        struct Envelope<'e> {
            error: &'e ErrorBody<'e>,
        }
        // Four texts always have a JSON form; were it not so, the shape alone must still stand.
        serde_json::to_vec(&Envelope { error: self })
            .map_or_else(|_| Bytes::from_static(br#"{"error":{}}"#), Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parts_are_null_and_texts_are_escaped() {
        let body = ErrorBody {
            message: "say \"x\"",
            kind: "server_error",
            code: None,
            param: None,
        };
        let expected =
            r#"{"error":{"message":"say \"x\"","type":"server_error","code":null,"param":null}}"#;
        assert_eq!(body.to_bytes(), expected);
    }
}
