//! One answer that is purged, in a scope of its own, and its neighbour that is not: who asks for it
//! and how, and what names it in a purge. Says what to send and never sends it.

use serde_json::{Value, json};

use crate::client::Request;

/// By what a purge names what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Tenant,
    Agent,
    Model,
    Namespace,
    OlderThan,
    Key,
}

const SCOPES: [Scope; 6] = [
    Scope::Agent,
    Scope::Model,
    Scope::Namespace,
    Scope::OlderThan,
    Scope::Key,
    Scope::Tenant,
];

/// A tenant made for a run, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// How one answer is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) tenant: Tenant,
    agent: String,
    model: String,
    namespace: String,
    prompt: String,
    is_streamed: bool,
}

/// An answer to be purged, and one beside it that is not.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) scope: Scope,
    pub(crate) question: Question,
    pub(crate) neighbour: Question,
}

impl Target {
    /// Target `number` of a window, of a tenant that no other target has.
    pub(crate) fn new(
        window: usize,
        number: usize,
        tenant: &Tenant,
        spare: &Tenant,
        slow_millis: u64,
    ) -> Target {
        let scope = SCOPES[number % SCOPES.len()];
        let slow = if slow_millis > 0 {
            format!("slow={slow_millis} ")
        } else {
            String::new()
        };
        let question = Question {
            tenant: tenant.clone(),
            agent: format!("agent-{number}"),
            model: format!("model-{number}"),
            namespace: format!("space-{number}"),
            prompt: format!("{slow}window {window} target {number}"),
            is_streamed: number % 2 == 1,
        };
        let mut neighbour = question.clone();
        neighbour.prompt = format!("window {window} neighbour {number}");
        match scope {
            Scope::Tenant => neighbour.tenant = spare.clone(),
            Scope::Agent => neighbour.agent.push_str("-b"),
            Scope::Model => neighbour.model.push_str("-b"),
            Scope::Namespace => neighbour.namespace.push_str("-b"),
            // Begun later, or another key: the prompt says so.
            Scope::OlderThan | Scope::Key => {}
        }
        Target {
            scope,
            question,
            neighbour,
        }
    }

    /// The body of its purge. `key` is what `explain` told, `mark` a time in Unix milliseconds.
    pub(crate) fn purge(&self, key: &str, mark: u64) -> Value {
        let tenant = &self.question.tenant.id;
        match self.scope {
            Scope::Tenant => json!({"tenant": tenant}),
            Scope::Agent => json!({"tenant": tenant, "agent": self.question.agent}),
            Scope::Model => json!({"model": self.question.model, "tenant": tenant}),
            Scope::Namespace => json!({"namespace": self.question.namespace, "tenant": tenant}),
            Scope::OlderThan => json!({"older_than": mark, "tenant": tenant}),
            Scope::Key => json!({"key": key}),
        }
    }
}

impl Question {
    fn body(&self) -> Value {
        let mut body =
            json!({"model": self.model, "messages": [{"role": "user", "content": self.prompt}]});
        if self.is_streamed {
            body["stream"] = true.into();
        }
        body
    }

    /// Exact matches alone: what is near is another question's answer.
    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("x-fgy-agent", self.agent.clone()),
            ("x-fgy-namespace", self.namespace.clone()),
            ("x-fgy-cache", "exact".to_owned()),
        ]
    }

    pub(crate) fn request(&self) -> Request {
        let mut headers = self.headers();
        headers.push(("authorization", format!("Bearer {}", self.tenant.key)));
        headers.push(("x-provider-auth", "Bearer jepsen-lite".to_owned()));
        Request {
            method: "POST",
            path: "/v1/chat/completions".to_owned(),
            headers,
            body: self.body().to_string(),
        }
    }

    /// What is put to `explain`.
    pub(crate) fn explain(&self) -> Value {
        let headers: Vec<Value> = self
            .headers()
            .into_iter()
            .map(|(name, value)| json!([name, value]))
            .collect();
        json!({"body": self.body(), "tenant": self.tenant.id, "headers": headers})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_outside_what_is_purged() {
        let tenant = |id: &str| Tenant {
            id: id.into(),
            key: "k".into(),
        };
        for number in 0..SCOPES.len() {
            let target = Target::new(3, number, &tenant("a"), &tenant("spare"), 0);
            let (mine, other) = (target.question.explain(), target.neighbour.explain());
            assert_ne!(mine, other);
            let purge = target.purge("f00", 17);
            let named = match target.scope {
                Scope::Tenant => other["tenant"] != purge["tenant"],
                Scope::Model => other["body"]["model"] != purge["model"],
                Scope::Agent => other["headers"][0][1] != purge["agent"],
                Scope::Namespace => other["headers"][1][1] != purge["namespace"],
                Scope::OlderThan => purge["older_than"] == 17,
                Scope::Key => purge == json!({"key": "f00"}),
            };
            assert!(named, "{:?} {purge} {other}", target.scope);
        }
    }
}
